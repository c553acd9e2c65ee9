"""The trusted side of a script's worker: has one forked, serves its verbs, and believes nothing that it says.

One worker runs one script. It is killed when its script has ended, when the time spent waiting for it is up, when what
it sends is no message, or when this process ends, however it does. Before the first script the sandbox is probed.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, get_args

from cosmos.errors import WorldFailed
from cosmos.limits import MAX_NOVA_MESSAGE_BYTES, MAX_NOVA_WORKER_BYTES, MIB
from cosmos.nova import zygote
from cosmos.nova.broker import Answer
from cosmos.nova.outcome import OUT_OF_MEMORY, Ending, Limits, Outcome
from cosmos.nova.values import Scalar
from cosmos.nova.wire import ANSWER, CALL, JOB, LENGTH, OUTCOME, READY, BrokenProtocol, frame, opened
from cosmos.process import outcome as ended
from cosmos.process import start_server

Call: TypeAlias = Callable[..., Answer]
_SERVE: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; from cosmos.nova.zygote import serve_module; serve_module(*sys.argv[1:3])"
)
_NO_LOCKS: Final = {
    71: "this machine's architecture is none that Nova's sandbox knows",
    72: "this kernel refuses a part of Nova's sandbox",
}
_TALK_SECONDS: Final = 8  # of processor time, beyond Lua's own, for as many messages as a script may send
_END_SECONDS: Final = 10  # for the zygote to say how a worker ended


@dataclass(kw_only=True, slots=True)
class Patience:
    """How long the workers of one script may still be waited for, altogether."""

    seconds: float


class Conversation:
    """The channel to one worker. Every wait counts against `patience`; past it it raises `TimeoutError`."""

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

    def receive(self, kinds: bytes, max_bytes: int = MAX_NOVA_MESSAGE_BYTES) -> tuple[bytes, tuple[Scalar, ...]]:
        """Return the next message, of one of `kinds`; raises `BrokenProtocol` or, where it is gone, `EOFError`."""
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if size > max_bytes:
            raise BrokenProtocol(f"the message has {size} bytes, the limit is {max_bytes}")
        return opened(self._exactly(size), kinds)

    def status(self) -> int | None:
        """Return how the worker ended (below zero: by which signal); None where the zygote is gone too."""
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


def run_confined(
    script: bytes,
    script_name: str,
    function: str,
    limits: Limits,
    patience: Patience,
    call: Call,
    module: str = zygote.WORKER,
) -> Outcome:
    """Run `function` of `script` in a worker and serve it with `call(verb, *args)`; raises `WorldFailed`.

    What the sandbox must refuse was tried before (`nova.probe`). `module` has the worker's `work`.
    """
    job = (b"script", limits.cpu_seconds + _TALK_SECONDS, script, script_name.encode(), function.encode(),
           limits.instructions, limits.cpu_seconds, limits.memory_bytes)  # fmt: skip
    with conversation(job, patience, module) as worker:
        try:
            return _served(worker, call)
        except BrokenProtocol as broken:
            return Outcome(ending="over", problem=f"it took its process over: {broken}")
        except TimeoutError:
            return Outcome(ending="over", problem=f"it took more than {limits.wait_seconds} seconds")
        except EOFError:
            return Outcome(ending="over", problem=gone(worker.status(), limits))


@contextmanager
def conversation(job: tuple[Scalar, ...], patience: Patience, module: str = zygote.WORKER) -> Iterator[Conversation]:
    """Give the conversation with a new worker that was given `job`; when the block ends, the worker is killed.

    Raises `WorldFailed` where the worker does not start.
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
            raise no_sandbox(_NO_LOCKS.get(worker.status() or 0, "a worker of the sandbox does not start")) from None
        yield worker


def _served(worker: Conversation, call: Call) -> Outcome:
    while True:
        kind, values = worker.receive(CALL + OUTCOME)
        if kind == OUTCOME:
            return _outcome(values)
        if not values:
            raise BrokenProtocol("the message names no verb")
        answer, value = call(*values)
        if answer is None:  # the end: what the worker would say of it does not matter
            return Outcome(ending="over", problem=value.decode() if isinstance(value, bytes) else "the host failed")
        worker.send(ANSWER, (answer, value))


def _outcome(values: tuple[Scalar, ...]) -> Outcome:
    if len(values) != 2 or not all(isinstance(value, bytes) for value in values):
        raise BrokenProtocol("the last message is not an ending and a reason")
    ending, problem = (value if isinstance(value, bytes) else b"" for value in values)
    for known in get_args(Ending):
        if ending == known.encode():
            return Outcome(ending=known, problem=problem.decode("utf-8", "surrogateescape"))
    raise BrokenProtocol("the last message is no ending")


def gone(status: int | None, limits: Limits) -> str:
    """Return what became of a worker that ended without a word; raises `WorldFailed` where its zygote is gone, too."""
    if status is None:
        raise no_sandbox("the process that starts the sandbox's workers was killed")
    if status in (-9, -24):  # SIGKILL and SIGXCPU: what the limit on processor time ends with
        return f"it took more than {limits.cpu_seconds} seconds"
    if status == OUT_OF_MEMORY:
        return f"it used more than {MAX_NOVA_WORKER_BYTES // MIB} MiB of memory"
    return f"it took its process over, which {ended(status)}"


def no_sandbox(why: str) -> WorldFailed:
    """Return the error for a machine on which no script may run."""
    return WorldFailed(
        "nova", why, hint="scripts run on Linux for x86_64 and aarch64, with seccomp and with /proc mounted"
    )


_zygotes: dict[str, tuple[socket.socket, bytes, object]] = {}  # by module: requests, planted secret, what to hold on to


def planted_secret(module: str = zygote.WORKER) -> bytes:
    """Return the secret that no worker may hold, 32 bytes; starts the zygote where there is none yet."""
    if module not in _zygotes:
        early = zygote.EARLY.pop(module, None)
        _zygotes[module] = (*early, None) if early is not None else _fresh(module)
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
        program = start_server(argv, socket_number=its.fileno(), where="nova")
    return requests, planted, program
