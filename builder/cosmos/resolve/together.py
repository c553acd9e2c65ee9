"""The stars of one lock together, and which of them answer a need, or conflict with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cosmos.model.demand import Demand, Need
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One star of a lock, with the facts of its signed statement."""

    name: StarName
    version: Version
    arch: Arch
    galaxy: GalaxyName
    facts: Facts
    dependencies: tuple[StarName, ...]
    wanted_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Together:
    """Some stars, by their names and by the names that they provide. Of two with one name the first counts."""

    def __init__(self, stars: Iterable[Placed]) -> None:
        self.stars: dict[StarName, Placed] = {}
        for star in stars:
            self.stars.setdefault(star.name, star)
        self._providers: dict[StarName, list[Placed]] = {}
        self._met: dict[StarName, list[tuple[Need, list[list[Placed]]]]] = {}
        for name in sorted(self.stars):
            for provided in self.stars[name].facts.provides:
                self._providers.setdefault(provided, []).append(self.stars[name])

    def answers(self, demand: Demand) -> list[Placed]:
        """Return the stars that answer a need's demand: the star of that name, or else those that provide it, by name.

        If a star has that name, only stars of its galaxy answer for the name. If no star has it, these stars do not
        show which galaxy answers, and all that provide the name are returned.
        """
        star = self.stars.get(demand.name)
        if star is not None and demand.allows(star.version):
            return [star]
        return [
            one
            for one in self._providers.get(demand.name, ())
            if one.facts.provides_for(demand) and (star is None or one.galaxy == star.galaxy)
        ]

    def met(self, star: Placed) -> list[tuple[Need, list[list[Placed]]]]:
        """Return each need of one of these stars, with what answers each of its demands."""
        if star.name not in self._met:
            self._met[star.name] = [(need, [self.answers(demand) for demand in need]) for need in star.facts.needs]
        return self._met[star.name]

    def answers_itself(self, star: Placed, need: Need) -> bool:
        """Return whether `star` answers its own need, even beside the star of that name."""
        for demand in need:
            named = self.stars.get(demand.name)
            if star in self.answers(demand):
                return True
            if star.facts.provides_for(demand) and (named is None or named.galaxy == star.galaxy):
                return True
        return False

    def wish_answers(self, demand: Demand) -> list[Placed]:
        """Return the stars that answer a wish: the star of that name alone if there is one, else its providers."""
        named = self.stars.get(demand.name)
        if named is None:
            return self.answers(demand)
        return [named] if demand.allows(named.version) else []

    def clashes(self, star: Placed) -> Iterator[tuple[Placed, Demand | None]]:
        """Yield each star that `star` cannot stand beside, with the conflict; None if it was made from the other."""
        for conflict in star.facts.conflicts:
            found = {
                one.name: one for one in self._providers.get(conflict.name, ()) if one.facts.provides_barred(conflict)
            }
            named = self.stars.get(conflict.name)
            if named is not None and conflict.bars(named.version):
                found[named.name] = named
            yield from ((found[name], conflict) for name in sorted(found) if name != star.name)
        for name in sorted(star.facts.replaces_whole - {star.name}):
            if name in self.stars:
                yield self.stars[name], None
