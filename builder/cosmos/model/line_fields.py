"""The fields of a text line that describes one entry of a tree: a manifest's line, and an entry of universe.toml.

Fields are separated by single spaces, so a space in a path, a name or a target is written `\\x20`. `-` is no value.
A reader compares the line that it read with the line that it would write, so each entry has exactly one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cosmos.treepath import escaped, unescaped

NOTHING: Final = "-"
MAX_MODE: Final = 0o7777
MAX_ID: Final = (1 << 32) - 1  # of a user, a group, a device
MAX_SIZE: Final = (1 << 63) - 1
_COMMA: Final = "\\x2c"  # in an attribute's name, so that it does not part attributes
_SHOWN: Final = 24  # characters of a bad number in an error


def field(raw: bytes) -> str:
    """Return `raw` as a field.

    >>> field(b"a b")
    'a\\\\x20b'
    """
    return escaped(raw).replace(" ", "\\x20")


def unfield(text: str) -> bytes:
    """Return the bytes of a field, or raise `ValueError`."""
    return unescaped(text.replace("\\x20", " "))


def read_number(text: str, most: int, base: int = 10) -> int:
    """Return a number from 0 to `most`, or raise `ValueError`."""
    value = int(text[:_SHOWN], base)
    if not 0 <= value <= most:
        raise ValueError(f"want a number from 0 to {most}, got {text[:_SHOWN]}")
    return value


def device_field(rdev: tuple[int, int] | None) -> str:
    """Return a device's number as a field."""
    return NOTHING if rdev is None else f"{rdev[0]}:{rdev[1]}"


def read_device(text: str) -> tuple[int, int] | None:
    """Return the device's number in a field, or raise `ValueError`."""
    if text == NOTHING:
        return None
    major, _, minor = text.partition(":")
    return read_number(major, MAX_ID), read_number(minor, MAX_ID)


def xattrs_field(xattrs: Iterable[tuple[bytes, bytes]]) -> str:
    """Return extended attributes as a field: name=hex, joined by commas, in their order."""
    return ",".join(f"{field(name).replace(',', _COMMA)}={value.hex()}" for name, value in xattrs) or NOTHING


def read_xattrs(text: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes in a field, or raise `ValueError`."""
    return () if text == NOTHING else tuple(_xattr(pair) for pair in text.split(","))


def _xattr(pair: str) -> tuple[bytes, bytes]:
    name, _, value = pair.rpartition("=")
    return unfield(name.replace(_COMMA, ",")), bytes.fromhex(value)
