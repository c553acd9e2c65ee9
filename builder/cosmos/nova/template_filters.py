"""The filters and tests of templates: all that there are, and what each does.

They do what Jinja2's manual says of them, with four differences. `upper`, `lower` and the others know the letters of
ASCII. Where Jinja2 gives an iterator, a pair or a tuple, there is a list. What would depend on a locale, on chance, on
the order of a hash, or on a table of Python is not there. A missing argument is an error that names it.
"""

from __future__ import annotations

import inspect
import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from cosmos.nova.template_values import Missing, Value, Work, kind_of, number, quoted, text_of

Filter: TypeAlias = Callable[..., "Value | Missing"]  # (work, value, *arguments)
Test: TypeAlias = Callable[..., bool]  # (work, value, *arguments)

_SPACE: Final = " \t\n\r\v\f"
_TO_UPPER: Final = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_WORD_BREAKS: Final = re.compile(r"([-\s({\[<]+)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_BASED: Final = re.compile(r"[+-]?(0[xX]|0[oO]|0[bB])?[0-9a-zA-Z]{1,64}", re.ASCII)
_FRACTION: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_UNRESERVED: Final = frozenset((string.ascii_letters + string.digits + "_.-~").encode())
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;"})
_IN_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_MAX_DIGITS: Final = 20  # of round(): a fraction has 17
_MAX_INDENT: Final = 16  # of tojson()


def elements(value: Value, work: Work) -> list[Value]:
    """Return what a loop over `value` goes through: elements, keys, or characters."""
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


def filtered(name: str, value: Value | Missing, work: Work, given: Sequence[Value], named: Mapping[str, Value]) -> (
    Value | Missing
):  # fmt: skip
    """Return `value|name(…)`; raises `ValueError`, `TypeError`, `ArithmeticError` or `LookupError`."""
    action = FILTERS.get(name)
    if action is None:
        raise LookupError(f"no filter is called {name!r}")
    if isinstance(value, Missing) and action is not _default:
        raise LookupError(value.why)
    _bound(name, action, given, named)
    made = action(work, value, *given, **named)
    return made if isinstance(made, Missing) else work.shallow(made)


def tested(name: str, value: Value | Missing, work: Work, given: Sequence[Value], named: Mapping[str, Value]) -> bool:
    """Return whether `value is name(…)`; raises `ValueError`, `TypeError`, `ArithmeticError` or `LookupError`."""
    action = TESTS.get(name)
    if action is None:
        raise LookupError(f"no test is called {name!r}")
    if isinstance(value, Missing) and action not in (_is_defined, _is_undefined):
        raise LookupError(value.why)
    _bound(name, action, given, named)
    return action(work, value, *given, **named)


def compared(operator: str, left: Value, right: Value, work: Work) -> bool:
    """Return `left operator right`, for Jinja2's names of comparisons; raises `TypeError` for what has no order."""
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


def _bound(name: str, action: Filter | Test, given: Sequence[Value], named: Mapping[str, Value]) -> None:
    try:
        _SIGNATURES[action].bind(None, None, *given, **named)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _count(value: Value, what: str, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} is a whole number, not {kind_of(value)}")
    if value < least:
        raise ValueError(f"{what} is {least} or more, not {value}")
    return value


def _as_number(value: Value) -> int | float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"wants a number, not {kind_of(value)}")
    return value


