"""One change of one input, and what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.errors import CosmosError
from cosmos.image.audit.mutations import Change
from cosmos.records import dataclass

Wanted: TypeAlias = Literal["refused", "another image", "the same image"]
# What comes of inputs that nothing refuses. "another definition": the release would carry another definition.tar, and
# only the first two steps of a build ran. "another release": the image's contents are the same, RELEASE.json is not.
Became: TypeAlias = Literal["the same", "another definition", "another release", "another image"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One input with one change. `file` is its path in the folder of the audit; `kind` is its class, for the table.

    `copies` are other files with the same bytes, such as the snapshot of an index: they are changed in the same way,
    because a build may take either. `shown` names the file where its own name says nothing.
    """

    kind: str
    file: Path
    change: Change
    wanted: Wanted
    copies: tuple[Path, ...] = ()
    shown: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one mutation. `exit_code` is 0 if nothing refused it; `said` is the error's sentence.

    It names the mutation and does not hold it: of an archive, that would be a copy of the archive.
    """

    kind: str
    file: str
    what: str
    wanted: Wanted
    exit_code: int
    said: str
    became: Became

    @property
    def name(self) -> str:
        """Its file and what was changed."""
        return f"{self.file}: {self.what}"

    @property
    def is_good(self) -> bool:
        """Whether it ended as it must: with an error of one of the families, or as an image that its input allows."""
        if self.exit_code:
            return 2 <= self.exit_code <= 7
        same = self.became == "the same"
        return self.wanted != "refused" and same == (self.wanted == "the same image")


@contextlib.contextmanager
def changed(file: Path, change: Change, kept: Path) -> Iterator[None]:
    """Change a file within the block, or add it.

    It is replaced, not written to: other names of its bytes stay as they are. Meanwhile the file itself is at `kept`,
    on the same file system.
    """
    is_there = file.exists()
    mode = file.stat().st_mode if is_there else 0o644
    if is_there:
        file.rename(kept)
    try:
        if change.data is not None:
            file.write_bytes(change.data)
            file.chmod(mode)
        yield
    finally:
        if is_there:
            kept.replace(file)
        else:
            file.unlink(missing_ok=True)


def outcome_of(mutation: Mutation, tried: Callable[[], Became]) -> Outcome:
    """Return what comes of `tried`, a build or another command that reads the changed input."""
    try:
        became = tried()
    except CosmosError as error:
        return _named(mutation, error.exit_code, str(error))
    except Exception as error:
        return _named(mutation, 1, f"a bug: {error!r}")
    return _named(mutation, 0, became, became)


def _named(mutation: Mutation, exit_code: int, said: str, became: Became = "the same") -> Outcome:
    return Outcome(
        kind=mutation.kind,
        file=mutation.shown or mutation.file.name,
        what=mutation.change.what,
        wanted=mutation.wanted,
        exit_code=exit_code,
        said=said,
        became=became,
    )
