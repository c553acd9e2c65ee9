"""`Library`: the stars that the resolver chooses from, and the rule that decides which galaxy answers for a name.

A `Library` answers four questions about stars. Behind it may be signed indexes, a disk, a network, or a test's dict.
The resolver asks for the facts of a candidate at most once, and only if it may choose the candidate, because each
question may cost a download.

**Galaxies stand in order of priority** (docs/decisions/0004-the-first-galaxy-that-lists-a-name-answers-for-it.md): the
first galaxy that lists a name, or has a star that provides it (`[provides]`), answers for it alone. A lower one is not
asked for that name, even if it has higher versions. So nobody can replace a star by publishing a higher version in
another galaxy (dependency confusion). The first galaxy also answers if all its stars of that name must not be used.
If it lists a star of that name, its providers answer a need for the name as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """`who` (`image`, `constellation:NAME`, `user`) wants the star `name`, or one that provides it."""

    who: str
    name: StarName
    constraint: Constraint

    @property
    def demand(self) -> Demand:
        """The wish as a demand."""
        return Demand(self.name, self.constraint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of one star for one architecture, in the galaxy that answers for it.

    `arch` comes from the index, and tells two stars of one version apart. Whether a star runs on a machine depends on
    the `arch` of its facts, because an index of format 1 has none.
    """

    name: StarName
    version: Version
    galaxy: GalaxyName
    arch: Arch = ANY_ARCH

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Library(Protocol):
    """All the stars that the resolver may choose. The same question always has the same answer while it works."""

    def names(self) -> Iterable[StarName]:
        """Return every name that is listed."""

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of the star called `name`, in any order; empty if no galaxy lists it."""

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name`, from the galaxy that answers for it, in any order.

        The resolver asks for each name once. The answer must not need a walk through the whole galaxy each time.
        """

    def claims(self, name: StarName) -> bool:
        """Return whether it lists a star called `name`, or one that provides it, even if that star must not be used."""

    def facts(self, candidate: Candidate) -> Facts:
        """Return the facts of a candidate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Galaxies:
    """Several libraries as one `Library`, one for each galaxy; the first has the highest priority."""

    libraries: Mapping[GalaxyName, Library]

    def names(self) -> Iterable[StarName]:
        """Return every name that some galaxy lists."""
        return sorted({name for library in self.libraries.values() for name in library.names()})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the versions of `name` in the galaxy that answers for it; no other galaxy is asked."""
        library = self._owner(name)
        return () if library is None else library.versions(name)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the providers of `name` in the galaxy that answers for it.

        A star that an earlier galaxy answers for under its own name provides nothing here.
        """
        library = self._owner(name)
        return (
            () if library is None else [star for star in library.providers(name) if self._owner(star.name) is library]
        )

    def claims(self, name: StarName) -> bool:
        """Return whether some galaxy claims `name`."""
        return self._owner(name) is not None

    def _owner(self, name: StarName) -> Library | None:
        return next((library for library in self.libraries.values() if library.claims(name)), None)

    def facts(self, candidate: Candidate) -> Facts:
        """Return the facts of `candidate` from its galaxy."""
        return self.libraries[candidate.galaxy].facts(candidate)


class Remembering:
    """A library that remembers the facts of each candidate and the providers of each name, so that it asks once."""

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
        """Return the facts of a candidate."""
        facts = self._facts.get(candidate)
        if facts is None:
            facts = self._facts[candidate] = self._library.facts(candidate)
        return facts


def preferred(candidates: Iterable[Candidate], kept: Mapping[StarName, Version]) -> list[Candidate]:
    """Return `candidates` in the order of trial: the kept version, then the newest; pre-releases last.

    Of one version, a star for one architecture comes before one that runs on any.
    """
    by_arch = sorted(candidates, key=lambda candidate: (candidate.arch == ANY_ARCH, candidate.arch))
    return sorted(
        sorted(by_arch, key=lambda candidate: candidate.version, reverse=True),
        key=lambda candidate: (kept.get(candidate.name) != candidate.version, candidate.version.is_pre_release),
    )
