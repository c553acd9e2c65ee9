"""The first steps of every worker: read the job, and set the restrictions (`sandbox.kernel`) before doing it.

`work` runs in a process that `sandbox.zygote` forked, and never returns. The worker's own module hands in the `Task`.
Every worker also answers the probe: inside the same restrictions it tries everything that must fail.
"""

from __future__ import annotations

import mmap
import os
import socket
from _blake2 import blake2s  # hashlib loads OpenSSL, which takes 5 MB of each worker's memory
from collections.abc import Callable

from cosmos.hints import Final, NoReturn, TypeAlias
from cosmos.sandbox import kernel
from cosmos.sandbox.exit_status import BROKEN, NO_LOCKS, NO_MACHINE
from cosmos.sandbox.seccomp import MACHINES
from cosmos.sandbox.values import Scalar
from cosmos.sandbox.wire import JOB, LENGTH, OUTCOME, READY, frame, opened

MACHINE: Final = MACHINES.get(os.uname().machine)
_REST_BYTES: Final = 16  # of a planted secret, behind the half that the probe is told
_MEMORY_PIECE_BYTES: Final = 1 << 20
_READ_BYTES: Final = 960  # holds most messages whole; for a larger block the C library would tidy up its small ones
Task: TypeAlias = Callable[[int, tuple[Scalar, ...]], None]


def work(channel: int, task: Task) -> NoReturn:
    """Do the one job that comes on `channel`, and end: answer the probe, or do `task(channel, the job's values)`."""
    status = BROKEN
    try:
        _, job = opened(read(channel), JOB)
        status = _job(channel, job, task)
    finally:
        os._exit(status)


def _job(channel: int, job: tuple[Scalar, ...], task: Task) -> int:
    if MACHINE is None:
        return NO_MACHINE
    what, cpu_seconds, *rest = job
    is_probe = what == b"probe"
    secret = _found_in_memory(text(rest[1]), text(rest[2])) if is_probe else False
    try:
        kernel.lock_down(MACHINE, channel, int(cpu_seconds or 0))
    except OSError:
        return NO_LOCKS
    write(channel, frame(READY, []))
    if is_probe:
        write(channel, frame(OUTCOME, [b"done", _probed(text(rest[0]), secret=secret)]))
    else:
        task(channel, tuple(rest))
    return 0


def text(value: Scalar) -> bytes:
    """Return a string value of a message."""
    return value if isinstance(value, bytes) else b""


def read(channel: int) -> bytes:
    """Return the next message. If the other side has closed the channel, this process ends."""
    whole = _more(channel, b"", LENGTH.size)
    end = LENGTH.size + LENGTH.unpack_from(whole)[0]
    if len(whole) < end:
        whole = _more(channel, whole, end)
    if len(whole) > end:
        os._exit(BROKEN)
    return whole[LENGTH.size :]


def write(channel: int, data: bytes) -> None:
    """Send `data`, a message with its length. If the other side has closed the channel, this process ends."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(channel, rest) :]
    except OSError:
        os._exit(BROKEN)


def _more(channel: int, begun: bytes, size_bytes: int) -> bytes:
    """Return what was `begun`, and what comes until there are `size_bytes`. It may be more of the same message.

    The other side sends a message only when it has been asked, so no second one can follow in the same read.
    """
    pieces, done = [begun], len(begun)
    while done < size_bytes:
        piece = os.read(channel, min(max(size_bytes - done, _READ_BYTES), 1 << 20))
        if not piece:
            os._exit(BROKEN)  # not an error: a task could catch that
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def _probed(canary: bytes, *, secret: bool) -> bytes:
    """Return the result of each attempt, a line each; `sandbox.probe` knows the right results."""
    assert MACHINE is not None
    seen = {
        "canary": _refused(lambda: os.open(canary, os.O_RDONLY)),
        "socket": _refused(lambda: socket.socket(socket.AF_INET), lambda: socket.socket(socket.AF_UNIX)),
        "processes": _refused(
            lambda: os.open("/proc", os.O_RDONLY), lambda: os.kill(os.getpid(), 0), lambda: os.kill(1, 0)
        ),
        "program": _refused(_forked, lambda: os.execv("/bin/sh", ["sh", "-c", ":"])),  # noqa: S606 - must be refused
        "executable-memory": _refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)),
        "capabilities": "some" if any(kernel.capability_sets(MACHINE)) else "none",
        "seccomp": "on" if kernel.control(kernel.PR_GET_SECCOMP) == 2 else "off",
        "no-new-privileges": "on" if kernel.control(kernel.PR_GET_NO_NEW_PRIVS) == 1 else "off",
        "secret": "found" if secret else "absent",
    }
    return "\n".join(f"{name}={value}" for name, value in seen.items()).encode()


def _refused(*tries: Callable[[], object]) -> str:
    for attempt in tries:
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            return f"error {error.errno}"
        return "allowed"
    return "refused"


def _forked() -> None:
    if os.fork() == 0:
        os._exit(0)


def _found_in_memory(start: bytes, rest: bytes) -> bool:
    """Whether this process's memory holds a secret: `start`, then 16 bytes with the BLAKE2s digest `rest`.

    The secret itself must not come in here, or it would be found. The memory is read piece by piece, because it may be
    a large part of a small machine's.
    """
    longer = len(start) + _REST_BYTES - 1  # of each piece: the secret may lie across the end of one
    with open("/proc/self/maps", "rb") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - no files but these
        for line in maps.read().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith(b"r") or b"[v" in line:
                continue
            first, stop = (int(part, 16) for part in span.split(b"-"))
            for begin in range(first, stop, _MEMORY_PIECE_BYTES):
                try:
                    data = os.pread(memory.fileno(), min(_MEMORY_PIECE_BYTES + longer, stop - begin), begin)
                except OSError:
                    break
                place = data.find(start)
                while place >= 0:
                    if blake2s(data[place + len(start) : place + len(start) + _REST_BYTES]).digest() == rest:
                        return True
                    place = data.find(start, place + 1)
    return False
