"""What an installation chooses from: what is installed, which stays as it is, and then the galaxies in their order.

An installed star is its own only candidate, so that no installation can move it. Its provides, conflicts and
constraints come from its statement, if its galaxy is at hand and still lists the very archive that is installed.

KNOWN GAP: else the universe's own record is all there is: what it depends on is known by name, and what it provides or
conflicts with is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from cosmos.device.galaxies import OpenGalaxy, Reach
from cosmos.errors import CosmosError
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import ANY_VERSION
from cosmos.resolve.library import Candidate, Facts, Galaxies
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import VerifiedStatement

NOWHERE = GalaxyName("system")  # the galaxy of a star that upstream recorded


class Shelf:
    """One galaxy's stars; each statement is verified when its facts are asked for."""

    def __init__(self, galaxy: OpenGalaxy, roots: TrustRoots) -> None:
        self._galaxy = galaxy
        self._roots = roots
        self._statements: dict[Candidate, VerifiedStatement] = {}

    def names(self) -> Iterable[StarName]:
        """Return every name that the galaxy lists."""
        return sorted({row.name for row in self._galaxy.index.index.snapshot})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of `name` that the galaxy lists."""
        return tuple(
            Candidate(name=name, version=row.version, galaxy=self._galaxy.name) for row in self._galaxy.versions(name)
        )

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars whose newest version provides `name`, and their other versions that do."""
        found: list[Candidate] = []
        for star in self.names():
            newest, *older = self.versions(star)
            if name in self.facts(newest).provides:
                found += [newest, *(one for one in older if name in self.facts(one).provides)]
        return found

    def facts(self, candidate: Candidate) -> Facts:
        """Return what the candidate's signed statement says."""
        star = self.statement(candidate).statement.star
        return Facts(arch=star.arch, dependencies=star.dependencies, provides=star.provides, conflicts=star.conflicts)

    def statement(self, candidate: Candidate) -> VerifiedStatement:
        """Return the candidate's statement, verified once."""
        if candidate not in self._statements:
            rows = self._galaxy.versions(candidate.name)
            row = next(row for row in rows if row.version == candidate.version)
            self._statements[candidate] = self._galaxy.statement(row, self._roots)
        return self._statements[candidate]


class Shelves:
    """The `Library` of an installation."""

    def __init__(self, universe: Universe, reached: Reach) -> None:
        self._universe = universe
        self.shelves = {galaxy.name: Shelf(galaxy, reached.roots) for galaxy in reached.galaxies}
        self._galaxies = Galaxies(shelves=self.shelves)

    def names(self) -> Iterable[StarName]:
        """Return every name that is installed or that some galaxy lists."""
        return sorted({*self._universe.installed, *self._galaxies.names()})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed version alone, or else what the first galaxy that lists the name has."""
        star = self._universe.installed.get(name)
        return self._galaxies.versions(name) if star is None else (installed_candidate(name, star),)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed stars that provide `name`, or else those of the galaxies."""
        here = [
            installed_candidate(star, self._universe.installed[star])
            for star, facts in self._installed_facts.items()
            if name in facts.provides
        ]
        found = here or self._galaxies.providers(name)
        return [one for one in found if self.versions(one.name) and one in self.versions(one.name)]

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a star says of itself."""
        star = self._universe.installed.get(candidate.name)
        if star is not None and candidate == installed_candidate(candidate.name, star):
            return self._installed_facts[candidate.name]
        return self._galaxies.facts(candidate)

    @cached_property
    def _installed_facts(self) -> Mapping[StarName, Facts]:
        return {name: self._facts_of(name, star) for name, star in sorted(self._universe.installed.items())}

    def _facts_of(self, name: StarName, star: Installed) -> Facts:
        candidate = installed_candidate(name, star)
        shelf = self.shelves.get(candidate.galaxy)
        if shelf is not None and candidate in shelf.versions(name):
            try:
                statement = shelf.statement(candidate).statement
                if statement.archive == star.archive:
                    return shelf.facts(candidate)
            except CosmosError:
                pass  # a galaxy that spoilt a statement must not keep the system from taking other stars
        return Facts(arch=star.arch, dependencies=dict.fromkeys(star.dependencies, ANY_VERSION))


def installed_candidate(name: StarName, star: Installed) -> Candidate:
    """Return the one candidate that an installed star is."""
    return Candidate(name=name, version=star.version, galaxy=GalaxyName(star.galaxy) if star.galaxy else NOWHERE)
