"""Canonical JSON: one value has one form in bytes, so that it has one digest.

Keys are sorted; there are no spaces and no floats; `\\u` escapes stand only where JSON demands them. Cosmos uses it for
the documents that it *writes* (indexes, receipts, statements, cache keys). It judges a received document by its exact
bytes.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring as _quoted
from typing import Final, TypeAlias

from cosmos.digest import Digest

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Json) -> bytes:
    """Return `value` as canonical JSON.

    >>> canonical_json({"b": [1, None], "a": "é"})
    b'{"a":"\\xc3\\xa9","b":[1,null]}'
    """
    return _ENCODER.encode(value).encode()


def readable_json(value: Json) -> bytes:
    """Return `value` as sorted, indented JSON with a final newline, for files that people open."""
    return readable_text(value).encode()


def readable_text(value: Json) -> str:
    """Return what `readable_json` encodes, for an answer that may name a path that is no UTF-8."""
    pieces: list[str] = []
    _add_readable(pieces, value, "\n")
    return "".join((*pieces, "\n"))


def _add_readable(pieces: list[str], value: Json, line: str) -> None:
    """Add the pieces of `value` as `json.dumps(value, sort_keys=True, indent=2)` has them, in a fourth of its time.

    `line` begins a line that is indented as the value.
    """
    if type(value) is str:
        pieces.append(_quoted(value))
    elif isinstance(value, dict) and value:
        below, before = f"{line}  ", "{"
        for key in sorted(value):
            pieces += (before, below, _quoted(key), ": ")
            _add_readable(pieces, value[key], below)
            before = ","
        pieces += (line, "}")
    elif isinstance(value, list | tuple) and value:
        below, before = f"{line}  ", "["
        for item in value:
            pieces += (before, below)
            _add_readable(pieces, item, below)
            before = ","
        pieces += (line, "]")
    else:
        pieces.append(_ENCODER.encode(value))


def digest_of(value: Json) -> Digest:
    """Return the digest of `value`'s canonical form: the cache key of a result that depends on `value` alone."""
    return Digest.of(canonical_json(value))
