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
from dataclasses import dataclass, field
from typing import Protocol

from cosmos.model.demand import Demand, Need
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.star import Star
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a candidate says of itself, once its statement was verified.

    `needs` must each be answered. `provides` names what it also answers to; a version of None is no version, which
    only an unlimited demand takes. `conflicts` bar, each of them. `replaces_whole` names stars that this one stands for
    because it was made from them: it stands beside none of those very names.
    """

    arch: Arch = ANY_ARCH
    needs: tuple[Need, ...] = ()
    provides: Mapping[StarName, tuple[Version | None, ...]] = field(default_factory=dict)
    conflicts: tuple[Demand, ...] = ()
    replaces_whole: frozenset[StarName] = frozenset()

    def provides_for(self, demand: Demand) -> bool:
        """Return whether a version that this star provides answers `demand`."""
        return any(demand.allows(version) for version in self.provides.get(demand.name, ()))

    def provides_barred(self, conflict: Demand) -> bool:
        """Return whether a version that this star provides is one that `conflict` bars."""
        return any(bars(conflict, version) for version in self.provides.get(conflict.name, ()))


def facts_of(star: Star) -> Facts:
    """Return what a manifest says of its star."""
    return Facts(
        arch=star.arch,
        needs=tuple((Demand(name, constraint),) for name, constraint in star.dependencies.items()),
        provides={name: (version,) for name, version in star.provides.items()},
        conflicts=tuple(Demand(name, constraint) for name, constraint in star.conflicts.items()),
    )


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


class Remembering:
    """A library that is asked for the facts of a candidate, and for the providers of a name, once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._facts: dict[Candidate, Facts] = {}
        self._providers: dict[StarName, Sequence[Candidate]] = {}
        self.names = library.names
        self.versions = library.versions

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name`."""
        if name not in self._providers:
            self._providers[name] = self._library.providers(name)
        return self._providers[name]

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a candidate says of itself."""
        if candidate not in self._facts:
            self._facts[candidate] = self._library.facts(candidate)
        return self._facts[candidate]


def preferred(candidates: Iterable[Candidate], kept: Mapping[StarName, Version]) -> list[Candidate]:
    """Return `candidates` as they are tried: the kept version, then the newest; pre-releases last."""
    return sorted(
        sorted(candidates, key=lambda candidate: candidate.version, reverse=True),
        key=lambda candidate: (kept.get(candidate.name) != candidate.version, is_pre_release(candidate.version)),
    )


def is_pre_release(version: Version) -> bool:
    """Return whether `version` comes before a release, so that only who names it takes it."""
    return bool(version.pre)


def bars(conflict: Demand, version: Version | None) -> bool:
    """Return whether a conflict means `version`; here a pre-release is a version like any other.

    >>> b = StarName("b")
    >>> bars(Demand(b, Constraint.parse("*")), Version.parse("2.0.0-beta"))
    True
    >>> bars(Demand(b, Constraint.parse("<2")), Version.parse("2.0.0"))
    False
    """
    comparators = conflict.constraint.comparators
    return not comparators if version is None else all(comparator.allows(version) for comparator in comparators)
