"""Which installed stars need a star, and which are needed by nobody any more. Pure functions of a universe.

A need is answered by what stays: if two installed stars provide a name, one of them may go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from cosmos.model.facts import Facts
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.universe import PROGRAM, Installed, Universe
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.resolve.together import Placed, Together

_NOWHERE: Final = GalaxyName("system")  # the galaxy of a star that another program recorded
_NO_FACTS: Final = Facts()


def dependants(universe: Universe, going: Collection[StarName]) -> dict[StarName, tuple[StarName, ...]]:
    """Return for each of `going` the stars that stay and need it, if there are any."""
    answered = _Answered(universe, going)
    found: dict[StarName, list[StarName]] = {}
    for name in answered.staying:
        for lost in answered.lost(name):
            found.setdefault(lost, []).append(name)
    return {name: tuple(found[name]) for name in sorted(found)}


def unneeded(universe: Universe) -> tuple[StarName, ...]:
    """Return the stars that nobody asked for and that no other star needs, directly or not; sorted.

    The star `cosmos` is never one of them, nor a star that another program recorded: it did not say who asked for it.
    """
    needs: dict[StarName, set[StarName]] = {name: set(star.dependencies) for name, star in universe.installed.items()}
    for name, star in universe.installed.items():
        for other in star.needed_by:
            needs.setdefault(other, set()).add(name)
    asked = [
        name for name, star in universe.installed.items() if star.asked_by or star.galaxy is None or name == PROGRAM
    ]
    needed = {*asked, *all_dependencies(asked, needs)}
    return tuple(sorted(universe.installed.keys() - needed))


def without(universe: Universe, going: Collection[StarName]) -> Universe:
    """Return `universe` without the stars `going`. A need that another star answers names that star from now on."""
    answered = _Answered(universe, going)
    staying = {
        name: replace(universe.installed[name], dependencies=answered.dependencies(name)) for name in answered.staying
    }
    return replace(universe, installed=with_dependants(staying))


def with_dependants(stars: Mapping[StarName, Installed]) -> dict[StarName, Installed]:
    """Return `stars`, each with the stars in `needed_by` whose dependency it is; the order of known ones stays."""
    needed: dict[StarName, dict[StarName, None]] = {}
    for name in sorted(stars):
        for other in stars[name].dependencies:
            needed.setdefault(other, {})[name] = None
    after: dict[StarName, Installed] = {}
    for name, star in stars.items():
        now = needed.get(name, {})
        order = dict.fromkeys([*(one for one in star.needed_by if one in now), *now])
        after[name] = star if tuple(order) == star.needed_by else replace(star, needed_by=tuple(order))
    return after


class _Answered:
    """The needs of the stars that stay, answered by these stars alone."""

    def __init__(self, universe: Universe, going: Collection[StarName]) -> None:
        self._installed = universe.installed
        self._going = frozenset(going)
        self.staying = sorted(universe.installed.keys() - self._going)
        self._together = Together(_placed(name, universe.installed[name]) for name in self.staying)

    def lost(self, name: StarName) -> Iterable[StarName]:
        """Return the dependencies of `name` that go and that nothing else answers for."""
        star = self._installed[name]
        going = [one for one in star.dependencies if one in self._going]
        if not going or star.about is None:
            return going
        unmet = [need for need, answers in self._together.met(_placed(name, star)) if not any(answers)]
        if not unmet:
            return ()
        named = [one for one in going if any(demand.name == one for need in unmet for demand in need)]
        return named or going

    def dependencies(self, name: StarName) -> tuple[StarName, ...]:
        """Return the dependencies of `name` from now on. A need that nothing answers keeps the star that went."""
        star = self._installed[name]
        if not any(one in self._going for one in star.dependencies):
            return star.dependencies
        lost = set(self.lost(name))
        kept = [one for one in star.dependencies if one not in self._going or one in lost]
        if star.about is not None:
            for _, answers in self._together.met(_placed(name, star)):
                found = [one.name for group in answers for one in group]
                if found and not any(one in kept or one == name for one in found):
                    kept.append(found[0])
        return tuple(sorted(kept))


def _placed(name: StarName, star: Installed) -> Placed:
    facts = star.about.facts if star.about is not None else _NO_FACTS
    galaxy = _NOWHERE if star.galaxy is None else GalaxyName(star.galaxy)
    return Placed(
        name=name,
        version=star.version,
        arch=star.arch,
        galaxy=galaxy,
        facts=facts,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
    )
