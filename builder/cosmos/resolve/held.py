"""Why a star does not stand in a newer version: each wish, need and conflict that is against this version.

The stars that were chosen are asked, and the facts of the newer version. No search is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.judging import in_words
from cosmos.resolve.together import Placed, Together


class Holding:
    """The stars that were chosen together, and the wishes that they answer."""

    def __init__(self, wishes: Sequence[Wish], stars: Iterable[Placed]) -> None:
        self._wishes = wishes
        self._together = Together(stars)
        self._asking: dict[StarName, list[Placed]] = {}
        for star in self._together.stars.values():
            names = {demand.name for need in star.facts.needs for demand in need}
            for name in names | {conflict.name for conflict in star.facts.conflicts}:
                self._asking.setdefault(name, []).append(star)

    def holders(self, name: StarName, version: Version, facts: Facts) -> tuple[str, ...]:
        """Return a sentence for each reason why the chosen star `name` is not in `version`, whose facts are `facts`."""
        return tuple(dict.fromkeys((*self._wishing(name, version), *self._asked(name, version, facts))))

    def _wishing(self, name: StarName, version: Version) -> Iterator[str]:
        for wish in self._wishes:
            if wish.name == name and not wish.constraint.allows(version):
                yield f"{wish.who} wants {in_words((wish.demand,))}"

    def _asked(self, name: StarName, version: Version, facts: Facts) -> Iterator[str]:
        there = self._together.stars[name]
        newer = replace(there, version=version, facts=facts, arch=facts.arch)
        for star in self._asking.get(name, ()):
            if star.name == name:
                continue
            for need in star.facts.needs:
                is_about = any(demand.name == name for demand in need)
                if is_about and not any(self._answers(demand, newer) for demand in need):
                    yield f"{star} wants {in_words(need)}"
            for conflict in star.facts.conflicts:
                if conflict.name == name and conflict.bars(version):
                    yield f"{star} conflicts with {in_words((conflict,))}"
        for need in facts.needs:
            if not any(self._answers(demand, newer) for demand in need):
                yield f"{name} {version} wants {in_words(need)}, but {self._instead(need)}"
        for conflict in facts.conflicts:
            other = self._together.stars.get(conflict.name)
            if other is not None and other.name != name and conflict.bars(other.version):
                yield f"{name} {version} conflicts with {in_words((conflict,))}, and {other} is there"

    def _answers(self, demand: Demand, newer: Placed) -> bool:
        """Return whether the newer star, or another of the chosen ones, answers a demand."""
        if demand.name == newer.name and demand.allows(newer.version):
            return True
        others = (one for one in self._together.answers(demand) if one.name != newer.name)
        return newer.facts.provides_for(demand) or any(others)

    def _instead(self, need: Sequence[Demand]) -> str:
        there = [str(self._together.stars[one.name]) for one in need if one.name in self._together.stars]
        return f"{' and '.join(there)} is chosen" if there else "no chosen star answers that"
