"""`catalogues/DIGEST.toml`: the newest stars of a galaxy in a few words each, for `cosmos search`.

    format = 1
    galaxy = "core"

    [[star]]                           # the newest version of each star, for each architecture that it has
    name = "zlib"
    version = "1.3.1"
    arch = "x86_64"
    type = "normal"                    # or "nebula"
    description = "compression"        # in one line, at most 400 characters
    license = "Zlib"
    size-bytes = 61234                 # of the archive
    provides = "libz compression"      # the names that it answers to besides its own; left out if it has no others

The galaxy's index names this file by digest and size (`[catalogue]` in model.galaxy), and so signs it. One file answers
a search. Without it, a search would have to read the statement of every star.

A catalogue helps to find a star. Nothing else is judged by it: what is installed follows from the index and the star's
signed statement. A format above 1 is for a newer cosmos: a search then goes by the names in the index alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self, cast

from cosmos.errors import Malformed
from cosmos.limits import MAX_CATALOGUE_BYTES, MAX_STAR_ARCHIVE_BYTES, MAX_SUMMARY_CHARACTERS
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.star import StarType
from cosmos.model.statement import Statement
from cosmos.model.version import Version, read_version, version_rows
from cosmos.records import dataclass
from cosmos.tables import Table

CATALOGUE_FORMAT: Final = 1
_TYPES: Final = ("normal", "nebula")


class NewerCatalogue(Malformed):
    """A catalogue has a format that this cosmos does not know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """One star in a few words.

    `version`, `arch` and `size_bytes` are None if nobody says them: upstream's index may list a star by its name alone.
    """

    name: StarName
    version: Version | None
    arch: Arch | None = None
    type: StarType = "normal"
    description: str = ""
    license: str = ""
    size_bytes: int | None = None
    provides: tuple[StarName, ...] = ()

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Return the star of a statement in a few words."""
        star = statement.star
        return cls(
            name=star.name,
            version=star.version,
            arch=star.arch,
            type=star.type,
            description=one_line(star.description),
            license=one_line(star.license),
            size_bytes=statement.size_bytes,
            provides=tuple(Facts.of(star).provides),
        )

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[star]]` table."""
        row = cls(
            name=table.read("name", StarName.parse),
            version=read_version(table),
            arch=table.read("arch", Arch.parse),
            type=cast(StarType, table.choice("type", _TYPES)),
            description=table.read("description", _short),
            license=table.read("license", _short),
            size_bytes=table.count("size-bytes", most=MAX_STAR_ARCHIVE_BYTES),
            provides=table.take_read("provides", _names, ()),
        )
        table.end()
        return row

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            **({} if self.version is None else version_rows(self.version)),
            "arch": str(self.arch or ANY_ARCH),
            "type": self.type,
            "description": self.description,
            "license": self.license,
            "size-bytes": self.size_bytes or 0,
            **({"provides": " ".join(self.provides)} if self.provides else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The newest stars of a galaxy, in the order of their names and architectures."""

    galaxy: GalaxyName
    stars: tuple[Described, ...]

    @classmethod
    def of(cls, galaxy: GalaxyName, statements: Iterable[Statement]) -> Self:
        """Return the catalogue of a galaxy that has these statements."""
        newest: dict[tuple[StarName, Arch], Statement] = {}
        for one in statements:
            found = newest.setdefault((one.star.name, one.star.arch), one)
            if _rank(one.star.version) > _rank(found.star.version):
                newest[one.star.name, one.star.arch] = one
        return cls(galaxy=galaxy, stars=tuple(Described.of(newest[key]) for key in sorted(newest)))

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the catalogue in `data`; raises `Malformed`, and for a newer format `NewerCatalogue`."""
        table = Table.parse(data, source, max_bytes=MAX_CATALOGUE_BYTES)
        number = table.count("format", least=1)
        if number > CATALOGUE_FORMAT:
            problem = f"format: want at most {CATALOGUE_FORMAT}, got {number}: this catalogue is for a newer cosmos"
            raise NewerCatalogue(source, problem, hint="update cosmos")
        catalogue = cls(
            galaxy=table.read("galaxy", GalaxyName.parse),
            stars=tuple(Described.read(row) for row in table.tables("star")),
        )
        table.end()
        if len({(row.name, row.arch) for row in catalogue.stars}) != len(catalogue.stars):
            table.fail("star", "describes a star for one architecture twice")
        return catalogue

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        return {
            "format": CATALOGUE_FORMAT,
            "galaxy": str(self.galaxy),
            "star": [row.to_toml() for row in self.stars],
        }


def one_line(text: str) -> str:
    """Return `text` in one line of at most `MAX_SUMMARY_CHARACTERS`; dots stand for what is cut off.

    >>> one_line("a small\\n  editor ")
    'a small editor'
    """
    line = " ".join(text.split())
    return line if len(line) <= MAX_SUMMARY_CHARACTERS else f"{line[: MAX_SUMMARY_CHARACTERS - 1]}…"


def _short(text: str) -> str:
    if one_line(text) != text:
        raise ValueError(f"want one line of at most {MAX_SUMMARY_CHARACTERS} characters, got {text[:80]!r}")
    return text


def _names(text: str) -> tuple[StarName, ...]:
    return tuple(map(StarName.parse, text.split(" ")))


def _rank(version: Version) -> tuple[bool, Version]:
    """Return a key that orders versions as people want them: a pre-release only if there is no other."""
    return not version.is_pre_release, version
