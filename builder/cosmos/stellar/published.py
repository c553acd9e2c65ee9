"""The stars that a galaxy has published: every star that its index, or any older index, has listed.

A listed version means one archive for ever, because locks name its bytes. `snapshots/` keeps every index, so a
withdrawn star cannot come back with other bytes.

Ten years of snapshots are read in seconds: rows have one form, and a regular expression reads this form. A row that an
older index has word for word says nothing new, and is not read. An index with rows of another form is parsed as TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.model.file_names import file_stem
from cosmos.model.star import Star
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.stellar.galaxy_folder import GalaxyFolder, parsed_index, read_statement

_HEAD: Final = b"[[snapshot]]\n"
_ROW: Final = re.compile(rb'^\[\[snapshot\]\]\n((?:[a-z-]+ = "[^"\\\n]*"\n)+)$', re.MULTILINE)
_FIELD: Final = re.compile(rb'^([a-z-]+) = "([^"]*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Once:
    """A star in the first index that listed it. `arch` is empty if that index does not name it."""

    seq: int
    arch: str
    statement: Digest
    archive: Digest


class AlreadyThere(Refused):
    """A galaxy has other bytes under this version, and keeps them. `stem` is the common part of its file names."""

    def __init__(self, where: str, problem: str, *, stem: str, hint: str) -> None:
        super().__init__(where, problem, hint=hint)
        self.stem = stem


class Published:
    """The stars that a galaxy has ever listed. Each snapshot is read once, because snapshots never change."""

    def __init__(self, galaxy: GalaxyFolder) -> None:
        self._galaxy = galaxy
        self._seen: set[int] = set()
        self._stars: dict[tuple[str, str], list[Once]] = {}
        self._rows: set[bytes] = set()

    def of(self, star: Star, seq: int) -> tuple[Once, ...]:
        """Return the listings, up to index `seq`, of the star's name, version and architecture.

        An index of format 1 does not name the architecture of a star. Its statement does, if it still exists.
        """
        self._read(seq)
        found = self._stars.get((str(star.name), str(star.version)), ())
        return tuple(one for one in found if (one.arch or self._arch_of(star, one) or star.arch) == star.arch)

    def demand_same(self, star: Star, archive: Digest, seq: int, stem: str) -> tuple[Once, ...]:
        """Return the listings of the star; raises `AlreadyThere` if they name another archive."""
        found = self.of(star, seq)
        if found and archive not in {one.archive for one in found}:
            raise AlreadyThere(
                star.id,
                f"was published in snapshot {found[0].seq} of {self._galaxy.root} as {found[0].archive}, "
                f"but this is {archive}",
                stem=stem,
                hint="a published version never changes: give the star another version, or keep the published one",
            )
        return found

    def _read(self, seq: int) -> None:
        for number in range(1, seq + 1):
            file = self._galaxy.snapshot_file(number) if number != seq else self._galaxy.index_file
            if number in self._seen or not is_there(file):
                continue
            self._seen.add(number)
            for row in _new_rows(read_bounded(file, MAX_INDEX_BYTES), str(file), self._rows):
                try:
                    name, version = row["name"], row["version"]
                    once = Once(
                        seq=number,
                        arch=row.get("arch", ""),
                        statement=Digest.parse(row["statement"]),
                        archive=Digest.parse(row["archive"]),
                    )
                except (KeyError, ValueError) as error:
                    said = f"has no {error}" if isinstance(error, KeyError) else f"is malformed: {error}"
                    hint = "restore the file as it was published"
                    raise Malformed(str(file), f"a row of [[snapshot]] {said}", hint=hint) from error
                known = self._stars.setdefault((name, version), [])
                if not any((one.arch, one.archive) == (once.arch, once.archive) for one in known):
                    known.append(once)

    def _arch_of(self, star: Star, once: Once) -> str:
        """Return the architecture of a star in an index of format 1; an empty text if its statement is gone."""
        file = self._galaxy.statement_file(file_stem(star.name, str(star.version)))
        is_it = is_there(file) and Digest.of(read_bounded(file)) == once.statement
        return str(read_statement(file).star.arch) if is_it else ""


def _new_rows(data: bytes, source: str, known: set[bytes]) -> Iterable[Mapping[str, str]]:
    """Return the rows of an index as their fields, without those that are `known`; they are known from then on."""
    rows = _ROW.findall(data)
    if len(rows) == data.count(_HEAD) and (rows or b"snapshot" not in data):
        found = [dict(_FIELD.findall(row)) for row in rows if row not in known]
        known.update(rows)
        return ({key.decode(): value.decode() for key, value in row.items()} for row in found)
    index = parsed_index(data, source)
    return ({key: str(value) for key, value in row.to_toml().items()} for row in index.snapshot)
