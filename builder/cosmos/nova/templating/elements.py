"""What filters, tests and expressions all do with values: elements, keys, attributes, comparison and order."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from cosmos.nova.templating.secret import demand_no_secret
from cosmos.nova.templating.values import Missing, Value, Work, kind_of, quoted

Filter: TypeAlias = Callable[..., "Value | Missing"]  # (work, value, *arguments)

_TO_UPPER: Final = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def lowered(text: str) -> str:
    """Return `text` with small letters of ASCII."""
    return text.translate(_TO_LOWER)


def uppered(text: str) -> str:
    """Return `text` with large letters of ASCII."""
    return text.translate(_TO_UPPER)


def elements(value: Value, work: Work) -> list[Value]:
    """Return what a loop over `value` goes through: elements, keys, or characters. Raises `TypeError` for a number."""
    if not isinstance(value, (list, dict, str)):
        raise TypeError(f"{kind_of(value)} has no elements")
    work.charge(1 + len(value))
    return list(value)


def child(value: Value, key: Value) -> Value | Missing:
    """Return `value[key]`: the value of a mapping's key, or the element of a list or text at a place."""
    if isinstance(value, dict):
        if not isinstance(key, str):
            return Missing(f"{kind_of(key)} is no key of a mapping")
        return value[key] if key in value else Missing(f"the mapping has no key {quoted(key[:80])}")
    if isinstance(key, str):
        return Missing(f"{kind_of(value)} has no attribute {quoted(key[:80])}")
    if not isinstance(value, (list, str)) or not isinstance(key, int) or isinstance(key, bool):
        return Missing(f"{kind_of(value)} has no element at {kind_of(key)}")
    if -len(value) <= key < len(value):
        return value[key]
    return Missing(f"{kind_of(value)} with {len(value)} elements has none at {key}")


def attribute_of(value: Value, path: Value, work: Work) -> Value | Missing:
    """Return `value.a.0.b` for the path `a.0.b`."""
    work.charge(1)
    if isinstance(path, int):
        return child(value, path)
    found: Value | Missing = value
    for part in words_of(path).split("."):
        work.charge(1)
        if isinstance(found, Missing):
            return found
        is_place = part.isascii() and part.isdigit() and len(part) < 19
        found = child(found, int(part) if is_place else part)
    return found


def needed(found: Value | Missing) -> Value:
    """Return a value that is there; raises `LookupError` for one that is not."""
    if isinstance(found, Missing):
        raise LookupError(found.why)
    return found


def words_of(value: Value) -> str:
    """Return a value that is text; raises `TypeError` for another."""
    if not isinstance(value, str):
        raise TypeError(f"wants text, not {kind_of(value)}")
    return value


def count_of(value: Value, what: str, least: int = 0) -> int:
    """Return a whole number of at least `least`, which is called `what`; raises `TypeError` or `ValueError`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} is a whole number, not {kind_of(value)}")
    if value < least:
        raise ValueError(f"{what} is {least} or more, not {value}")
    return value


def number_of(value: Value) -> int | float:
    """Return a value that is a number; raises `TypeError` for another."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"wants a number, not {kind_of(value)}")
    return value


def mapping_of(value: Value) -> dict[str, Value]:
    """Return a value that is a mapping; raises `TypeError` for another."""
    if not isinstance(value, dict):
        raise TypeError(f"wants a mapping, not {kind_of(value)}")
    return value


def compared(operator: str, left: Value, right: Value, work: Work) -> bool:
    """Return `left operator right`, for Jinja2's names of comparisons; raises `TypeError` for what has no order."""
    demand_no_secret((left, right), "compared")
    if not (_is_short(left) and _is_short(right)):
        work.look(left)
        work.look(right)
    if operator == "eq":
        return left == right
    if operator == "ne":
        return left != right
    if operator in ("in", "notin"):
        return _holds(right, left) == (operator == "in")
    low, high = (left, right) if operator in ("lt", "lteq") else (right, left)
    _demand_order(low, high)
    one, other = cast(int, low), cast(int, high)  # they have an order, whatever they are
    return one < other if operator in ("lt", "gt") else one <= other


def _is_short(value: Value) -> bool:
    return not isinstance(value, (list, dict)) and not (isinstance(value, str) and len(value) > 1000)


def _holds(whole: Value, part: Value) -> bool:
    if isinstance(whole, str) and isinstance(part, str):
        return part in whole
    if isinstance(whole, dict):
        return isinstance(part, str) and part in whole
    if isinstance(whole, list):
        return part in whole
    raise TypeError(f"{kind_of(part)} cannot be in {kind_of(whole)}")


def _demand_order(one: Value, other: Value) -> None:
    kinds = ((int, float), str, list)
    if not any(isinstance(one, kind) and isinstance(other, kind) for kind in kinds):
        raise TypeError(f"{kind_of(one)} and {kind_of(other)} have no order")


def sort_keys(items: list[Value], case_sensitive: Value, attribute: Value, work: Work) -> list[list[Value]]:
    """Return, for each of `items`, the values that it is sorted by; raises `TypeError` if they have no order."""
    paths: list[Value] = [None]
    if attribute is not None:
        paths = list(attribute.split(",")) if isinstance(attribute, str) else [attribute]
    keys = []
    for item in items:
        key = [item if path is None else needed(attribute_of(item, path, work)) for path in paths]
        keys.append([lowered(part) if isinstance(part, str) and not case_sensitive else part for part in key])
    for place in range(len(paths)):
        column = [key[place] for key in keys]
        for one in column:
            _demand_order(column[0], one)
            work.look(one)
    work.charge(len(items) * len(items).bit_length())
    return keys


def in_order(items: list[Value], keys: list[list[Value]], reverse: Value) -> list[Value]:
    """Return `items` in the order of their keys."""
    order = sorted(range(len(items)), key=lambda place: cast("list[int]", keys[place]), reverse=bool(reverse))
    return [items[place] for place in order]


def made(work: Work, text: str) -> str:
    """Return text that was made, after its work is counted."""
    work.make(len(text))
    return text
