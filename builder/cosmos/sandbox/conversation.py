"""The trusted side of a worker: have a zygote fork it, exchange messages with it, and trust none of them.

One worker does one job. It is killed when the conversation ends, or when this process ends for any reason. The probe
tries its sandbox first (`sandbox.probe`). A worker is named by a module: a separate zygote imports that module, and
each worker that it forks calls the module's `work(channel)`.
"""

from __future__ import annotations

import math
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Final, Self

from cosmos.errors import WorldFailed
from cosmos.limits import MAX_WORKER_BYTES, MAX_WORKER_MESSAGE_BYTES, MIB
from cosmos.process import outcome as ended
from cosmos.process import start_server
from cosmos.records import dataclass
from cosmos.sandbox import zygote
from cosmos.sandbox.exit_status import NO_LOCKS, NO_MACHINE, OUT_OF_MEMORY
from cosmos.sandbox.values import Scalar
from cosmos.sandbox.wire import JOB, LENGTH, READY, BrokenProtocol, frame, opened

_SERVE: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from cosmos.sandbox.zygote import serve_module; serve_module(*sys.argv[1:3])"
)
WHERE: Final = "nova"  # users meet the sandbox by the name of the runtime whose scripts it holds
_NO_SANDBOX: Final = {
    NO_MACHINE: "Nova's sandbox does not support this machine's architecture",
    NO_LOCKS: "this kernel refuses a part of Nova's sandbox",
}
_END_SECONDS: Final = 10  # for the zygote to say how a worker ended
_START_SECONDS: Final = 300  # for a zygote to load its module and fork: a second, on a machine that is not busy
_MAX_LOAD_SECONDS: Final = 900  # that a busy machine may add to one patience: then the wait ends all the same
_SCHEDSTAT_BYTES: Final = 64  # three numbers of 64 bits
_READ_BYTES: Final = 4 << 10  # holds most messages whole
_LOOK_SECONDS: Final = 0.5  # until the next look, at a worker that is ready to run


def _queued_seconds(process: str) -> float:
    """Return how long a process of /proc has been ready to run while the machine did other work; 0 if unknown."""
    try:
        number = os.open(f"/proc/{process}/schedstat", os.O_RDONLY | os.O_CLOEXEC)  # once for each script
        try:
            return int(os.read(number, _SCHEDSTAT_BYTES).split()[1]) / 1e9
        finally:
            os.close(number)
    except (OSError, ValueError, LookupError):  # it is gone, or this kernel does not count
        return 0


