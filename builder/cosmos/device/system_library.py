"""The stars that an installation can choose: the installed stars, which stay as they are, then the galaxies in order.

An installed star is the only candidate of its name, so no installation can move it. Its provides, conflicts and
constraints are those that the universe recorded from its statement.

KNOWN GAP: a universe of format 1 did not record them. For a star from such a universe they come from its statement, if
its galaxy is open and still lists the installed archive. Without the statement, only the names of the star's
dependencies are known, and not what it provides or conflicts with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from cosmos.device.galaxies import OpenGalaxies
from cosmos.errors import CosmosError
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import ANY_ARCH, GalaxyName, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Candidate, Galaxies

NOWHERE = GalaxyName("system")  # the galaxy of a star that upstream recorded


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A galaxy that did not open. Every question to it raises the reason.

    It keeps its place in the order of priority. Otherwise an attacker could block the first galaxy, and so make a later
    galaxy answer for the first galaxy's names.
    """

    failure: CosmosError

    def names(self) -> Iterable[StarName]:
        """Return no name: names are only used for suggestions."""
        return ()

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Raise the failure: this galaxy may list `name`."""
        raise self._without(name)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Raise the failure: a star of this galaxy may provide `name`."""
        raise self._without(name)

    def claims(self, name: StarName) -> bool:
        """Raise the failure: this galaxy may claim `name`."""
        raise self._without(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Raise the failure: no candidate comes from here."""
        raise self._without(candidate.name)

    def _without(self, name: StarName) -> CosmosError:
        problem = f"{self.failure.problem}, and it may be the galaxy that answers for {name}"
        return type(self.failure)(self.failure.where, problem, hint=self.failure.hint or "cosmos list-galaxies")


class SystemLibrary:
    """The `Library` of an installation."""

    def __init__(self, universe: Universe, opened: OpenGalaxies) -> None:
        self._universe = universe
        self._open = {galaxy.name: galaxy for galaxy in opened.galaxies}
        away = {name: Unreachable(failure) for name, failure in opened.failures.items()}
        self.galaxies = Galaxies(libraries={name: self._open.get(name) or away[name] for name in opened.order})

    def names(self) -> Iterable[StarName]:
        """Return every name of an installed star and every name that a galaxy lists."""
        return sorted({*self._universe.installed, *self.galaxies.names()})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed version alone, or the versions of the first galaxy that lists a name not installed."""
        star = self._universe.installed.get(name)
        return self.galaxies.versions(name) if star is None else (installed_candidate(name, star),)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the installed stars that provide `name`; if there are none, those of the galaxies.

        If there is a star called `name`, only stars of its galaxy count.
        """
        here = self.installed_providers(name)
        listed = self.versions(name)
        if listed:
            here = [one for one in here if one.galaxy == listed[0].galaxy]
        found = here or ([] if name in self._universe.installed else self.galaxies.providers(name))
        return [one for one in found if self.versions(one.name) and one in self.versions(one.name)]

    def installed_providers(self, name: StarName) -> list[Candidate]:
        """Return the installed stars that provide `name`, in the versions that are installed."""
        return [
            installed_candidate(star, self._universe.installed[star])
            for star in self._installed_providers.get(name, ())
        ]

    def claims(self, name: StarName) -> bool:
        """Return whether a star of that name, or one that provides it, is installed or in a galaxy."""
        return name in self._universe.installed or bool(self.providers(name)) or self.galaxies.claims(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Return what a star says of itself."""
        star = self._universe.installed.get(candidate.name)
        if star is not None and candidate == installed_candidate(candidate.name, star):
            return self._installed_facts[candidate.name]
        return self.galaxies.facts(candidate)

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
        if star.about is not None:
            return star.about.facts
        galaxy = self._open.get(installed_candidate(name, star).galaxy)
        listed = () if galaxy is None else galaxy.versions(name)
        for candidate in listed:
            if galaxy is None or candidate.version != star.version or candidate.arch not in (star.arch, ANY_ARCH):
                continue
            try:
                if galaxy.statement(candidate).statement.archive == star.archive:
                    return galaxy.facts(candidate)
            except CosmosError:
                pass  # a damaged statement must not stop the installation of other stars
        return Facts(arch=star.arch, needs=tuple((Demand(needed),) for needed in star.dependencies))


def installed_candidate(name: StarName, star: Installed) -> Candidate:
    """Return an installed star as the only candidate of its name."""
    galaxy = GalaxyName(star.galaxy) if star.galaxy else NOWHERE
    return Candidate(name=name, version=star.version, galaxy=galaxy, arch=star.arch)
