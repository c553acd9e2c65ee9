"""The filters of lists and mappings. Each takes the template's work, the value before it, and its own arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn, cast

from cosmos.nova.templating.elements import (
    Filter,
    attribute_of,
    count_of,
    elements,
    in_order,
    lowered,
    made,
    mapping_of,
    needed,
    number_of,
    sort_keys,
)
from cosmos.nova.templating.secret import demand_no_secret
from cosmos.nova.templating.values import Missing, Value, Work, kind_of, number, text_of

_IN_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_MAX_INDENT: Final = 16  # of tojson()


def _batch(work: Work, value: Value, linecount: Value, fill_with: Value = None) -> Value:
    items, width = elements(value, work), count_of(linecount, "a batch", 1)
    rows: list[Value] = []
    for place in range(0, len(items), width):
        row = items[place : place + width]
        if fill_with is not None and len(row) < width:
            work.charge(width)
            row += [fill_with] * (width - len(row))
        rows.append(row)
    return rows


def _dictsort(work: Work, value: Value, case_sensitive: Value = False, by: Value = "key", reverse: Value = False) -> (
    Value
):  # fmt: skip
    if by not in ("key", "value"):
        raise ValueError('dictsort sorts by="key" or by="value"')
    pairs: list[Value] = [[key, one] for key, one in mapping_of(value).items()]
    keys = sort_keys(pairs, case_sensitive, 0 if by == "key" else 1, work)
    return in_order(pairs, keys, reverse)


def _first(work: Work, value: Value) -> Value | Missing:
    items = elements(value, work)
    return items[0] if items else Missing("an empty list has no first element")


def _last(work: Work, value: Value) -> Value | Missing:
    items = elements(value, work)
    return items[-1] if items else Missing("an empty list has no last element")


def _items(work: Work, value: Value) -> Value:
    mapping = mapping_of(value)
    work.charge(3 * len(mapping))
    return [[key, one] for key, one in mapping.items()]


def _join(work: Work, value: Value, d: Value = "", attribute: Value = None) -> Value:
    items = elements(value, work)
    if attribute is not None:
        items = [needed(attribute_of(item, attribute, work)) for item in items]
    texts, between = [text_of(item, work) for item in items], text_of(d, work)
    work.make(sum(map(len, texts)) + len(between) * max(len(texts) - 1, 0))
    return between.join(texts)


def _length(_work: Work, value: Value) -> Value:
    if not isinstance(value, (str, list, dict)):
        raise TypeError(f"{kind_of(value)} has no length")
    return len(value)


def _list(work: Work, value: Value) -> Value:
    return elements(value, work)


def _max(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value | Missing:
    items = elements(value, work)
    keys = sort_keys(items, case_sensitive, attribute, work)
    if not items:
        return Missing("an empty list has no largest element")
    return items[max(range(len(items)), key=lambda place: cast("list[int]", keys[place]))]


def _min(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value | Missing:
    items = elements(value, work)
    keys = sort_keys(items, case_sensitive, attribute, work)
    if not items:
        return Missing("an empty list has no smallest element")
    return items[min(range(len(items)), key=lambda place: cast("list[int]", keys[place]))]


def _reverse(work: Work, value: Value) -> Value:
    if isinstance(value, str):
        return made(work, value[::-1])
    return elements(value, work)[::-1]


def _slice(work: Work, value: Value, slices: Value, fill_with: Value = None) -> Value:
    items, columns = elements(value, work), count_of(slices, "the number of slices", 1)
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
    return in_order(items, sort_keys(items, case_sensitive, attribute, work), reverse)


def _sum(work: Work, value: Value, attribute: Value = None, start: Value = 0) -> Value:
    total = number_of(start)
    for item in elements(value, work):
        found = item if attribute is None else needed(attribute_of(item, attribute, work))
        total = number(total + number_of(found))
    return total


def _tojson(work: Work, value: Value, indent: Value = None) -> Value:
    work.look(value)
    if indent is not None and count_of(indent, "an indent") > _MAX_INDENT:
        raise ValueError(f"an indent is at most {_MAX_INDENT}")
    encoder = json.JSONEncoder(sort_keys=True, indent=cast("int | None", indent), allow_nan=False, default=_no_json)
    pieces = []
    for piece in encoder.iterencode(value):
        work.make(len(piece))
        pieces.append(piece)
    return made(work, "".join(pieces).translate(_IN_HTML))


def _no_json(value: object) -> NoReturn:
    demand_no_secret((value,), "a part of JSON: put it through tojson by itself")
    raise TypeError(f"{type(value).__name__} is no value")


def _unique(work: Work, value: Value, case_sensitive: Value = False, attribute: Value = None) -> Value:
    items = elements(value, work)
    seen: dict[tuple[str, Value], Value] = {}
    for item in items:
        key = item if attribute is None else needed(attribute_of(item, attribute, work))
        if isinstance(key, (list, dict)):
            raise TypeError(f"unique compares text and numbers, not {kind_of(key)}")
        if isinstance(key, str) and not case_sensitive:
            key = lowered(key)
        seen.setdefault(("text" if isinstance(key, str) else "", key), item)
    return list(seen.values())


LIST_FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "batch": _batch, "count": _length, "dictsort": _dictsort, "first": _first, "items": _items, "join": _join,
        "last": _last, "length": _length, "list": _list, "max": _max, "min": _min, "reverse": _reverse, "slice":
        _slice, "sort": _sort, "sum": _sum, "tojson": _tojson, "unique": _unique,
    }
)  # fmt: skip
