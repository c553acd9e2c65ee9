"""What the resolver chooses from, and the rule that says which galaxy answers for a name.

A `Library` answers four questions about stars; behind it may lie signed indexes, a disk, a network, or a test's dict.
It is asked for the facts of a candidate at most once, and only where the candidate comes into question, because each
may cost a download.

**Galaxies stand in order of priority** (docs/decisions/0004-the-first-galaxy-that-lists-a-name-answers-for-it.md): the
first galaxy that lists a name answers for it alone. A lower one is not asked for that name, whatever versions it has,
so that nobody can slip a star in front of another by publishing a higher version elsewhere (dependency confusion).

Another star may **provide** a name (`[provides]`). Where a galaxy lists a star of that name, providers of the same
galaxy answer a need for it as well; where none lists it, the first galaxy that has a provider answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Constraint, Version


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
    """One version of one star, in the galaxy that answers for it."""

    name: StarName
    version: Version
    galaxy: GalaxyName

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
        """Return the versions of `name` in the first galaxy that lists it; no other is asked."""
        return next((found for shelf in self.shelves.values() if (found := shelf.versions(name))), ())

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the providers of `name` in the galaxy that lists it, else in the first that has one.

        A star that an earlier galaxy lists under its own name provides nothing here.
        """
        listing = [shelf for shelf in self.shelves.values() if shelf.versions(name)]
        for shelf in listing[:1] or self.shelves.values():
            found = [star for star in shelf.providers(name) if star in self.versions(star.name)]
            if found:
                return found
        return ()

    def facts(self, candidate: Candidate) -> Facts:
        """Return what `candidate`'s galaxy knows of it."""
        return self.shelves[candidate.galaxy].facts(candidate)


def preferred(candidates: Iterable[Candidate], kept: Mapping[StarName, Version]) -> list[Candidate]:
    """Return `candidates` as they are tried: the kept version, then the newest; pre-releases last."""
    return sorted(
        sorted(candidates, key=lambda candidate: candidate.version, reverse=True),
        key=lambda candidate: (kept.get(candidate.name) != candidate.version, candidate.version.is_pre_release),
    )
