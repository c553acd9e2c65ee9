"""The tests of templates, as in `x is defined`: all that there are, and what each asks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from cosmos.nova.templating.elements import compared, lowered, number_of, uppered
from cosmos.nova.templating.secret import demand_no_secret
from cosmos.nova.templating.values import Missing, Value, Work, text_of

Test: TypeAlias = Callable[..., bool]  # (work, value, *arguments)


def tested(name: str, value: Value | Missing, work: Work, given: Sequence[Value], named: Mapping[str, Value]) -> bool:
    """Return whether `value is name(…)`; raises `ValueError`, `TypeError`, `ArithmeticError` or `LookupError`."""
    action = TESTS.get(name)
    if action is None:
        raise LookupError(f"no test is called {name!r}")
    if isinstance(value, Missing) and action not in (_is_defined, _is_undefined):
        raise LookupError(value.why)
    if action not in (_is_defined, _is_undefined):
        demand_no_secret((value, *given, *named.values()), f"tested: is {name}")
    try:
        _SIGNATURES[action].bind(work, value, *given, **named)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    return action(work, value, *given, **named)


def _is_boolean(_work: Work, value: Value) -> bool:
    return isinstance(value, bool)


def _is_defined(_work: Work, value: Value | Missing) -> bool:
    return not isinstance(value, Missing)


def _is_divisible(_work: Work, value: Value, num: Value) -> bool:
    if not number_of(num):
        raise ZeroDivisionError("nothing is divisible by zero")
    return number_of(value) % number_of(num) == 0


def _is_even(_work: Work, value: Value) -> bool:
    return number_of(value) % 2 == 0


def _is_false(_work: Work, value: Value) -> bool:
    return value is False


def _is_float(_work: Work, value: Value) -> bool:
    return isinstance(value, float)


def _is_in(work: Work, value: Value, seq: Value) -> bool:
    return compared("in", value, seq, work)


def _is_integer(_work: Work, value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_iterable(_work: Work, value: Value) -> bool:
    return isinstance(value, (str, list, dict))


def _is_lower(work: Work, value: Value) -> bool:
    text = text_of(value, work)
    return text == lowered(text) != uppered(text)


def _is_mapping(_work: Work, value: Value) -> bool:
    return isinstance(value, dict)


def _is_none(_work: Work, value: Value) -> bool:
    return value is None


def _is_number(_work: Work, value: Value) -> bool:
    return isinstance(value, (int, float))


def _is_odd(_work: Work, value: Value) -> bool:
    return number_of(value) % 2 == 1


def _is_string(_work: Work, value: Value) -> bool:
    return isinstance(value, str)


def _is_true(_work: Work, value: Value) -> bool:
    return value is True


def _is_undefined(_work: Work, value: Value | Missing) -> bool:
    return isinstance(value, Missing)


def _is_upper(work: Work, value: Value) -> bool:
    text = text_of(value, work)
    return text == uppered(text) != lowered(text)


def _comparison(operator: str) -> Test:
    def holds(work: Work, value: Value, other: Value) -> bool:
        return compared(operator, value, other, work)

    return holds


_COMPARISONS: Final[Mapping[str, tuple[str, ...]]] = {
    "eq": ("==", "eq", "equalto"), "ne": ("!=", "ne"), "lt": ("<", "lt", "lessthan"), "lteq": ("<=", "le"),
    "gt": (">", "gt", "greaterthan"), "gteq": (">=", "ge"),
}  # fmt: skip
TESTS: Final[Mapping[str, Test]] = MappingProxyType(
    {
        "boolean": _is_boolean, "defined": _is_defined, "divisibleby": _is_divisible, "even": _is_even,
        "false": _is_false, "float": _is_float, "in": _is_in, "integer": _is_integer, "iterable": _is_iterable,
        "lower": _is_lower, "mapping": _is_mapping, "none": _is_none, "number": _is_number, "odd": _is_odd,
        "sequence": _is_iterable, "string": _is_string, "true": _is_true, "undefined": _is_undefined,
        "upper": _is_upper,
        **{name: _comparison(operator) for operator, names in _COMPARISONS.items() for name in names},
    }
)  # fmt: skip
_SIGNATURES: Final = {test: inspect.signature(test) for test in TESTS.values()}
