"""Run a script in a worker, from the trusted side: serve its verbs, and trust none of its messages.

One worker runs one script. It is killed when its script has ended, when its waiting time is used up, or when it sends
a malformed message. The sandbox is probed before the first script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cosmos.nova.broker import Answer
from cosmos.nova.messages import ANSWER, CALL
from cosmos.nova.outcome import ENDINGS, Limits, Outcome
from cosmos.nova.workers import WORKER
from cosmos.sandbox.conversation import Conversation, Patience, conversation, gone
from cosmos.sandbox.values import Scalar
from cosmos.sandbox.wire import OUTCOME, BrokenProtocol

Call: TypeAlias = Callable[..., Answer]
_TALK_SECONDS: Final = 8  # of processor time, beyond Lua's own, for as many messages as a script may send


def run_confined(
    script: bytes,
    script_name: str,
    function: str,
    limits: Limits,
    patience: Patience,
    call: Call,
    module: str = WORKER,
) -> Outcome:
    """Run `function` of `script` in a worker and serve it with `call(verb, *args)`; raises `WorldFailed`.

    The sandbox is probed first (`sandbox.probe`). `module` has the worker's `work`.
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
            return Outcome(ending="over", problem=gone(worker.status(), limits.cpu_seconds))


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
    for known in ENDINGS:
        if ending == known.encode():
            return Outcome(ending=known, problem=problem.decode("utf-8", "surrogateescape"))
    raise BrokenProtocol("the last message is no ending")
