"""What can go wrong, sorted by what the person must do about it.

Each family below is one stable exit code of the command line. A room of the house subclasses a family
with *fields*; `__str__` words them (lower case, no full stop, the file or star first, wanted and got) and
`hint` says what to do next, as a command where there is one. Whatever is not a `CosmosError` is our bug.

| exit | family | meaning |
|---:|---|---|
| 2 | `Malformed` | an argument or a file is malformed |
| 3 | `NoSolution` | dependencies conflict, a star is not to be had, or the lock is stale |
| 4 | `Refused` | digest, signature, revocation, rollback, unpinned key |
| 5 | `WorldFailed` | disk full, mirror away, a program failed, a needed tool is missing |
| 6 | `ScriptFailed` | a Nova script failed, or asked for what it may not have |
| 7 | `Differs` | a comparison found differences |

Besides: 1 is a bug of ours, and 128 and its number the signal that ended us (129, 130, 143; 141 where the reader
closed the pipe). `cosmos.cli.terminal` gives those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

T = TypeVar("T", bound="CosmosError")


class CosmosError(Exception):
    """A failure that a person can act on. `where` is what it is about: a file, star, path or address.

    >>> str(Refused("zlib", "the lock names sha256:9f, but the file is sha256:2c"))
    'zlib: the lock names sha256:9f, but the file is sha256:2c'
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, where: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class Malformed(CosmosError):
    """An argument or a file does not have the form it must have."""

    exit_code = 2


class NoSolution(CosmosError):
    """What was asked for cannot be had, or the lock no longer answers what is asked for."""

    exit_code = 3


class Refused(CosmosError):
    """What arrived is not what was pinned and signed. Nothing of it was used."""

    exit_code = 4


class WorldFailed(CosmosError):
    """The world outside failed: a disk, a mirror, a program, a missing tool."""

    exit_code = 5


class ScriptFailed(CosmosError):
    """A Nova script failed, or asked for what it may not have."""

    exit_code = 6


def together(found: Sequence[T]) -> T:
    """Return errors of one kind as one, so that they are mended in one go. There must be one at least.

    >>> str(together([Refused("a", "is unsigned"), Refused("b", "is unsigned")]))
    '2 are refused: a: is unsigned; b: is unsigned'
    """
    first = found[0]
    if len(found) == 1:
        return first
    said = "; ".join(map(str, found))
    return type(first)("", f"{len(found)} are refused: {said}", hint=first.hint)


class Differs(CosmosError):
    """Two things that should be the same are not. `differences` names each, a line each."""

    exit_code = 7

    def __init__(self, where: str, problem: str, *, differences: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(where, problem, hint=hint)
        self.differences = differences