def _as_mapping(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise TypeError(f"wants a mapping, not {kind_of(value)}")
    return value


def _words(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"wants text, not {kind_of(value)}")
    return value


def _attribute(value: Value, path: Value, work: Work) -> Value | Missing:
    """Return `value.a.0.b` for the path `a.0.b`."""
    work.charge(1)
    if isinstance(path, int):
        return child(value, path)
    found: Value | Missing = value
    for part in _words(path).split("."):
        work.charge(1)
        if isinstance(found, Missing):
            return found
        is_place = part.isascii() and part.isdigit() and len(part) < 19
        found = child(found, int(part) if is_place else part)
    return found


def _needed(found: Value | Missing) -> Value:
    if isinstance(found, Missing):
        raise LookupError(found.why)
    return found


def _keys(items: list[Value], case_sensitive: Value, attribute: Value, work: Work) -> list[list[Value]]:
    """Return, for each of `items`, the values that it is sorted by; raises if they have no order."""
    paths: list[Value] = [None]
    if attribute is not None:
        paths = list(attribute.split(",")) if isinstance(attribute, str) else [attribute]
    keys = []
    for item in items:
        key = [item if path is None else _needed(_attribute(item, path, work)) for path in paths]
        keys.append([_lowered(part) if isinstance(part, str) and not case_sensitive else part for part in key])
    for place in range(len(paths)):
        column = [key[place] for key in keys]
        for one in column:
            _demand_order(column[0], one)
            work.look(one)
    work.charge(len(items) * len(items).bit_length())
    return keys


def _sorted(items: list[Value], keys: list[list[Value]], reverse: Value) -> list[Value]:
    order = sorted(range(len(items)), key=lambda place: cast("list[int]", keys[place]), reverse=bool(reverse))
    return [items[place] for place in order]


def _lowered(text: str) -> str:
    return text.translate(_TO_LOWER)


def _uppered(text: str) -> str:
    return text.translate(_TO_UPPER)


def _made(work: Work, text: str) -> str:
    work.make(len(text))
    return text


def _abs(_work: Work, value: Value) -> Value:
    return number(abs(_as_number(value)))


def _batch(work: Work, value: Value, linecount: Value, fill_with: Value = None) -> Value:
    items, width = elements(value, work), _count(linecount, "a batch", 1)
    rows: list[Value] = []
    for place in range(0, len(items), width):
        row = items[place : place + width]
        if fill_with is not None and len(row) < width:
            work.charge(width)
            row += [fill_with] * (width - len(row))
        rows.append(row)
    return rows


def _capitalize(work: Work, value: Value) -> Value:
    text = text_of(value, work)
    return _made(work, _uppered(text[:1]) + _lowered(text[1:]))


def _center(work: Work, value: Value, width: Value = 80) -> Value:
    text, wide = text_of(value, work), _count(width, "a width")
    work.make(max(wide, len(text)))
    return text.center(wide)


def _default(_work: Work, value: Value | Missing, default_value: Value = "", boolean: Value = False) -> Value:
    return default_value if isinstance(value, Missing) or (boolean and not value) else value


def _dictsort(work: Work, value: Value, case_sensitive: Value = False, by: Value = "key", reverse: Value = False) -> (
    Value
):  # fmt: skip
    if by not in ("key", "value"):
        raise ValueError('dictsort sorts by="key" or by="value"')
    pairs: list[Value] = [[key, one] for key, one in _as_mapping(value).items()]
    keys = _keys(pairs, case_sensitive, 0 if by == "key" else 1, work)
    return _sorted(pairs, keys, reverse)


def _escape(work: Work, value: Value) -> Value:
    text = text_of(value, work)
    work.make(len(text) + 4 * sum(map(text.count, "&<>'\"")))
    return text.translate(_HTML)


def _first(work: Work, value: Value) -> Value | Missing:
    items = elements(value, work)
    return items[0] if items else Missing("an empty list has no first element")


def _last(work: Work, value: Value) -> Value | Missing:
    items = elements(value, work)
    return items[-1] if items else Missing("an empty list has no last element")


def _float(_work: Work, value: Value, default: Value = 0.0) -> Value:
    if isinstance(value, (int, float)):
        return number(float(value))
    if isinstance(value, str) and len(value) <= 400 and _FRACTION.fullmatch(value.strip(_SPACE)):
        return number(float(value.strip(_SPACE)))
    return default


def _indent(work: Work, value: Value, width: Value = 4, first: Value = False, blank: Value = False) -> Value:
    text = text_of(value, work)
    before = width if isinstance(width, str) else None
    size = len(before) if before is not None else _count(width, "a width")
    work.make(len(text) + size * (text.count("\n") + 1))
    before = before if before is not None else " " * size
    start, *lines = text.split("\n")
    rest = [before + line if line or blank else line for line in lines]
    return "\n".join([before + start if first else start, *rest])


def _int(_work: Work, value: Value, default: Value = 0, base: Value = 10) -> Value:
    radix = _count(base, "a base", 2)
    if radix > 36:
        raise ValueError("a base is at most 36")
    if isinstance(value, (int, float)):
        return number(int(value))
    text = value.strip(_SPACE) if isinstance(value, str) and len(value) <= 400 else ""
    if radix == 10 and _INTEGER.fullmatch(text):
        return number(int(text))
    if radix != 10 and _BASED.fullmatch(text):
        try:
            return number(int(text, radix))
        except ValueError:
            return default
    return number(int(number(float(text)))) if _FRACTION.fullmatch(text) else default


def _items(work: Work, value: Value) -> Value:
    mapping = _as_mapping(value)
    work.charge(3 * len(mapping))
    return [[key, one] for key, one in mapping.items()]


def _join(work: Work, value: Value, d: Value = "", attribute: Value = None) -> Value:
    items = elements(value, work)
    if attribute is not None:
        items = [_needed(_attribute(item, attribute, work)) for item in items]
    texts, between = [text_of(item, work) for item in items], text_of(d, work)
    work.make(sum(map(len, texts)) + len(between) * max(len(texts) - 1, 0))
    return between.join(texts)


def _length(_work: Work, value: Value) -> Value:
    if not isinstance(value, (str, list, dict)):
        raise TypeError(f"{kind_of(value)} has no length")
    return len(value)


def _list(work: Work, value: Value) -> Value:
    return elements(value, work)


def _lower(work: Work, value: Value) -> Value:
    return _made(work, _lowered(text_of(value, work)))


def _map(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    items = elements(value, work)
    if not given:
        if not named.keys() <= {"attribute", "default"} or "attribute" not in named:
            raise TypeError("map wants the name of a filter, or attribute=")
        found = [_attribute(item, named["attribute"], work) for item in items]
        if "default" in named:
            return [named["default"] if isinstance(one, Missing) else one for one in found]
        return [_needed(one) for one in found]
    name = _words(given[0])
    mapped = []
    for item in items:
        work.charge(1)
        mapped.append(_needed(filtered(name, item, work, given[1:], named)))
    return mapped


def _max(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value | Missing:
    items = elements(value, work)
    keys = _keys(items, case_sensitive, attribute, work)
    if not items:
        return Missing("an empty list has no largest element")
    return items[max(range(len(items)), key=lambda place: cast("list[int]", keys[place]))]


def _min(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value | Missing:
    items = elements(value, work)
    keys = _keys(items, case_sensitive, attribute, work)
    if not items:
        return Missing("an empty list has no smallest element")
    return items[min(range(len(items)), key=lambda place: cast("list[int]", keys[place]))]


def _replace(work: Work, value: Value, old: Value, new: Value, count: Value = None) -> Value:
    text, before, after = text_of(value, work), text_of(old, work), text_of(new, work)
    times = -1 if count is None else _count(count, "a count")
    found = text.count(before) if times < 0 else min(times, text.count(before))
    work.make(len(text) + found * max(len(after) - len(before), 0))
    return text.replace(before, after, times)


def _reverse(work: Work, value: Value) -> Value:
    if isinstance(value, str):
        return _made(work, value[::-1])
    return elements(value, work)[::-1]


def _round(_work: Work, value: Value, precision: Value = 0, method: Value = "common") -> Value:
    if method not in ("common", "ceil", "floor"):
        raise ValueError('round has method="common", "ceil" or "floor"')
    given = _as_number(value)
    if not isinstance(precision, int) or not -_MAX_DIGITS <= precision <= _MAX_DIGITS:
        raise ValueError(f"a precision lies between -{_MAX_DIGITS} and {_MAX_DIGITS}")
    if method == "common":
        return number(round(given, precision))
    scaled = number(given * 10**precision)
    whole = int(scaled)  # towards zero
    if method == "ceil":
        whole += whole < scaled
    else:
        whole -= whole > scaled
    return number(whole / 10**precision)


def _choose(work: Work, value: Value, attribute: Value, given: Sequence[Value], named: Mapping[str, Value]) -> (
    list[tuple[Value, bool]]
):  # fmt: skip
    """Return each element, with whether the test `given` holds for it, or for its `attribute`."""
    chosen = []
    for item in elements(value, work):
        subject = item if attribute is None else _attribute(item, attribute, work)
        work.charge(1)
        if given:
            chosen.append((item, tested(_words(given[0]), subject, work, given[1:], named)))
        else:
            chosen.append((item, bool(_needed(subject))))
    return chosen


def _reject(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, None, given, named) if not holds]


def _rejectattr(work: Work, value: Value, attribute: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, attribute, given, named) if not holds]


def _select(work: Work, value: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, None, given, named) if holds]


def _selectattr(work: Work, value: Value, attribute: Value, *given: Value, **named: Value) -> Value:
    return [item for item, holds in _choose(work, value, attribute, given, named) if holds]


def _slice(work: Work, value: Value, slices: Value, fill_with: Value = None) -> Value:
    items, columns = elements(value, work), _count(slices, "the number of slices", 1)
    work.charge(columns)
    each, extra = divmod(len(items), columns)
    made: list[Value] = []
    start = 0
    for place in range(columns):
        end = start + each + (place < extra)
        row = items[start:end]
        made.append([*row, fill_with] if fill_with is not None and place >= extra and extra else row)
        start = end
    return made


def _sort(work: Work, value: Value, reverse: Value = False, case_sensitive: Value = False, attribute: Value = None) -> (
    Value
):  # fmt: skip
    items = elements(value, work)
    return _sorted(items, _keys(items, case_sensitive, attribute, work), reverse)


def _string(work: Work, value: Value) -> Value:
    return text_of(value, work)


def _sum(work: Work, value: Value, attribute: Value = None, start: Value = 0) -> Value:
    total = _as_number(start)
    for item in elements(value, work):
        found = item if attribute is None else _needed(_attribute(item, attribute, work))
        total = number(total + _as_number(found))
    return total


def _title(work: Work, value: Value) -> Value:
    words = _WORD_BREAKS.split(text_of(value, work))
    return _made(work, "".join(_uppered(word[:1]) + _lowered(word[1:]) for word in words))


def _tojson(work: Work, value: Value, indent: Value = None) -> Value:
    work.look(value)
    if indent is not None and _count(indent, "an indent") > _MAX_INDENT:
        raise ValueError(f"an indent is at most {_MAX_INDENT}")
    encoder = json.JSONEncoder(sort_keys=True, indent=cast("int | None", indent), allow_nan=False)
    pieces = []
    for piece in encoder.iterencode(value):
        work.make(len(piece))
        pieces.append(piece)
    return _made(work, "".join(pieces).translate(_IN_HTML))


def _trim(work: Work, value: Value, chars: Value = None) -> Value:
    return _made(work, text_of(value, work).strip(_SPACE if chars is None else _words(chars)))


def _unique(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value:
    items = elements(value, work)
    seen: dict[tuple[str, Value], Value] = {}
    for item in items:
        key = item if attribute is None else _needed(_attribute(item, attribute, work))
        if isinstance(key, (list, dict)):
            raise TypeError(f"unique compares text and numbers, not {kind_of(key)}")
        if isinstance(key, str) and not case_sensitive:
            key = _lowered(key)
        seen.setdefault(("text" if isinstance(key, str) else "", key), item)
    return list(seen.values())


def _upper(work: Work, value: Value) -> Value:
    return _made(work, _uppered(text_of(value, work)))


def _urlencode(work: Work, value: Value) -> Value:
    if not isinstance(value, (list, dict)):
        return _percent(text_of(value, work), b"/", work)
    pairs = _items(work, value) if isinstance(value, dict) else value
    pieces = []
    for pair in cast("list[Value]", pairs):
        if not isinstance(pair, list) or len(pair) != 2:
            raise TypeError("urlencode wants text, a mapping, or a list of pairs")
        pieces.append("=".join(_percent(text_of(one, work), b"", work).replace("%20", "+") for one in pair))
    return _made(work, "&".join(pieces))


def _percent(text: str, safe: bytes, work: Work) -> str:
    data = text.encode()
    work.make(3 * len(data))
    return "".join(chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}" for byte in data)


def _is_boolean(_work: Work, value: Value) -> bool:
    return isinstance(value, bool)


def _is_defined(_work: Work, value: Value | Missing) -> bool:
    return not isinstance(value, Missing)


def _is_divisible(_work: Work, value: Value, num: Value) -> bool:
    if not _as_number(num):
        raise ZeroDivisionError("nothing is divisible by zero")
    return _as_number(value) % _as_number(num) == 0


def _is_even(_work: Work, value: Value) -> bool:
    return _as_number(value) % 2 == 0


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
    return text == _lowered(text) != _uppered(text)


def _is_mapping(_work: Work, value: Value) -> bool:
    return isinstance(value, dict)


def _is_none(_work: Work, value: Value) -> bool:
    return value is None


def _is_number(_work: Work, value: Value) -> bool:
    return isinstance(value, (int, float))


def _is_odd(_work: Work, value: Value) -> bool:
    return _as_number(value) % 2 == 1


def _is_string(_work: Work, value: Value) -> bool:
    return isinstance(value, str)


def _is_true(_work: Work, value: Value) -> bool:
    return value is True


def _is_undefined(_work: Work, value: Value | Missing) -> bool:
    return isinstance(value, Missing)


def _is_upper(work: Work, value: Value) -> bool:
    text = text_of(value, work)
    return text == _uppered(text) != _lowered(text)


def _comparison(operator: str) -> Test:
    def holds(work: Work, value: Value, other: Value) -> bool:
        return compared(operator, value, other, work)

    return holds


FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "abs": _abs, "batch": _batch, "capitalize": _capitalize, "center": _center, "count": _length, "d": _default,
        "default": _default, "dictsort": _dictsort, "e": _escape, "escape": _escape, "first": _first, "float": _float,
        "indent": _indent, "int": _int, "items": _items, "join": _join, "last": _last, "length": _length,
        "list": _list, "lower": _lower, "map": _map, "max": _max, "min": _min, "reject": _reject,
        "rejectattr": _rejectattr, "replace": _replace, "reverse": _reverse, "round": _round, "select": _select,
        "selectattr": _selectattr, "slice": _slice, "sort": _sort, "string": _string, "sum": _sum, "title": _title,
        "tojson": _tojson, "trim": _trim, "unique": _unique, "upper": _upper, "urlencode": _urlencode,
    }
)  # fmt: skip
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
_SIGNATURES: Final = {action: inspect.signature(action) for action in {*FILTERS.values(), *TESTS.values()}}
