"""The families of errors, sorted by what a person must do about them.

Each family is one stable exit code of the command line. A room of the house subclasses a family with *fields*.
`__str__` makes the sentence: lower case, no full stop, the file or star first, then the value wanted and the value got.
`hint` says what to do next, as a command if there is one. Any other exception is a bug in Cosmos.

| exit | family | meaning |
|---:|---|---|
| 2 | `Malformed` | an argument or a file is malformed |
| 3 | `NoSolution` | dependencies conflict, a star is not to be had, or the lock is stale |
| 4 | `Refused` | digest, signature, revocation, rollback, unpinned key |
| 5 | `WorldFailed` | disk full, mirror away, a program failed, a needed tool is missing |
| 6 | `ScriptFailed` | a Nova script failed, or asked for what it may not have |
| 7 | `Differs` | a comparison found differences |

Exit code 1 is a bug in Cosmos. 128 plus a signal's number says which signal ended it (129, 130, 143; 141 if the reader
closed the pipe). `cosmos.cli.endings` returns these.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

T = TypeVar("T", bound="CosmosError")
_MAX_FAULTS: Final = 50  # that are told together: nobody mends more at once


class CosmosError(Exception):
    """A failure that a person can act on. `where` names the file, star, path or address that it is about.

    >>> str(Refused("zlib", "the lock names sha256:9f, but the file is sha256:2c"))
    'zlib: the lock names sha256:9f, but the file is sha256:2c'
    """

    exit_code: ClassVar[int] = 1
    star: str | None = None  # the star in work, if `where` does not say it (`of_star`)
    document: bytes | None = None  # what was read, if `where` is not its path on this machine (`of_document`)
    also: tuple[CosmosError, ...] = ()  # what else the same run found (`Faults`)

    def __init__(self, where: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class Malformed(CosmosError):
    """An argument or a file is malformed."""

    exit_code = 2


class NoSolution(CosmosError):
    """There is no solution: stars conflict, a star cannot be had, or the lock is stale."""

    exit_code = 3


class Refused(CosmosError):
    """A file is not the one that was pinned and signed. Nothing of it was used."""

    exit_code = 4


class WorldFailed(CosmosError):
    """The world outside failed: a disk, a mirror, a program, a missing tool."""

    exit_code = 5


class ScriptFailed(CosmosError):
    """A Nova script failed, or asked for what it may not have."""

    exit_code = 6


@contextlib.contextmanager
def of_star(name: str) -> Iterator[None]:
    """Note on an error of the block that it is about the star `name`: a program that reads it need not guess."""
    try:
        yield
    except CosmosError as error:
        error.star = error.star or name
        raise


@contextlib.contextmanager
def of_document(document: bytes) -> Iterator[None]:
    """Note on an error of the block the document that is malformed: its path may be one inside a system."""
    try:
        yield
    except Malformed as error:
        for one in (error, *error.also):
            one.document = document
        raise


class Faults:
    """The faults of a person's files that one run finds, so that the person can mend all of them before the next run.

    >>> faults = Faults()
    >>> for name in ("a", "b", "c"):
    ...     with faults.noting():
    ...         raise Malformed(name, "is malformed")
    >>> [str(one) for one in faults.found]
    ['a: is malformed', 'b: is malformed', 'c: is malformed']
    """

    def __init__(self) -> None:
        self.found: list[CosmosError] = []

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is malformed in the block, and go on."""
        try:
            yield
        except Malformed as error:
            for one in (error, *error.also):  # two readers of one document may say the same
                if not self.are_many and not any(str(one) == str(other) for other in self.found):
                    self.found.append(one)

    @property
    def are_many(self) -> bool:
        """Whether no more faults would be told."""
        return len(self.found) > _MAX_FAULTS

    def demand_none(self) -> None:
        """Raise the first fault; it carries the others."""
        if self.found:
            first, *others = self.found
            first.also = tuple(others[:_MAX_FAULTS])
            raise first


def together(found: Sequence[T]) -> T:
    """Return several errors of one family as one, so that a person can fix them together. `found` is not empty.

    >>> str(together([Refused("a", "is unsigned"), Refused("b", "is unsigned")]))
    '2 are refused: a: is unsigned; b: is unsigned'
    """
    first = found[0]
    if len(found) == 1:
        return first
    said = "; ".join(map(str, found))
    return type(first)("", f"{len(found)} are refused: {said}", hint=first.hint)


_ROOM: Final = "make room, then run the same command again"
LIKELY_CAUSES: Final[Mapping[int, str]] = {
    errno.EACCES: "run it as root, or as the user that it belongs to",
    errno.EPERM: "run it as root; if you are root, the file may be immutable (see lsattr), or a container forbids it",
    errno.EROFS: "mount it for writing, or choose a place that can be written to",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EISDIR: "a folder has the name of a file: move it away",
    errno.EIO: "the disk or its connection fails: see dmesg, and go on with another disk",
    errno.EMFILE: "allow more open files: ulimit -n 1024",
}
"""What to do about a system call that failed, by its number: the likely cause, as a hint."""


def likely_cause(error: OSError) -> str | None:
    """Return the hint for `error`, or None if its own words say all.

    >>> likely_cause(OSError(errno.EROFS, "Read-only file system"))
    'mount it for writing, or choose a place that can be written to'
    """
    return LIKELY_CAUSES.get(error.errno or 0)


def quoted(path: object) -> str:
    """Return a path as one word of a shell's command line, for a hint that is pasted; never as an option.

    >>> quoted("a b"), quoted("out/x-1"), quoted("~"), quoted("-rf")
    ("'a b'", 'out/x-1', "'~'", './-rf')
    """
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    is_plain = text != "" and all((one.isascii() and one.isalnum()) or one in "/._-+=:,@%" for one in text)
    return text if is_plain else "'" + text.replace("'", "'\"'\"'") + "'"


class Differs(CosmosError):
    """Two things that should be the same differ. `differences` names each difference on its line."""

    exit_code = 7

    def __init__(self, where: str, problem: str, *, differences: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(where, problem, hint=hint)
        self.differences = differences
