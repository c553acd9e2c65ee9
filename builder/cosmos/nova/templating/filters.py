"""The filters and tests of templates: all that there are, and what each does.

They do what Jinja2's manual says of them, with four differences. `upper`, `lower` and the others know the letters of
ASCII. Where Jinja2 gives an iterator, a pair or a tuple, there is a list. What would depend on a locale, on chance, on
the order of a hash, or on a table of Python is not there. A missing argument is an error that names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cosmos.nova.templating.conditions import tested
from cosmos.nova.templating.elements import Filter, attribute_of, elements, needed, words_of
from cosmos.nova.templating.list_filters import LIST_FILTERS
from cosmos.nova.templating.secret import KEEPING_FILTERS, Secret, demand_no_secret
from cosmos.nova.templating.text_filters import TEXT_FILTERS
from cosmos.nova.templating.values import Missing, Value, Work, text_of


def filtered(name: str, value: Value | Missing, work: Work, given: Sequence[Value], named: Mapping[str, Value]) -> (
    Value | Missing
):  # fmt: skip
    """Return `value|name(…)`; raises `ValueError`, `TypeError`, `ArithmeticError` or `LookupError`."""
    action = FILTERS.get(name)
    if action is None:
        raise LookupError(f"no filter is called {name!r}")
    if isinstance(value, Missing) and action is not _default:
        raise LookupError(value.why)
    try:
        _SIGNATURES[action].bind(work, value, *given, **named)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if action is not _default:
        demand_no_secret((*given, *named.values()), f"given to the filter {name}")
    if isinstance(value, Secret) and action is not _default:
        if name not in KEEPING_FILTERS:
            raise value.refused(f"put through the filter {name}")
        return Secret(text_of(needed(action(work, value.revealed(), *given, **named)), work), value.names)
    made = action(work, value, *given, **named)
    return made if isinstance(made, Missing) else work.shallow(made)


def _default(_work: Work, value: Value | Missing, default_value: Value = "", boolean: Value = False) -> Value:
    return default_value if isinstance(value, Missing) or (boolean and not value) else value


def _map(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    items = elements(value, work)
    if not given:
        if not named.keys() <= {"attribute", "default"} or "attribute" not in named:
            raise TypeError("map wants the name of a filter, or attribute=")
        found = [attribute_of(item, named["attribute"], work) for item in items]
        if "default" in named:
            return [named["default"] if isinstance(one, Missing) else one for one in found]
        return [needed(one) for one in found]
    name = words_of(given[0])
    mapped = []
    for item in items:
        work.charge(1)
        mapped.append(needed(filtered(name, item, work, given[1:], named)))
    return mapped


def _choose(work: Work, value: Value, attribute: Value, given: Sequence[Value], named: Mapping[str, Value]) -> (
    list[tuple[Value, bool]]
):  # fmt: skip
    """Return each element, with whether the test `given` holds for it, or for its `attribute`."""
    chosen = []
    for item in elements(value, work):
        subject = item if attribute is None else attribute_of(item, attribute, work)
        work.charge(1)
        if given:
            chosen.append((item, tested(words_of(given[0]), subject, work, given[1:], named)))
        else:
            chosen.append((item, bool(needed(subject))))
    return chosen


def _reject(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, None, given, named) if not holds]


def _rejectattr(work: Work, value: Value, attribute: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, attribute, given, named) if not holds]


def _select(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, None, given, named) if holds]


def _selectattr(work: Work, value: Value, attribute: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, attribute, given, named) if holds]


FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        **TEXT_FILTERS, **LIST_FILTERS, "d": _default, "default": _default, "map": _map, "reject": _reject,
        "rejectattr": _rejectattr, "select": _select, "selectattr": _selectattr,
    }
)  # fmt: skip
_SIGNATURES: Final = {action: inspect.signature(action) for action in FILTERS.values()}
