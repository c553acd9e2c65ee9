"""The trusted side of a worker: have a zygote fork it, exchange messages with it, and trust none of them.

One worker does one job. It is killed when the conversation ends, or when this process ends for any reason. The probe
tries its sandbox first (`sandbox.probe`). A worker is named by a module: a separate zygote imports that module, and
each worker that it forks calls the module's `work(channel)`.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.errors import WorldFailed
from cosmos.limits import MAX_WORKER_BYTES, MAX_WORKER_MESSAGE_BYTES, MIB
from cosmos.process import outcome as ended
from cosmos.process import start_server
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


@dataclass(kw_only=True, slots=True)
class Patience:
    """The time left to wait for workers. Workers that share a `Patience` share its time."""

    seconds: float


class Conversation:
    """The channel to one worker. Every wait counts against `patience`; after that it raises `TimeoutError`."""

    def __init__(self, channel: socket.socket, control: socket.socket, patience: Patience) -> None:
        self._channel = channel
        self._control = control
        self._patience = patience

    def send(self, kind: bytes, values: tuple[Scalar, ...]) -> None:
        """Send one message. A worker that is gone is noticed at the next `receive`."""
        with self._waiting():
            try:
                self._channel.sendall(frame(kind, values))
            except (BrokenPipeError, ConnectionResetError):
                return

    def receive(self, kinds: bytes, max_bytes: int = MAX_WORKER_MESSAGE_BYTES) -> tuple[bytes, tuple[Scalar, ...]]:
        """Return the next message, of one of `kinds`; raises `BrokenProtocol`, or `EOFError` if the worker is gone."""
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if size > max_bytes:
            raise BrokenProtocol(f"the message has {size} bytes, the limit is {max_bytes}")
        return opened(self._exactly(size), kinds)

    def status(self) -> int | None:
        """Return the worker's exit status (below zero: the signal); None if the zygote is gone as well."""
        self._control.settimeout(_END_SECONDS)
        try:
            said = self._control.recv(zygote.STATUS.size)
        except OSError:
            return None
        return int(zygote.STATUS.unpack(said)[0]) if len(said) == zygote.STATUS.size else None

    def _exactly(self, size_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < size_bytes:
            with self._waiting():
                try:
                    piece = self._channel.recv(min(size_bytes - len(data), 1 << 20))
                except ConnectionResetError:
                    piece = b""
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        if self._patience.seconds <= 0:
            raise TimeoutError
        began = time.monotonic()
        self._channel.settimeout(self._patience.seconds)
        try:
            yield
        finally:
            self._patience.seconds -= time.monotonic() - began


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
        worker.send(JOB, job)
        try:
            worker.receive(READY)
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
