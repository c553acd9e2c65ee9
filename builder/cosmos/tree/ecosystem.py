"""`Ecosystem`: another world of packages, as the material of stars.

A recipe's `source` names it by its scheme: `deb:`, `tar:`. Each has one module that answers the same questions, and one
line in the table of stellar.ecosystems:

    check_source, check_keys    does a recipe say of it what can be meant? (nothing is read, nothing is fetched)
    find                        which packages are meant: name, version, origin
    fetch                       bring them here
    read                        their contents, checked against the origin's digest: entries, licence, scripts

What is chosen of the contents (`[unpack]`), and the star that is made of them, is the same for all ecosystems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from cosmos.model.names import Arch
from cosmos.model.reporter import Reporter
from cosmos.model.star import Origin, SourceRules
from cosmos.model.version import Version
from cosmos.tables import Table
from cosmos.tree.entry import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What an ecosystem may use of the world outside. `home`: where it keeps what it fetched.

    `apt_sources`: the operator's file of sources of Debian packages, in place of the host's.
    """

    home: Path
    environ: Mapping[str, str]
    now: float
    offline: bool
    reporter: Reporter
    apt_sources: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What one recipe asks of one ecosystem: its `sources` there, and the keys of the recipe that belong to them.

    `arch`: the machine that packages are wanted for. `version`: the star's, None where the recipe leaves it open.
    """

    sources: tuple[str, ...]
    beside: Table
    folder: Path
    arch: Arch
    version: Version | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A package that a source means; nothing of it need be here yet.

    `owner` names it in front of people. `version`, `summary`: what a star takes whose recipe leaves them open; None and
    "" where the package does not say. `is_for_machine`: whether it is for the one machine that was asked for.
    """

    origin: Origin
    owner: str
    version: Version | None = None
    summary: str = ""
    is_for_machine: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a package holds. `licence`: an SPDX expression, or "". `scripts`: the names of those that it has."""

    entries: tuple[Entry, ...]
    licence: str = ""
    scripts: tuple[str, ...] = ()


class Material(Protocol):
    """The packages that one recipe asked for."""

    @property
    def found(self) -> tuple[Found, ...]:
        """One package for each source, in their order."""

    def fetch(self) -> None:
        """Bring all of them here; raises `WorldFailed` or `Refused`."""

    def read(self, found: Found, /) -> Contents:
        """Return the contents of one of them; raises `Refused` for what is not what its origin says."""


class Ecosystem(Protocol):
    """One world of packages."""

    rules: ClassVar[SourceRules]

    @classmethod
    def at(cls, outside: Outside, /) -> Self:
        """Return the ecosystem as this machine reaches it; nothing is read yet."""

    @classmethod
    def check_source(cls, source: str, /) -> None:
        """Raise `ValueError` for a source that means nothing."""

    @classmethod
    def check_keys(cls, sources: Sequence[str], beside: Table, /) -> None:
        """Raise `Malformed`, naming the key, where the recipe's own keys for these sources are wrong or missing."""

    @classmethod
    def wild_parts(cls, source: str, name: str, /) -> tuple[tuple[str, str], ...]:
        """Return what each wildcard of `source` stands for in `name`, and the same with the wildcard."""

    def find(self, asked: Asked, /) -> Material:
        """Return the packages that are meant; raises `NoSolution`, `Malformed`, `WorldFailed`."""
