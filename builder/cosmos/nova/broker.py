"""`Broker`: the trusted side of a script. It checks and counts each call of a verb, and writes it into the receipt.

The script runs in its own process (`nova.worker`). `sandbox.wire` reads its messages, which may be anything. Arguments
are bytes, integers, floats, booleans or None, with any value that a hostile script chooses. Answers are

    (True, value)      value is bytes, an integer, a boolean or None
    (False, problem)   an error of the script, which it may catch
    (None, reason)     the end of the script, which it may not

`hint_for` returns the hint that belongs to a problem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.limits import MAX_NOVA_REPLY_BYTES, MAX_SCRIPT_BYTES
from cosmos.nova.arguments import MAX_SHORT_BYTES, SHORT, TEXT, Signature
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import CALL_COST, BudgetError, Meter, VerbError
from cosmos.nova.receipt import Receipt
from cosmos.nova.verbs import Verbs
from cosmos.sandbox.values import Scalar

Answer: TypeAlias = "tuple[bool | None, Scalar]"

SIGNATURES: Final[dict[bytes, Signature]] = {
    b"copy": Signature(SHORT, SHORT),
    b"symlink": Signature(SHORT, SHORT),
    b"mkdir": Signature(SHORT, optional=("mode",)),
    b"chmod": Signature(SHORT, "mode"),
    b"chown": Signature(SHORT, int, int),
    b"exists": Signature(SHORT),
    b"write": Signature(SHORT, TEXT, optional=("mode",)),
    b"render": Signature(SHORT, SHORT, TEXT),
    b"setcap": Signature(SHORT, SHORT),
    b"mknod": Signature(SHORT, SHORT, optional=(int, int, "mode")),
    b"glob": Signature(SHORT),
    b"env": Signature(SHORT, optional=(bytes,)),
    b"log": Signature(TEXT),
    b"filemap": Signature(optional=(SHORT, "mode")),
    b"run": Signature(bytes, rest=bytes),
}


_MAX_PROBLEM: Final = 1000  # characters of an error that a script gets to see


class Broker:
    """One script's access to the virtual root."""

    def __init__(self, job: NovaJob, verbs: Verbs, meter: Meter) -> None:
        self._job = job
        self._verbs = verbs
        self._meter = meter
        self._last: VerbError | None = None
        self._failure: BaseException | None = None

    def call(self, verb: Scalar, args: tuple[object, ...], line: object = 0) -> Answer:
        """Run the verb that a script calls. Raises nothing: an error of our own is kept for `reraise`.

        `line` is the script's, as its worker says. It stands in the receipt and decides nothing.
        """
        self._verbs.line = line if type(line) is int and 0 < line <= MAX_SCRIPT_BYTES else 0
        try:
            return self._answer(verb, args)
        except VerbError as refusal:
            self._last = refusal
            return False, refusal.problem[:_MAX_PROBLEM].encode("utf-8", "backslashreplace")
        except BudgetError as over:
            return None, str(over).encode()
        except BaseException as failure:  # even an interrupt: Lua could catch it
            self._failure = failure
            return None, b"the host failed"

    def reraise(self) -> None:
        """Raise the error of our own side, if there was one."""
        if self._failure is not None:
            raise self._failure

    def hint_for(self, problem: str) -> str | None:
        """Return the hint that belongs to the error text `problem`."""
        last = self._last
        return last.hint if last is not None and problem.endswith(last.problem[:_MAX_PROBLEM]) else None

    def receipt(self, function: str) -> Receipt:
        """Return the receipt of the script so far."""
        return Receipt(script=self._job.script_name, function=function, events=tuple(self._verbs.events))

    def _answer(self, verb: Scalar, args: tuple[object, ...]) -> Answer:
        sizes = [len(arg) for arg in args if isinstance(arg, bytes)]
        self._meter.charge(CALL_COST + sum(size // 512 if size > MAX_SHORT_BYTES else 5 * size for size in sizes))
        signature = SIGNATURES.get(verb) if isinstance(verb, bytes) else None
        if signature is None or not isinstance(verb, bytes):
            raise BudgetError("it called an unknown verb")
        checked = signature.checked(args)
        method: Callable[..., Scalar] = getattr(self._verbs, verb.decode("ascii"))
        try:
            value = method(*checked)
        except (Refused, WorldFailed):
            raise  # not the script's fault, and not for it to catch
        except CosmosError as error:
            raise VerbError(str(error), hint=error.hint) from error
        if isinstance(value, bytes) and len(value) > MAX_NOVA_REPLY_BYTES:
            raise VerbError(f"the answer has {len(value)} bytes, the limit is {MAX_NOVA_REPLY_BYTES}")
        return True, value
