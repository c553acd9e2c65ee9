"""What an installation chooses from: what is installed, which stays as it is, and then the galaxies in their order.

An installed star is its own only candidate, so that no installation can move it. Its provides, conflicts and
constraints come from its statement, if its galaxy is at hand and still lists the very archive that is installed.

KNOWN GAP: else the universe's own record is all there is: what it depends on is known by name, and what it provides or
conflicts with is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cosmos.device.galaxies import Reach
from cosmos.errors import CosmosError
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, GalaxyName, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.resolve.catalogue import Candidate, Galaxies

NOWHERE = GalaxyName("system")  # the galaxy of a star that upstream recorded


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A galaxy that did not open: whoever asks it for a star is told why.

    It keeps its place in the order. If the galaxies below it answered for what it may list, then making the first
    galaxy unreachable would be a way to slip a star of another galaxy in front.
    """

    failure: CosmosError

    def names(self) -> Iterable[StarName]:
        """Return no name: this is asked for suggestions alone."""
        return ()

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Raise: nobody knows whether this galaxy lists `name`."""
        raise self._without(name)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Raise: nobody knows whether a star of this galaxy provides `name`."""
        raise self._without(name)

    def claims(self, name: StarName) -> bool:
        """Raise: nobody knows whether this galaxy claims `name`."""
        raise self._without(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Raise: no candidate comes from here."""
        raise self._without(candidate.name)

    def _without(self, name: StarName) -> CosmosError:
        problem = f"{self.failure.problem}, and it may be the galaxy that answers for {name}"
        return type(self.failure)(self.failure.where, problem, hint=self.failure.hint or "cosmos list-galaxies")


class SystemLibrary:
    """The `Library` of an installation."""

    def __init__(self, universe: Universe, reached: Reach) -> None:
        self._universe = universe
        self._open = {galaxy.name: galaxy for galaxy in reached.galaxies}
        away = {name: Unreachable(failure) for name, failure in reached.failures.items()}
        self._galaxies = Galaxies(libraries={name: self._open.get(name) or away[name] for name in reached.order})

    def names(self) -> Iterable[StarName]:
        """Return every name that is installed or that some galaxy lists."""
        return sorted({*self._universe.installed, *self._galaxies.names()})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed version alone, or else what the first galaxy that lists the name has."""
        star = self._universe.installed.get(name)
        return self._galaxies.versions(name) if star is None else (installed_candidate(name, star),)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed stars that provide `name`, or else those of the galaxies.

        Beside a star of that name, those of its galaxy alone.
        """
        here = [
            installed_candidate(star, self._universe.installed[star])
            for star in self._installed_providers.get(name, ())
        ]
        listed = self.versions(name)
        if listed:
            here = [one for one in here if one.galaxy == listed[0].galaxy]
        found = here or ([] if name in self._universe.installed else self._galaxies.providers(name))
        return [one for one in found if self.versions(one.name) and one in self.versions(one.name)]

    def claims(self, name: StarName) -> bool:
        """Return whether a star of that name, or one that provides it, is installed or to be had."""
        return name in self._universe.installed or bool(self.providers(name)) or self._galaxies.claims(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a star says of itself."""
        star = self._universe.installed.get(candidate.name)
        if star is not None and candidate == installed_candidate(candidate.name, star):
            return self._installed_facts[candidate.name]
        return self._galaxies.facts(candidate)

    @cached_property
    def _installed_providers(self) -> Mapping[StarName, Sequence[StarName]]:
        found: dict[StarName, list[StarName]] = {}
        for star, facts in self._installed_facts.items():
            for name in facts.provides:
                found.setdefault(name, []).append(star)
        return found

    @cached_property
    def _installed_facts(self) -> Mapping[StarName, Facts]:
        return {name: self._facts_of(name, star) for name, star in sorted(self._universe.installed.items())}

    def _facts_of(self, name: StarName, star: Installed) -> Facts:
        galaxy = self._open.get(installed_candidate(name, star).galaxy)
        listed = () if galaxy is None else galaxy.versions(name)
        for candidate in listed:
            if galaxy is None or candidate.version != star.version or candidate.arch not in (star.arch, ANY_ARCH):
                continue
            try:
                if galaxy.statement(candidate).statement.archive == star.archive:
                    return galaxy.facts(candidate)
            except CosmosError:
                pass  # a galaxy that spoilt a statement must not keep the system from taking other stars
        return Facts(arch=star.arch, needs=tuple((Demand(needed),) for needed in star.dependencies))


def installed_candidate(name: StarName, star: Installed) -> Candidate:
    """Return the one candidate that an installed star is."""
    galaxy = GalaxyName(star.galaxy) if star.galaxy else NOWHERE
    return Candidate(name=name, version=star.version, galaxy=galaxy, arch=star.arch)
