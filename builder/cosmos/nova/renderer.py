"""The trusted side of `render`: a separate worker renders the templates, and its answers are not trusted.

One worker renders all templates of one script. It starts with the first template and is killed with the script. So all
templates share one limit of processor time, and the time to wait for them counts as waiting time of the script.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from cosmos.limits import KIB, MAX_NOVA_RENDERED_BYTES
from cosmos.nova.messages import ANSWER, TEMPLATE
from cosmos.nova.meter import BudgetError, VerbError
from cosmos.nova.outcome import Limits
from cosmos.nova.workers import TEMPLATE_WORKER
from cosmos.sandbox.conversation import Conversation, Patience, conversation, gone
from cosmos.sandbox.probe import demand_sandbox
from cosmos.sandbox.wire import BrokenProtocol

_MAX_ANSWER_BYTES: Final = MAX_NOVA_RENDERED_BYTES + KIB  # the text, and what goes before it


class Renderer:
    """Renders the templates of one script. A context manager: its end is the worker's."""

    def __init__(self, limits: Limits, patience: Patience, module: str = TEMPLATE_WORKER) -> None:
        self._limits = limits
        self._patience = patience
        self._module = module
        self._worker: Conversation | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ends.close()

    def render(self, shown: str, template: bytes, variables: bytes) -> bytes:
        """Return `template` filled in with `variables`, a JSON object. `shown` is its name for messages.

        Raises `VerbError` that names the fault, or `BudgetError` if the worker has ended.
        """
        try:
            return self._rendered(shown, template, variables)
        except BrokenProtocol as broken:
            why = f"it took its process over: {broken}"
        except TimeoutError:
            why = f"it took more than {self._limits.wait_seconds} seconds"
        except EOFError:
            why = gone(self._running().status(), self._limits.cpu_seconds)
        raise BudgetError(f"{why}, rendering {shown}")

    def _rendered(self, shown: str, template: bytes, variables: bytes) -> bytes:
        worker = self._running()
        worker.send(TEMPLATE, (template, variables))
        match worker.receive(ANSWER, _MAX_ANSWER_BYTES)[1]:
            case (True, bytes(text)):
                return text
            case (False, bytes(problem), int(line)):
                place = f"{shown}:{line}" if line else shown
                raise VerbError(f"{place}: {problem.decode('utf-8', 'backslashreplace')}")
            case _:
                raise BrokenProtocol("the answer is neither a text nor a problem")

    def _running(self) -> Conversation:
        """Return the worker; the first time, start it, after its sandbox was probed."""
        if self._worker is None:
            demand_sandbox(self._module)
            job = (b"templates", self._limits.cpu_seconds)
            self._worker = self._ends.enter_context(conversation(job, self._patience, self._module))
        return self._worker
