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
from typing import Final, NoReturn, TypeAlias

from cosmos.records import dataclass

Work: TypeAlias = Callable[[int], object]
STATUS: Final = struct.Struct("=i")
PLANTED_NAME: Final = b"COSMOS_PLANTED"
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_FOUND: Final[list[Callable[..., int]]] = []
FORKED: Final[dict[str, tuple[socket.socket, bytes]]] = {}  # the zygotes that were forked before all else, by module


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One running worker, for its zygote."""

    pid: int
    pidfd: int
    control: socket.socket


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
    _prctl()(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == requests.fileno():
                worker = _next(requests, module)
                if worker is None:
                    return
                for place in (worker.pidfd, worker.control.fileno()):
                    workers[place] = worker
                    poll.register(place, select.POLLIN)
            elif number in workers:
                worker = workers[number]
                for place in (worker.pidfd, worker.control.fileno()):
                    del workers[place]
                    poll.unregister(place)
                _ended(worker)


def _next(requests: socket.socket, module: str) -> Worker | None:
    """Fork one worker; None if the other end is closed."""
    message, numbers, _, _ = socket.recv_fds(requests, 16, 2)
    if not message or len(numbers) != 2:
        return None
    work = _loaded(module)
    if gc.isenabled():
        _begin(module)
    else:
        gc.freeze()
    gc.disable()  # loaded modules stay, and are shared with every worker
    _prctl()  # before the fork
    channel, control = numbers
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(zygote)
        work(channel)
        os._exit(1)
    os.close(channel)
    worker = Worker(pid=pid, pidfd=os.pidfd_open(pid), control=socket.socket(fileno=control))
    _answer(worker, pid)
    return worker


def _loaded(module: str) -> Work:
    work: Work = importlib.import_module(module).work
    return work


def _begin(module: str) -> None:
    """Let the module do, before its first worker, what would take each worker's time."""
    begin: Callable[[], None] | None = getattr(importlib.import_module(module), "begin", None)
    if begin is not None:
        begin()


def _ended(worker: Worker) -> None:
    """Kill a worker whose control socket was closed, and report its status."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    _, status = os.waitpid(worker.pid, 0)
    _answer(worker, os.waitstatus_to_exitcode(status))
    worker.control.close()
    os.close(worker.pidfd)


def _answer(worker: Worker, number: int) -> None:
    with contextlib.suppress(OSError):
        worker.control.send(STATUS.pack(number), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
