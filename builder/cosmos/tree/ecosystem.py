"""`Ecosystem`: the interface to another world of packages that stars are made from.

A recipe's `source` names it by its scheme: `deb:`, `tar:`. Each ecosystem has one module with these functions, and one
line in the table of stellar.ecosystems:

    check_source, check_keys    are the recipe's source and keys well formed? (reads and fetches nothing)
    find                        the packages that the source names: name, version, origin
    fetch                       download them
    read                        their contents, checked against the origin's digest: entries, licence, scripts

The rest is the same for all ecosystems: `[unpack]` selects paths, and a star is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import ClassVar, Protocol, Self

from cosmos.limits import Budget
from cosmos.model.names import Arch
from cosmos.model.reporter import Reporter
from cosmos.model.star import Origin, SourceRules
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.tree.entry import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """The parts of the world outside that an ecosystem may use. `home`: the folder for fetched packages.

    `apt_sources`: the operator's own list of Debian package sources, in place of the host's.
    """

    home: Path
    environ: Mapping[str, str]
    now: float
    offline: bool
    reporter: Reporter
    apt_sources: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One recipe's request to one ecosystem: its `sources` there, and the keys of the recipe that belong to them.

    `arch`: the machine that packages are wanted for. `version`: the star's, or None if the recipe does not state it.
    """

    sources: tuple[str, ...]
    beside: Table
    folder: Path
    arch: Arch
    version: Version | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A package that a source names; it may not be fetched yet.

    `owner` is its name in messages. `version`, `summary`: the defaults for a recipe that does not state them; None and
    "" if the package does not state them either. `is_for_machine`: whether it is for the one machine of the request.
    """

    origin: Origin
    owner: str
    version: Version | None = None
    summary: str = ""
    is_for_machine: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """A package's contents. `licence`: an SPDX expression, or "". `scripts`: the names of its install scripts.

    `budget` is what readers of its files may still unpack.
    """

    entries: tuple[Entry, ...]
    licence: str = ""
    scripts: tuple[str, ...] = ()
    budget: Budget = field(default_factory=lambda: Budget(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedFile:
    """A package or an archive as it was fetched, with its own file name."""

    name: str
    data: bytes


class Material(Protocol):
    """The packages that one recipe asks for."""

    @property
    def found(self) -> tuple[Found, ...]:
        """One package for each source, in their order."""

    def fetch(self) -> None:
        """Download all of them; raises `WorldFailed` or `Refused`."""

    def packed(self, found: Found, /) -> PackedFile | None:
        """Return one of them as it was fetched, checked by its digest; None for a file of this machine's own.

        Raises `WorldFailed` or `Refused`.
        """

    def read(self, found: Found, /) -> Contents:
        """Return the contents of one of them; raises `Refused` if it does not match its origin."""


class Ecosystem(Protocol):
    """One world of packages."""

    rules: ClassVar[SourceRules]

    @classmethod
    def at(cls, outside: Outside, /) -> Self:
        """Return the ecosystem for this machine; it reads nothing yet."""

    @classmethod
    def check_source(cls, source: str, /) -> None:
        """Raise `ValueError` for a malformed source."""

    @classmethod
    def check_keys(cls, sources: Sequence[str], beside: Table, /) -> None:
        """Raise `Malformed`, which names the key, if the recipe's keys for these sources are wrong or missing."""

    @classmethod
    def wild_parts(cls, source: str, name: str, /) -> tuple[tuple[str, str], ...]:
        """Return the part of `name` that each wildcard of `source` matches, and that part with the wildcard."""

    def find(self, asked: Asked, /) -> Material:
        """Return the packages that the sources name; raises `NoSolution`, `Malformed`, `WorldFailed`."""

    def fetch_ahead(self, requests: Sequence[Asked], /) -> None:
        """Fetch what all these requests ask for, if that takes less time at once; raises `WorldFailed` or `Refused`."""
