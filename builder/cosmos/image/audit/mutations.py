"""What an audit changes. It is derived from the documents themselves: a new field needs nobody to add it.

a TOML document     each value by its dotted path: changed (a key or a signature at both ends), left out; a key that
                    nobody knows; the whole file: left out, emptied, cut off, a byte more
an envelope (DSSE)  the same for its JSON values
other files         a byte at the start, in the middle, at the end; cut off, longer, empty, left out
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import tomli_w

from cosmos.canon import readable_json
from cosmos.records import dataclass
from cosmos.tables import Table

_UNKNOWN_KEY: Final = "key-that-nobody-knows"
_KEY_CHARACTERS: Final = 44  # of an Ed25519 key in base64; a signature has 88
_BASE64: Final = re.compile(r"([0-9A-Za-z+/]{4})*[0-9A-Za-z+/]{2,3}=?=")  # RFC 4648 section 4, with spare bits
_Path: TypeAlias = "tuple[str | int, ...]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One changed file: what was done to it, and its new bytes. None: the file is left out."""

    what: str
    data: bytes | None


def toml_changes(data: bytes, source: str) -> Iterator[Change]:
    """Yield every change of a TOML document. Raises `Malformed`."""
    table = Table.parse(data, source, max_bytes=max(len(data), 1))
    yield from _document_changes({key: table.value(key) for key in table.keys()}, _toml)
    yield from file_changes(data)


def envelope_changes(data: bytes, source: str) -> Iterator[Change]:
    """Yield every change of a JSON document, such as an envelope. Raises `Malformed`."""
    table = Table.from_json(data, source, max_bytes=max(len(data), 1))
    yield from _document_changes({key: table.value(key) for key in table.keys()}, _json)
    yield from file_changes(data)


def file_changes(data: bytes) -> Iterator[Change]:
    """Yield the changes of a file's bytes, whatever it is."""
    for what, place in (("first", 0), ("middle", len(data) // 2), ("last", len(data) - 1)):
        if data:
            changed = bytearray(data)
            changed[place] ^= 1
            yield Change(what=f"one bit of its {what} byte", data=bytes(changed))
    yield Change(what="cut off in the middle", data=data[: len(data) // 2])
    yield Change(what="a byte more", data=data + b"\n")
    yield Change(what="empty", data=b"")
    yield Change(what="left out", data=None)


def _document_changes(document: Mapping[str, object], write: Callable[[object], bytes]) -> Iterator[Change]:
    for path in _paths(document):
        shown = _shown(path)
        value = _at(document, path)
        for what, new in _other_values(value):
            yield Change(what=f"{shown}: {what}", data=write(_replaced(document, path, new)))
        yield Change(what=f"{shown}: left out", data=write(_without(document, path)))
    yield Change(what=f"{_UNKNOWN_KEY}: added", data=write({**document, _UNKNOWN_KEY: 1}))


def _paths(value: object, here: _Path = ()) -> Iterator[_Path]:
    """Yield the path of each key; of an array's rows only the first and the last, for they have the same fields."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*here, key)
            yield from _paths(inner, (*here, key))
    elif isinstance(value, list) and value:
        for place in sorted({0, len(value) - 1}):
            yield (*here, place)
            yield from _paths(value[place], (*here, place))


def _other_values(value: object) -> Iterator[tuple[str, object]]:
    """Yield other values of the same type, with what was done."""
    match value:
        case bool():
            yield "the opposite", not value
        case int():
            yield "one more", value + 1
        case str():
            yield "one letter", _one_letter(value)
            names, space, key = value.rpartition(" ")
            if _is_base64(key):
                yield "its first letter", f"{names}{space}{'B' if key[0] == 'A' else 'A'}{key[1:]}"
        case list() if value:
            yield "the last one doubled", [*value, value[-1]]
        case _:
            pass


def _is_base64(text: str) -> bool:
    """Return whether the text may be a key or a signature.

    Its last letter has spare bits, so that a change there is refused by form: only another first letter is another key
    or signature in the right form.
    """
    return len(text) >= _KEY_CHARACTERS and _BASE64.fullmatch(text) is not None


def _one_letter(text: str) -> str:
    """Return `text` with its last letter or digit changed, so that a digest stays a digest and a version a version."""
    for place in range(len(text) - 1, -1, -1):
        char = text[place]
        if char.isascii() and char.isalnum():
            other = {"9": "8", "z": "y", "Z": "Y", "f": "e", "F": "E"}.get(char, chr(ord(char) + 1))
            return f"{text[:place]}{other}{text[place + 1 :]}"
    return f"{text}x"


def _at(value: object, path: _Path) -> object:
    for step in path:
        value = value[step]  # type: ignore[index]  # the path was found in this very value
    return value


def _replaced(value: object, path: _Path, new: object) -> object:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: _replaced(inner, rest, new) if key == first else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, rest, new) if place == first else inner for place, inner in enumerate(value)]
    return value


def _without(value: object, path: _Path) -> object:
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {
            key: _without(inner, rest) if key == first else inner
            for key, inner in value.items()
            if rest or key != first
        }
    if isinstance(value, list):
        return [
            _without(inner, rest) if place == first else inner
            for place, inner in enumerate(value)
            if rest or place != first
        ]
    return value


def _shown(path: _Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _toml(document: object) -> bytes:
    return tomli_w.dumps(document).encode() if isinstance(document, dict) else b""


def _json(document: object) -> bytes:
    return readable_json(document)  # type: ignore[arg-type]  # it was JSON before the change
