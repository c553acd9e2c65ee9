"""`[floor]` and `[recovered]`: the lowest numbers that are accepted, and the recovery from a fast-forward.

    [floor.galaxies]                   # the lowest seq of an index that is accepted
    core = 7
    [floor.stars]                      # the lowest version of a star that is accepted, from any galaxy; it is read in
    zlib = "1.3.1"                     # the scheme of the version that it is compared with (model.version)
    [floor.releases]                   # the lowest counter of an image's release that is accepted
    rescue = 4

    [recovered.galaxies]               # the version of this document from which the galaxy's numbers begin again
    core = 5
    [recovered.stars]
    [recovered.releases]
    [recovered.logs]                   # the same for the log of a galaxy; only in a document of trust-version 2

A floor only rises from one version of the document to the next. The exception is recovery from a fast-forward: a thief
of a galaxy's key can publish seq 9,000,000,000. After that every honest index looks rolled back. Version 5 revokes the
key and says `recovered.galaxies.core = 5`. Machines then forget the numbers of `core` that they saw under an earlier
version, and its floor may be lower. They keep the numbers seen under version 5 itself, so reading it twice changes
nothing. A galaxy's recovery includes its log. `recovered.logs.core = 5` recovers the log alone: a thief of the log's
key can add an entry, and then the honest log looks cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Self, TypeVar

from cosmos.model.names import GalaxyName, ImageName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.tables import Table

Name = TypeVar("Name", bound=str)
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Floors:
    """The lowest numbers that are accepted."""

    galaxies: Mapping[GalaxyName, int] = field(default_factory=dict)
    stars: Mapping[StarName, str] = field(default_factory=dict)
    releases: Mapping[ImageName, int] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table | None) -> Self:
        """Return the `[floor]` table; None is an empty table."""
        if table is None:
            return cls()
        floors = cls(
            galaxies=_counts(table, "galaxies", GalaxyName.parse),
            stars=table.parsed_map("stars", StarName.parse, star_floor),
            releases=_counts(table, "releases", ImageName.parse),
        )
        table.end()
        return floors

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it, without empty keys."""
        rows: dict[str, dict[str, object]] = {
            "galaxies": {**_plain(self.galaxies)},
            "stars": {**_plain(self.stars)},
            "releases": {**_plain(self.releases)},
        }
        return {key: value for key, value in rows.items() if value}

    def rows(self) -> dict[tuple[str, str], int | Version]:
        """Return every floor by kind and name: `("galaxies", "core")`. For a star's floor the scheme is guessed."""
        return {
            **{("galaxies", str(name)): seq for name, seq in self.galaxies.items()},
            **{("stars", str(name)): Version.guessed(floor) for name, floor in self.stars.items()},
            **{("releases", str(name)): counter for name, counter in self.releases.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """The versions of trust.toml from which the numbers of a galaxy, star or release begin again."""

    galaxies: Mapping[GalaxyName, int] = field(default_factory=dict)
    stars: Mapping[StarName, int] = field(default_factory=dict)
    releases: Mapping[ImageName, int] = field(default_factory=dict)
    logs: Mapping[GalaxyName, int] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table | None, version: int, trust_version: int) -> Self:
        """Return the `[recovered]` table of a document of `version`, which no row may exceed."""
        if table is None:
            return cls()
        recovered = cls(
            logs=_counts(table, "logs", GalaxyName.parse, version) if trust_version > 1 else {},
            galaxies=_counts(table, "galaxies", GalaxyName.parse, version),
            stars=_counts(table, "stars", StarName.parse, version),
            releases=_counts(table, "releases", ImageName.parse, version),
        )
        table.end()
        return recovered

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it, without empty keys."""
        return {kind: {**rows} for kind, rows in self._kinds().items() if rows}

    def rows(self) -> dict[tuple[str, str], int]:
        """Return every row by kind and name."""
        return {(kind, name): version for kind, rows in self._kinds().items() for name, version in rows.items()}

    def _kinds(self) -> dict[str, dict[str, int]]:
        return {
            "galaxies": _plain(self.galaxies),
            "stars": _plain(self.stars),
            "releases": _plain(self.releases),
            "logs": _plain(self.logs),
        }

    def log_since(self, galaxy: GalaxyName) -> int:
        """Return the version from which the log of `galaxy` begins again, or 0. A recovered galaxy includes its log."""
        return max(self.logs.get(galaxy, 0), self.galaxies.get(galaxy, 0))


def star_floor(text: str) -> str:
    """Return `text` if it is a version in at least one scheme, or raise `ValueError`."""
    if not text[:1].isdigit():
        raise ValueError(f"want a version such as 1.2.3 or 1:2.3-4, got {text[:80]!r}")
    Version.guessed(text)
    return text


def _plain(rows: Mapping[Name, Value]) -> dict[str, Value]:
    return {str(name): rows[name] for name in sorted(rows)}


def _counts(table: Table, key: str, parse: Callable[[str], Name], most: int = (1 << 63) - 1) -> dict[Name, int]:
    rows = table.take_table(key) or Table({}, table.source)
    found: dict[Name, int] = {}
    for name in tuple(rows.keys()):
        try:
            found[parse(name)] = rows.count(name, least=1, most=most)
        except ValueError as error:
            rows.fail(name, str(error))
    return found
