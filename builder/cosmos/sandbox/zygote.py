"""The zygote: a small clean process that forks a worker for each job. Each worker module has a zygote of its own.

It holds no data of the builder. Outside the single-file binary it is a fresh interpreter with an empty environment. The
binary must not start itself a second time, because it would unpack itself again. There one process is forked before
anything else is loaded, with its environment wiped (`forked`). It waits, and forks the zygote of a module when the
first request for that module comes: a small machine has no memory for zygotes that nobody asks. A zygote imports its
module for the first worker.

Protocol: each message on `requests` (SOCK_SEQPACKET, one message a worker) brings two descriptors: the worker's channel
and a *control* socket. The zygote answers twice on the control socket, each time 4 bytes, signed: the worker's process
id, and, when the worker has ended, its status (below zero: the signal). When the other end of the control socket is
closed, the zygote kills the worker: so the worker dies with the process that asked for it. When the other end of
`requests` is closed, the zygote ends with all its workers. The kernel kills each worker with its zygote, and a forked
zygote with the processes that it was forked from.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterable

from cosmos.hints import Final, NoReturn, TypeAlias

Work: TypeAlias = Callable[[int], object]
Worker: TypeAlias = tuple[int, int, int]  # its process id, its pidfd, its control socket
STATUS: Final = struct.Struct("=i")
PLANTED_NAME: Final = b"COSMOS_PLANTED"
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_SIGKILL: Final = int(signal.SIGKILL)  # a plain number: to read an enumeration's touches many pages
_NUMBERS: Final = struct.Struct("@2i")  # the descriptors of a request
_TWO_NUMBERS: Final = socket.CMSG_LEN(_NUMBERS.size)
_FOUND: Final[list[Callable[..., int]]] = []
FORKED: Final[dict[str, tuple[socket.socket, bytes]]] = {}  # the zygotes that were forked before all else, by module


def forked(*modules: str, forget: Callable[[], object] | None = None) -> None:
    """Fork the process that forks the zygotes of `modules`. It plants a secret there, and calls `forget`.

    `FORKED` keeps each module's socket for requests, and the secret, for its first worker. Only the single-file binary
    uses it: as its first step, before it has a second thread.
    """
    pairs = {module: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for module in modules}
    planted = b"%016x%016x" % (os.getpid(), time.monotonic_ns())
    os.environb[PLANTED_NAME] = planted
    parent = os.getpid()
    if os.fork() == 0:
        die_with(parent)
        forget_environment()
        if forget is not None:
            forget()
        _divide({its.detach(): module for module, (_, its) in pairs.items()})
    del os.environb[PLANTED_NAME]
    for module, (ours, its) in pairs.items():
        its.close()
        FORKED[module] = (ours, planted)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; if `parent` is its parent no more, it dies now."""
    _prctl()(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl() -> Callable[..., int]:
    """Return the C library's function. To find it touches a hundred pages, which every worker would have to copy."""
    if not _FOUND:
        import ctypes

        _FOUND.append(ctypes.CDLL(None).prctl)
    return _FOUND[0]


def forget_environment() -> None:
    """Overwrite the environment in this process's memory: the dictionary's bytes, and the kernel's copy."""
    import ctypes
    import posix

    for value in posix.environ.values():
        if len(value) > 1:  # a single byte is one object for everybody
            ctypes.memset(id(value) + bytes.__basicsize__ - 1, 0, len(value))
    posix.environ.clear()
    libc = ctypes.CDLL(None)
    place = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    texts = ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))
    number = 0
    while place and texts[number]:
        ctypes.memset(texts[number], 0, len(ctypes.string_at(texts[number])))
        number += 1
    libc.clearenv()
    try:
        with open("/proc/self/stat", "rb") as stat:  # noqa: PTH123 - nothing else is loaded yet
            fields = stat.read().rpartition(b")")[2].split()
    except FileNotFoundError:  # no /proc: nobody can look there, and the loop above has wiped the kernel's copy
        return
    first, stop = int(fields[47]), int(fields[48])  # env_start and env_end, proc(5)
    if 0 < first < stop:
        ctypes.memset(first, 0, stop - first)


def serve_module(requests: str, module: str) -> NoReturn:
    """Serve on the descriptor `requests` with the `work` of `module`: the entry point of a fresh interpreter."""
    serve(int(requests), module)


def serve(requests: int, module: str) -> NoReturn:
    """Fork workers of `module` until the other end of `requests` is closed."""
    try:
        (requests,) = _alone_with([requests])
        _loop(socket.socket(fileno=requests), module)
    finally:
        os._exit(0)


