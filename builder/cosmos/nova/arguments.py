"""Check the arguments of a verb before any other code reads them."""

from __future__ import annotations

from typing import Final

from cosmos.limits import KIB, MAX_WORKER_MESSAGE_BYTES
from cosmos.nova.meter import VerbError
from cosmos.sandbox.values import Scalar
from cosmos.treepath import ROOT, TreePath, escaped, has_bidi

TEXT: Final = "text"  # the kind of an argument that may be large: its own limit is elsewhere
SHORT: Final = "short"  # a path, a pattern, a link's target, names of capabilities: what is looked at byte by byte
MAX_ARGUMENT_BYTES: Final = 64 * KIB  # of a word of a command or a variable's value
MAX_SHORT_BYTES: Final = 4 * KIB  # Linux's own limit on a path in a call; a path in a tree has a quarter at most
MAX_MODE: Final = 0o7777
MAX_ID: Final = 0xFFFFFFFE  # the last 32-bit number means "no change" to chown(2)
_MOST_BYTES: Final = {bytes: MAX_ARGUMENT_BYTES, SHORT: MAX_SHORT_BYTES, TEXT: MAX_WORKER_MESSAGE_BYTES}
_NAMES: Final = {bytes: "a string", int: "an integer"}
_OCTAL: Final = frozenset(b"01234567")


class Signature:
    """The types of a verb's arguments: `bytes`, `SHORT`, `TEXT`, `int` or "mode" (a number, or octal digits)."""

    def __init__(self, *needed: object, optional: tuple[object, ...] = (), rest: object = None) -> None:
        self._needed = needed
        self._kinds = (*needed, *optional)
        self._rest = rest

    def checked(self, args: tuple[object, ...]) -> tuple[Scalar, ...]:
        """Return the checked arguments, with modes as integers and left-out ones as None; raises `VerbError`."""
        given = list(args)
        while given and given[-1] is None:
            given.pop()
        if len(given) > len(self._kinds) and self._rest is None:
            raise VerbError(f"takes {len(self._kinds)} arguments, got {len(given)}")
        kinds = [*self._kinds, *[self._rest] * (len(given) - len(self._kinds))]
        given += [None] * (len(kinds) - len(given))
        return tuple(
            _checked(value, kind, place, is_needed=place <= len(self._needed) or place > len(self._kinds))
            for place, (value, kind) in enumerate(zip(given, kinds, strict=True), 1)
        )


def mode_of(value: object) -> int:
    """Return the mode that a script wrote, or raise `VerbError`.

    >>> mode_of(b"0755") == mode_of(493) == 0o755
    True
    """
    if isinstance(value, bytes):
        if not 3 <= len(value) <= 5 or not _OCTAL.issuperset(value) or int(value, 8) > MAX_MODE:
            raise VerbError(
                f"{escaped(value[:40])!r} is no mode", hint='a mode is octal digits in a string, as in "0755"'
            )
        return int(value, 8)
    number = _integer(value)
    if number is None or not 0 <= number <= MAX_MODE:
        raise VerbError(
            "the mode must lie between 0 and 07777", hint='write it as octal digits in a string, as in "0755"'
        )
    if 512 <= number <= 777 and _OCTAL.issuperset(b"%d" % number):
        raise VerbError(f"the number {number} is the mode {number:04o}", hint=f'if you mean octal, write "0{number}"')
    return number


def path_of(raw: bytes) -> TreePath:
    """Return the path that a script wrote, with or without a leading slash or `install_root`; it may be the root.

    A path with `..` is refused (`VerbError`).
    """
    if not raw:
        raise VerbError("the path is empty")
    if not raw.strip(b"/."):
        if any(part == b".." for part in raw.split(b"/")):
            raise VerbError(f"{escaped(raw[:200])!r}: has the component '..'")
        return ROOT
    if has_bidi(raw):
        raise VerbError(f"{escaped(raw[:200])!r}: has a bidirectional control character")
    try:
        return TreePath.rooted(raw)
    except ValueError as error:
        raise VerbError(str(error)[:300]) from None


def _checked(value: object, kind: object, place: int, *, is_needed: bool) -> Scalar:
    if value is None:
        if is_needed:
            raise VerbError(f"argument {place} is missing")
        return None
    if kind == "mode":
        return mode_of(value)
    if kind in _MOST_BYTES and isinstance(value, bytes):
        if len(value) > _MOST_BYTES[kind]:
            raise VerbError(f"argument {place} has {len(value)} bytes, the limit is {_MOST_BYTES[kind]}")
        return value
    if kind is int and (number := _integer(value)) is not None:
        return number
    raise VerbError(f"argument {place} must be {_NAMES[int if kind is int else bytes]}")


def _integer(value: object) -> int | None:
    """Return a number without a fraction as an integer; a boolean is not a number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None
