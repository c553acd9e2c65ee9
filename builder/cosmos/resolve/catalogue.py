"""What the resolver chooses from, and the rule that says which galaxy answers for a name.

A `Library` answers four questions about stars; behind it may lie signed indexes, a disk, a network, or a test's dict.
It is asked for the facts of a candidate at most once, and only where the candidate comes into question, because each
may cost a download.

**Galaxies stand in order of priority** (docs/decisions/0004-the-first-galaxy-that-lists-a-name-answers-for-it.md): the
first galaxy that lists a name, or has a star that provides it (`[provides]`), answers for it alone. A lower one is not
asked for that name, whatever versions it has, so that nobody can slip a star in front of another by publishing a
higher version elsewhere (dependency confusion); nor where the first has the name only in what must not be taken.
Where the galaxy lists a star of that name, its providers answer a need for it as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.version import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """`who` (`image`, `constellation:NAME`, `user`) wants the star `name`, or one that provides it."""

    who: str
    name: StarName
    constraint: Constraint

    @property
    def demand(self) -> Demand:
        """What is wished for."""
        return Demand(self.name, self.constraint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of one star for one architecture, in the galaxy that answers for it.

    `arch` is what the index says, which tells two stars of one version apart; whether a star runs on a machine is asked
    of its facts, for an index of format 1 does not say.
    """

    name: StarName
    version: Version
    galaxy: GalaxyName
    arch: Arch = ANY_ARCH

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Library(Protocol):
    """Everything that there is to choose from. The same question has the same answer as long as the resolver asks."""

    def names(self) -> Iterable[StarName]:
        """Return every name that is listed."""

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of the star called `name`, in any order; none if no galaxy lists it."""

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name`, of the galaxy that answers for it, in any order.

        It is asked once for each name that comes into question: it must not go through the whole galaxy each time.
        """

    def claims(self, name: StarName) -> bool:
        """Return whether it lists a star called `name` or one that provides it, be it one that must not be taken."""

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a candidate says of itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Galaxies:
    """Several libraries, one a galaxy, the first having the highest priority; together they are one `Library`."""

    shelves: Mapping[GalaxyName, Library]

    def names(self) -> Iterable[StarName]:
        """Return every name that some galaxy lists."""
        return sorted({name for shelf in self.shelves.values() for name in shelf.names()})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the versions of `name` in the galaxy that answers for it; no other is asked."""
        shelf = self._owner(name)
        return () if shelf is None else shelf.versions(name)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the providers of `name` in the galaxy that answers for it.

        A star that an earlier galaxy answers for under its own name provides nothing here.
        """
        shelf = self._owner(name)
        return () if shelf is None else [star for star in shelf.providers(name) if self._owner(star.name) is shelf]

    def claims(self, name: StarName) -> bool:
        """Return whether some galaxy claims `name`."""
        return self._owner(name) is not None

    def _owner(self, name: StarName) -> Library | None:
        return next((shelf for shelf in self.shelves.values() if shelf.claims(name)), None)

    def facts(self, candidate: Candidate) -> Facts:
        """Return what `candidate`'s galaxy knows of it."""
        return self.shelves[candidate.galaxy].facts(candidate)


class Remembering:
    """A library that is asked for the facts of a candidate, and for the providers of a name, once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._facts: dict[Candidate, Facts] = {}
        self._providers: dict[StarName, Sequence[Candidate]] = {}
        self.names = library.names
        self.versions = library.versions
        self.claims = library.claims

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name`."""
        if name not in self._providers:
            self._providers[name] = self._library.providers(name)
        return self._providers[name]

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a candidate says of itself."""
        facts = self._facts.get(candidate)
        if facts is None:
            facts = self._facts[candidate] = self._library.facts(candidate)
        return facts


def preferred(candidates: Iterable[Candidate], kept: Mapping[StarName, Version]) -> list[Candidate]:
    """Return `candidates` as they are tried: the kept version, then the newest; pre-releases last.

    Of one version, a star for one machine comes before one that runs anywhere.
    """
    by_arch = sorted(candidates, key=lambda candidate: (candidate.arch == ANY_ARCH, candidate.arch))
    return sorted(
        sorted(by_arch, key=lambda candidate: candidate.version, reverse=True),
        key=lambda candidate: (kept.get(candidate.name) != candidate.version, candidate.version.is_pre_release),
    )
