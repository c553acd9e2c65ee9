"""The untrusted side: one script, in a process that may do nothing but compute and talk on one descriptor.

`work` runs in a process that `nova.zygote` forked. It reads what to do, locks itself in (`nova.kernel`), and only then
loads the script. It never returns. `probe` tries, from within exactly that, what must not work.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import platform
import signal
import socket
from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias

from cosmos.nova import kernel
from cosmos.nova.outcome import Limits, Outcome
from cosmos.nova.sandbox import Start, prepared, run_script
from cosmos.nova.seccomp import MACHINES
from cosmos.nova.values import Scalar
from cosmos.nova.wire import ANSWER, CALL, JOB, LENGTH, OUTCOME, READY, frame, opened

MACHINE: Final = MACHINES.get(platform.machine())
BROKEN: Final = 70  # exit status of a worker that cannot go on
NO_MACHINE: Final = 71  # … on an architecture without a table of system calls
NO_LOCKS: Final = 72  # … where the kernel refused a lock
_TALK_SECONDS: Final = 8  # of processor time, for as many messages as a script may send
Run: TypeAlias = Callable[[bytes, str, str, Start], Outcome]
_channels: list[int] = []  # a worker's own, one; empty in the zygote


def work(channel: int, run: Run = run_script) -> NoReturn:
    """Do the one job that comes on `channel`, and end. `run` is what runs a script."""
    status = BROKEN
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, job = opened(_read(channel), JOB)
        status = _job(channel, job, run)
    finally:
        os._exit(status)


def _job(channel: int, job: tuple[Scalar, ...], run: Run) -> int:
    if MACHINE is None:
        return NO_MACHINE
    what, *rest = job
    secret = _found_in_memory(bytes(_text(rest[1])), bytes(_text(rest[2]))) if what == b"probe" else False
    cpu_seconds = int(rest[4] or 0) if what == b"script" else 5
    try:
        kernel.lock_down(MACHINE, channel, cpu_seconds + _TALK_SECONDS)
    except OSError:
        return NO_LOCKS
    _write(channel, frame(READY, []))
    if what == b"probe":
        _write(channel, frame(OUTCOME, [b"done", _probed(_text(rest[0]), secret=secret)]))
        return 0
    script, name, function, instructions, cpu, memory = rest

    limits = Limits(instructions=int(instructions or 0), cpu_seconds=int(cpu or 0), memory_bytes=int(memory or 0))
    start = _READY if limits == _READY_LIMITS else prepared(limits, _call)
    _channels.append(channel)
    outcome = run(_text(script), _text(name).decode(), _text(function).decode(), start)
    problem = outcome.problem.encode("utf-8", "surrogateescape")
    _write(channel, frame(OUTCOME, [outcome.ending.encode(), problem[:4096]]))
    return 0


def _call(*values: Scalar) -> tuple[Scalar, ...]:
    """Have a verb done. What a script can reach of this process: its own upvalue."""
    _write(_channels[0], frame(CALL, values))
    return opened(_read(_channels[0]), ANSWER)[1]


_READY_LIMITS: Final = Limits()
_READY: Final = prepared(_READY_LIMITS, _call)  # made in the zygote, so that no worker spends time on it


def _probed(canary: bytes, *, secret: bool) -> bytes:
    """Return what could be had from in here, a line each: `nova.probe` says what it must be."""
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
    """Whether this process holds a secret that begins with `start` and goes on with what has the SHA-256 `rest`.

    The secret itself must not come in here, or it would be found. Its rest has 16 bytes.
    """
    with open("/proc/self/maps", "rb") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - no files but these
        for line in maps.read().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith(b"r") or b"[v" in line:
                continue
            first, stop = (int(part, 16) for part in span.split(b"-"))
            try:
                data = os.pread(memory.fileno(), stop - first, first)
            except OSError:
                continue
            place = data.find(start)
            while place >= 0:
                if hashlib.sha256(data[place + len(start) : place + len(start) + 16]).digest() == rest:
                    return True
                place = data.find(start, place + 1)
    return False


def _text(value: Scalar) -> bytes:
    return value if isinstance(value, bytes) else b""


def _read(channel: int) -> bytes:
    (size,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    return _exactly(channel, size)


def _exactly(channel: int, size_bytes: int) -> bytes:
    pieces: list[bytes] = []
    while size_bytes:
        piece = os.read(channel, min(size_bytes, 1 << 20))
        if not piece:
            os._exit(BROKEN)  # not an error: a script could catch that
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)


def _write(channel: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(channel, rest) :]
    except OSError:
        os._exit(BROKEN)