def _divide(modules: dict[int, str]) -> NoReturn:
    """Fork a zygote for each of `modules` when the first request for it comes, until nobody can ask any more."""
    try:
        waiting = dict(zip(_alone_with(modules), modules.values(), strict=True))
        zygotes = set[int]()
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        parent = os.getpid()
        while waiting or zygotes:
            for number, what in poll.poll():
                poll.unregister(number)
                if number in zygotes:
                    zygotes.remove(number)
                    os.waitid(os.P_PIDFD, number, os.WEXITED)
                elif not what & select.POLLHUP:
                    pid = os.fork()
                    if pid == 0:
                        die_with(parent)
                        serve(number, waiting[number])
                    pidfd = os.pidfd_open(pid)
                    zygotes.add(pidfd)
                    poll.register(pidfd, select.POLLIN)
                waiting.pop(number, None)
                os.close(number)  # of the zygote alone: whoever asks sees when it is gone
    finally:
        os._exit(0)


def _alone_with(kept: Iterable[int]) -> list[int]:
    """Close every descriptor but `kept`, leave the terminal, and return the numbers that the kept ones have now."""
    with contextlib.suppress(OSError):
        os.setsid()  # no Ctrl-C from a terminal comes here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for its workers as well
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    nowhere = os.open("/dev/null", os.O_RDWR)
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) if number <= 2 else number for number in kept]
    for number in range(3):
        os.dup2(nowhere, number)
    start = 3
    for number in sorted(moved):
        os.closerange(start, number)
        start = number + 1
    os.closerange(start, 1 << 16)
    return moved


def _loop(requests: socket.socket, module: str) -> None:
    workers: dict[int, Worker] = {}  # by either of its descriptors
    asked, poll = requests.fileno(), select.poll()
    poll.register(asked, select.POLLIN)
    work: Work | None = None
    while True:
        for number, _ in poll.poll():
            if number == asked:
                message, parts, _, _ = requests.recvmsg(16, _TWO_NUMBERS)
                if not message or [len(data) for _, _, data in parts] != [_NUMBERS.size]:
                    return
                work = work or _ready(module)
                channel, control = _NUMBERS.unpack(parts[0][2])
                worker = _forked(work, channel, control)
                for place in worker[1:]:
                    workers[place] = worker
                    poll.register(place, select.POLLIN)
            elif number in workers:
                worker = workers[number]
                for place in worker[1:]:
                    del workers[place]
                    poll.unregister(place)
                _ended(worker)


def _ready(module: str) -> Work:
    """Load `module`, and let it do, before its first worker, what would take each worker's time.

    What is loaded stays, and is shared with every worker.
    """
    loaded = importlib.import_module(module)
    work: Work = loaded.work
    begin: Callable[[], None] | None = getattr(loaded, "begin", None)
    if begin is not None:
        begin()
    gc.disable()
    gc.freeze()
    _tidy_up()
    _prctl()  # before the fork
    _keep_few_powers()
    return work


def _tidy_up() -> None:
    """Have the C library join the small blocks that are free: else each worker does, and copies what it touches."""
    import ctypes

    with contextlib.suppress(AttributeError):  # not in every C library
        ctypes.CDLL(None).malloc_trim(0)


def _keep_few_powers() -> None:
    """Give up for good, once for all workers, each power of root that the zygote itself does not need.

    A worker gives up every power that it still has (`kernel.lock_down`), whatever came of this.
    """
    from cosmos.sandbox import kernel  # its module has loaded it

    with contextlib.suppress(OSError):
        kernel.keep_powers_of_a_zygote()


def _forked(work: Work, channel: int, control: int) -> Worker:
    """Fork one worker. It reads and writes few objects: each page that it touches is copied, after every fork again."""
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(zygote)
        work(channel)
        os._exit(1)
    os.close(channel)
    _answer(control, pid)
    return pid, os.pidfd_open(pid), control


def _ended(worker: Worker) -> None:
    """Kill a worker whose control socket was closed, and report its status."""
    pid, pidfd, control = worker
    try:  # noqa: SIM105 - a context manager touches more pages, copied after each fork
        signal.pidfd_send_signal(pidfd, _SIGKILL)
    except ProcessLookupError:
        pass
    _, status = os.waitpid(pid, 0)
    _answer(control, os.waitstatus_to_exitcode(status))
    os.close(control)
    os.close(pidfd)


def _answer(control: int, number: int) -> None:
    try:  # noqa: SIM105 - a context manager touches more pages, copied after each fork
        os.write(control, STATUS.pack(number))  # there is room for both answers
    except OSError:
        pass
