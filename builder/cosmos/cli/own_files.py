"""Files that a command writes where the user says, and replaces: only such that it wrote itself."""

from __future__ import annotations

from pathlib import Path

from cosmos.errors import Malformed
from cosmos.reading import read_if_there


def demand_own_or_nothing(file: Path, start: bytes, kind: str) -> None:
    """Raise `Malformed` if `file` is there and does not begin with `start`, as each file of this kind does.

    An empty file counts as nothing. `kind` completes the words "is there, and is no".
    """
    found = read_if_there(file, len(start))
    if found and not found.startswith(start):
        raise Malformed(str(file), f"is there, and is no {kind}", hint="remove it first, or name another file")