def _is_ready(process: str) -> bool:
    """Whether a process computes, or waits for a processor: its wait is counted only once it has ended."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except (OSError, LookupError):
        return False


@dataclass(kw_only=True, slots=True)
class Patience:
    """The time left to wait for workers. Workers that share a `Patience` share its time.

    Only a worker's own time counts: while it computes or sleeps. Time in which it, or this process, was ready to run
    and the machine did other work is given back (`give_back`).
    """

    seconds: float
    _load_seconds: float = _MAX_LOAD_SECONDS
    _queued: dict[str, float] = field(default_factory=lambda: {"thread-self": _queued_seconds("thread-self")})

    def another(self, seconds: float) -> Self:
        """Return another patience, of this process as well. What it has waited so far counts for both."""
        return type(self)(seconds=seconds, _queued=dict(self._queued))

    def give_back(self, worker: str | None) -> bool:
        """Add the time that `worker` and this process waited for a processor; return whether any time is left."""
        for process in ("thread-self", *([worker] if worker is not None else [])):
            queued = _queued_seconds(process)
            more = min(max(queued - self._queued.get(process, 0), 0), self._load_seconds)
            self._queued[process] = queued
            self._load_seconds -= more
            self.seconds += more
        if self.seconds <= 0 and worker is not None and _is_ready(worker):  # the kernel bounds what it computes
            more = min(_LOOK_SECONDS, self._load_seconds)
            self._load_seconds -= more
            self.seconds = more
        return self.seconds > 0


class Conversation:
    """The channel to one worker. Every wait counts against `patience`; after that it raises `TimeoutError`."""

    def __init__(self, channel: socket.socket, control: socket.socket, patience: Patience) -> None:
        self._channel = channel
        self._control = control
        self._patience = patience
        self._poll = select.poll()
        self._begun = b""  # what has come of the next message
        self._worker: str | None = None  # its process id, once the zygote has said it

    def send(self, kind: bytes, values: tuple[Scalar, ...]) -> None:
        """Send one message. A worker that is gone is noticed at the next `receive`."""
        rest = memoryview(frame(kind, values))
        try:
            while rest:
                try:
                    rest = rest[self._channel.send(rest, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    self._wait(select.POLLOUT)
        except (BrokenPipeError, ConnectionResetError):
            return

    def start(self, job: tuple[Scalar, ...]) -> None:
        """Send the job, and return when the worker has begun; raises `EOFError` if it is gone."""
        self._patience, patience = self._patience.another(_START_SECONDS), self._patience
        try:
            self.send(JOB, job)
            self.receive(READY)
        finally:
            self._patience = patience

    def receive(self, kinds: bytes, max_bytes: int = MAX_WORKER_MESSAGE_BYTES) -> tuple[bytes, tuple[Scalar, ...]]:
        """Return the next message, of one of `kinds`; raises `BrokenProtocol`, or `EOFError` if the worker is gone."""
        self._come(LENGTH.size)
        size = LENGTH.unpack_from(self._begun)[0]
        if size > max_bytes:
            raise BrokenProtocol(f"the message has {size} bytes, the limit is {max_bytes}")
        end = LENGTH.size + size
        self._come(end)
        body, self._begun = self._begun[LENGTH.size : end], self._begun[end:]
        return opened(body, kinds)

    def status(self) -> int | None:
        """Return the worker's exit status (below zero: the signal); None if the zygote is gone as well."""
        return self._said(_END_SECONDS) if self._process(_END_SECONDS) is not None else None

    def _process(self, seconds: float) -> str | None:
        """Return the worker's process id, if the zygote says it within `seconds`."""
        if self._worker is None:
            number = self._said(seconds)
            self._worker = str(number) if number is not None else None
        return self._worker

    def _said(self, seconds: float) -> int | None:
        """Return the zygote's next answer, if it comes within `seconds`."""
        self._control.settimeout(seconds)
        try:
            said = self._control.recv(zygote.STATUS.size, socket.MSG_WAITALL)
        except OSError:
            return None
        return int(zygote.STATUS.unpack(said)[0]) if len(said) == zygote.STATUS.size else None

    def _come(self, size_bytes: int) -> None:
        """Wait until as much of the next message has come. Never more than one read comes besides."""
        if len(self._begun) >= size_bytes:
            return
        data = bytearray(self._begun)  # not a list of pieces: a worker may send them as small as it likes
        while len(data) < size_bytes:
            data += self._read(min(max(size_bytes - len(data), _READ_BYTES), 1 << 20))
        self._begun = bytes(data)

    def _read(self, most_bytes: int) -> bytes:
        while True:
            self._wait(select.POLLIN)
            try:
                piece = self._channel.recv(most_bytes, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise EOFError
            return piece

    def _wait(self, event: int) -> None:
        """Wait until the channel can be read or written; raises `TimeoutError` when the patience is over."""
        self._poll.register(self._channel, event)
        while self._patience.seconds > 0 or self._patience.give_back(self._process(0)):
            began = time.monotonic()
            try:
                if self._poll.poll(math.ceil(self._patience.seconds * 1000)):
                    return
            finally:
                self._patience.seconds -= time.monotonic() - began
        raise TimeoutError


@contextmanager
def conversation(job: tuple[Scalar, ...], patience: Patience, module: str) -> Iterator[Conversation]:
    """Start a worker of `module` with `job` and give the conversation with it; the end of the block kills it.

    Raises `WorldFailed` if the worker does not start.
    """
    ours, its = socket.socketpair()
    control, its_control = socket.socketpair()
    with ours, control:
        with its, its_control:
            _ask(module, its, its_control)
        worker = Conversation(ours, control, patience)
        try:
            worker.start(job)
        except EOFError:
            raise no_sandbox(_NO_SANDBOX.get(worker.status() or 0, "a worker of the sandbox does not start")) from None
        yield worker


def gone(status: int | None, cpu_seconds: int) -> str:
    """Return why a worker ended without a message; raises `WorldFailed` if its zygote is gone as well."""
    if status is None:
        raise no_sandbox("the process that starts the sandbox's workers was killed")
    if status in (-9, -24):  # SIGKILL and SIGXCPU: what the limit on processor time ends with
        return f"it took more than {cpu_seconds} seconds"
    if status == OUT_OF_MEMORY:
        return f"it used more than {MAX_WORKER_BYTES // MIB} MiB of memory"
    return f"it took its process over, which {ended(status)}"


def no_sandbox(why: str) -> WorldFailed:
    """Return the error for a machine on which no worker may run."""
    return WorldFailed(
        WHERE, why, hint="scripts run on Linux for x86_64 and aarch64, with seccomp and with /proc mounted"
    )


_zygotes: dict[str, tuple[socket.socket, bytes, object]] = {}  # by module: requests, planted secret, what to hold on to


def planted_secret(module: str) -> bytes:
    """Return the secret that no worker may hold, 32 bytes; starts the zygote if it does not run yet."""
    if module not in _zygotes:
        forked = zygote.FORKED.pop(module, None)
        _zygotes[module] = (*forked, None) if forked is not None else _fresh(module)
    return _zygotes[module][1]


def _ask(module: str, channel: socket.socket, control: socket.socket) -> None:
    for attempt in range(2):
        planted_secret(module)
        try:
            socket.send_fds(_zygotes[module][0], [b"w"], [channel.fileno(), control.fileno()])
        except OSError as error:
            _zygotes.pop(module)[0].close()
            if attempt or getattr(sys, "frozen", False):
                raise no_sandbox("the process that starts the sandbox's workers is gone") from error
        else:
            return


def _fresh(module: str) -> tuple[socket.socket, bytes, object]:
    """Start a zygote in a fresh interpreter."""
    if getattr(sys, "frozen", False):
        raise no_sandbox("the sandbox was not started with the program")
    requests, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    planted = b"%032x" % time.monotonic_ns()
    paths = [str(Path(part).absolute()) for part in sys.path]  # it starts in another folder
    with its:
        argv = [sys.executable, "-I", "-S", "-B", "-c", _SERVE, str(its.fileno()), module, *paths]
        program = start_server(argv, socket_number=its.fileno(), where=WHERE)
    return requests, planted, program
