"""The messages between a worker and the trusted process, and a reader that trusts none of them.

A frame is a length, 4 bytes, most significant first, and a message of that length. A message is a kind, one byte, and
values, each with a tag:

    N nil   T true   F false   I integer, 8 bytes, signed   D float, 8 bytes, IEEE 754   S string, its length in 4 bytes

Three kinds are the same for every worker. A worker and its trusted process agree on the others.

| kind | from    | values |
|------|---------|--------|
| `J`  | trusted | what to do, the seconds of processor time for it, and what it has to know; |
|      |         | or "probe", the seconds, its questions |
| `R`  | worker  | none: its locks are on, and nothing of its job has begun |
| `O`  | worker  | how the job ended, and what came of it; the last message |

A frame over its limit, an unknown kind or tag, or a message that is too short or too long raises `BrokenProtocol`, and
the worker is killed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from cosmos.hints import Final
from cosmos.limits import MAX_WORKER_MESSAGE_VALUES
from cosmos.sandbox.values import Scalar

LENGTH: Final = struct.Struct(">I")
_INTEGER: Final = struct.Struct(">q")
_FLOAT: Final = struct.Struct(">d")
JOB, READY, OUTCOME = b"J", b"R", b"O"


class BrokenProtocol(Exception):
    """The received bytes are not a message of this protocol. Users never see it: the trusted side words the error."""


def frame(kind: bytes, values: Iterable[Scalar]) -> bytes:
    """Return a message with its length before it.

    >>> frame(b"C", [b"log", 7, None]).hex()
    '000000134353000000036c6f674900000000000000074e'
    """
    body = kind + b"".join(map(_packed, values))
    return LENGTH.pack(len(body)) + body


def opened(body: bytes, kinds: bytes) -> tuple[bytes, tuple[Scalar, ...]]:
    """Return the kind of a message, one of `kinds`, and its values; raises `BrokenProtocol`."""
    kind = body[:1]
    if not kind or kind not in kinds:
        raise BrokenProtocol(f"the message is of kind {kind!r}")
    values: list[Scalar] = []
    place = 1
    while place < len(body):
        value, place = _unpacked(body, place)
        values.append(value)
        if len(values) > MAX_WORKER_MESSAGE_VALUES:
            raise BrokenProtocol(f"the message has more than {MAX_WORKER_MESSAGE_VALUES} values")
    return kind, tuple(values)


def _packed(value: Scalar) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, bytes):
        return b"S" + LENGTH.pack(len(value)) + value
    return b"I" + _INTEGER.pack(value) if isinstance(value, int) else b"D" + _FLOAT.pack(value)


def _unpacked(body: bytes, place: int) -> tuple[Scalar, int]:
    """Return the value at `place` and where the next one begins."""
    tag, place = body[place : place + 1], place + 1
    if tag in b"NTF":
        return {b"N": None, b"T": True, b"F": False}[tag], place
    if tag in b"ID":
        raw = body[place : place + 8]
        if len(raw) != 8:
            raise BrokenProtocol("the message ends within a number")
        number: int | float = (_INTEGER if tag == b"I" else _FLOAT).unpack(raw)[0]
        return number, place + 8
    if tag != b"S":
        raise BrokenProtocol(f"no value begins with {tag!r}")
    raw = body[place : place + 4]
    if len(raw) != 4:
        raise BrokenProtocol("the message ends within a length")
    first, stop = place + 4, place + 4 + LENGTH.unpack(raw)[0]
    if stop > len(body):
        raise BrokenProtocol("a string is longer than its message")
    return body[first:stop], stop
