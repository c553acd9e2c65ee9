"""Compare two TOML or JSON documents: every dotted path at which they differ.

An array of tables whose tables have a `name` is compared by name, so that a new star is one line and not all that come
after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cosmos.canon import canonical_json
from cosmos.tables import Table

_SHOWN_CHARACTERS: Final = 100  # of one value


def document(data: bytes, source: str, *, is_json: bool) -> Mapping[str, object]:
    """Return the values of a TOML or JSON document. Raises `Malformed`."""
    table = (Table.from_json if is_json else Table.parse)(data, source, max_bytes=max(len(data), 1))
    return {key: table.value(key) for key in table.keys()}


def document_differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Yield a line for each dotted path at which the values differ.

    >>> list(document_differences({"a": {"b": 1}, "c": [1]}, {"a": {"b": 2}, "c": [1]}))
    ['a.b: 1 -> 2']
    """
    if before == after and type(before) is type(after):
        return
    old, new = _by_key(before), _by_key(after)
    if old is None or new is None:
        yield f"{path or 'the document'}: {_shown(before)} -> {_shown(after)}"
        return
    for key in [*old, *(key for key in new if key not in old)]:
        here = f"{path}.{key}" if path else key
        if key not in new:
            yield f"{here}: removed, was {_shown(old[key])}"
        elif key not in old:
            yield f"{here}: added, is {_shown(new[key])}"
        else:
            yield from document_differences(old[key], new[key], here)


def _by_key(value: object) -> Mapping[str, object] | None:
    """Return a table, or an array of named tables by their names; None for any other value."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and value and all(isinstance(row, dict) and _name(row) for row in value):
        rows = {_name(row): row for row in value}
        return rows if len(rows) == len(value) else None
    return None


def _name(row: Mapping[str, object]) -> str:
    name = row.get("name") or row.get("path") or row.get("uri")
    return name if isinstance(name, str) else ""


def _shown(value: object) -> str:
    """Return a value on one line, cut."""
    try:
        text = canonical_json(value).decode()  # type: ignore[arg-type]  # dates and floats of TOML are not JSON
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
