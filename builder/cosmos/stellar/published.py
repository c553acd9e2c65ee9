"""What a galaxy has published: every star that its index, or any index before, has listed.

A version that was listed means one archive for ever: locks name its bytes. `snapshots/` keeps every index that ever
was, so that a star which was withdrawn cannot come back as another.

Ten years of snapshots are read in seconds: rows are written in one form and are read by that form. An index with rows
of any other form is parsed whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.star import Star
from cosmos.reading import read_bounded
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement

_HEAD: Final = b"[[snapshot]]\n"
_ROW: Final = re.compile(rb'^\[\[snapshot\]\]\n((?:[a-z-]+ = "[^"\\\n]*"\n)+)$', re.MULTILINE)
_FIELD: Final = re.compile(rb'^([a-z-]+) = "([^"]*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Once:
    """A star as an index listed it first; `arch` is empty where that index did not say."""

    seq: int
    arch: str
    statement: Digest
    archive: Digest


class AlreadyThere(Refused):
    """A galaxy has other bytes under the version, and keeps them. `stem` is what the files there are called."""

    def __init__(self, where: str, problem: str, *, stem: str, hint: str) -> None:
        super().__init__(where, problem, hint=hint)
        self.stem = stem


class Published:
    """The stars that a galaxy has ever listed. What was read once is kept: no snapshot ever changes."""

    def __init__(self, galaxy: GalaxyFolder) -> None:
        self._galaxy = galaxy
        self._seen: set[int] = set()
        self._stars: dict[tuple[str, str], list[Once]] = {}

    def of(self, star: Star, seq: int) -> tuple[Once, ...]:
        """Return what indexes up to number `seq` have listed under the star's name, version and architecture.

        An index of format 1 does not say for which machine a star was; its statement does, if it is still there.
        """
        self._read(seq)
        found = self._stars.get((str(star.name), str(star.version)), ())
        return tuple(one for one in found if (one.arch or self._arch_of(star, one) or star.arch) == star.arch)

    def demand_same(self, star: Star, archive: Digest, seq: int, stem: str) -> tuple[Once, ...]:
        """Return what was listed of the star; raises `AlreadyThere` where that was another archive."""
        found = self.of(star, seq)
        if found and archive not in {one.archive for one in found}:
            raise AlreadyThere(
                star.id,
                f"was published in snapshot {found[0].seq} of {self._galaxy.root} as {found[0].archive}, "
                f"and this is {archive}",
                stem=stem,
                hint="what was published never changes: give it another version, or leave the one that is there",
            )
        return found

    def _read(self, seq: int) -> None:
        for number in range(1, seq + 1):
            file = self._galaxy.snapshot_file(number) if number != seq else self._galaxy.index_file
            if number in self._seen or not file.is_file():
                continue
            self._seen.add(number)
            for row in _rows(read_bounded(file, MAX_INDEX_BYTES), str(file)):
                once = Once(
                    seq=number,
                    arch=row.get("arch", ""),
                    statement=Digest.parse(row["statement"]),
                    archive=Digest.parse(row["archive"]),
                )
                known = self._stars.setdefault((row["name"], row["version"]), [])
                if not any((one.arch, one.archive) == (once.arch, once.archive) for one in known):
                    known.append(once)

    def _arch_of(self, star: Star, once: Once) -> str:
        """Return for which machine a star was that an index of format 1 listed; empty where its statement is gone."""
        file = self._galaxy.statement_file(file_stem(star.name, str(star.version)))
        is_it = file.is_file() and Digest.of(file.read_bytes()) == once.statement
        return str(read_statement(file).star.arch) if is_it else ""


def _rows(data: bytes, source: str) -> Iterable[Mapping[str, str]]:
    """Return the rows of an index as their fields."""
    found = [dict(_FIELD.findall(block)) for block in _ROW.findall(data)]
    if len(found) == data.count(_HEAD) and (found or b"snapshot" not in data):
        return ({key.decode(): value.decode() for key, value in row.items()} for row in found)
    index = GalaxyIndex.parse(data, source)
    return ({key: str(value) for key, value in row.to_toml().items()} for row in index.snapshot)
