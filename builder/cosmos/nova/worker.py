"""The untrusted side: one script, in a process that may only compute and use one descriptor.

`work` runs in a process that `sandbox.zygote` forked and that locks itself in (`sandbox.locked`) before the script is
loaded.
"""

from __future__ import annotations

from collections.abc import Callable

from cosmos.hints import Final, NoReturn, TypeAlias
from cosmos.nova.messages import ANSWER, CALL
from cosmos.nova.outcome import Limits, Outcome
from cosmos.nova.runtime import Start, prepared, run_script
from cosmos.sandbox import locked
from cosmos.sandbox.values import Scalar
from cosmos.sandbox.wire import OUTCOME, frame, opened

Run: TypeAlias = Callable[[bytes, str, str, Start], Outcome]
_channels: list[int] = []  # a worker's own, one; empty in the zygote


def work(channel: int, run: Run = run_script) -> NoReturn:
    """Do the one job that comes on `channel`, and end. `run` runs a script."""

    def script_run(channel: int, job: tuple[Scalar, ...]) -> None:
        script, name, function, *limits = job
        start = _READY if limits == _READY_FOR else _prepared(*limits)
        _channels.append(channel)
        outcome = run(locked.text(script), locked.text(name).decode(), locked.text(function).decode(), start)
        problem = outcome.problem.encode("utf-8", "surrogateescape")
        locked.write(channel, frame(OUTCOME, [outcome.ending.encode(), problem[:4096]]))

    locked.work(channel, script_run)


def _call(*values: Scalar) -> tuple[Scalar, ...]:
    """Have the trusted side run a verb. The script can reach nothing else of this process: it is its own upvalue."""
    locked.write(_channels[0], frame(CALL, values))
    return opened(locked.read(_channels[0]), ANSWER)[1]


def _prepared(instructions: Scalar, cpu: Scalar, memory: Scalar) -> Start:
    limits = Limits(instructions=int(instructions or 0), cpu_seconds=int(cpu or 0), memory_bytes=int(memory or 0))
    return prepared(limits, _call)


_READY_LIMITS: Final = Limits()
_READY_FOR: Final = [_READY_LIMITS.instructions, _READY_LIMITS.cpu_seconds, _READY_LIMITS.memory_bytes]
_READY: Final = prepared(_READY_LIMITS, _call)  # made in the zygote, so that no worker spends time on it


def begin() -> None:
    """Run a script of our own in a Lua of its own, in the zygote: a first script in a process takes twice as long.

    It changes the locale of the process, as each script does.
    """
    run_script(b'function first() exists("/") end', "first", "first", prepared(_READY_LIMITS, lambda *_: (True, None)))
