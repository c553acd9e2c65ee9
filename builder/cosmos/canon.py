"""One way to write a value as bytes, so that two people who write it get the same digest.

JSON with sorted keys, no spaces, `\\u` escapes only where JSON demands them, integers and no floats. It is used
for what we *write* (indexes, receipts, statements, cache keys); what arrives is always judged by its exact bytes.
"""

from __future__ import annotations

import json
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
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def digest_of(value: Json) -> Digest:
    """Return the digest of `value`'s canonical form: the key of anything that is shaped by `value` alone."""
    return Digest.of(canonical_json(value))
