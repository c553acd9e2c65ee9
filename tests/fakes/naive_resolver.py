"""The rule of docs/formats/lock.md, "What is chosen", implemented literally: it tries every set of stars."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cosmos.model.demand import Demand
from cosmos.model.names import StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Facts, Wish
from fakes.random_libraries import RandomCase


@dataclass(frozen=True, eq=False)
class Star:
    """One star that may be chosen; `place` is its bit in a set of stars."""

    name: StarName
    version: Version
    galaxy: str
    facts: Facts
    place: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Naive:
    """All stars that may be chosen for a case, and every set of them that is a solution."""

    def __init__(self, case: RandomCase) -> None:
        self.case = case
        self.owner: dict[str, str] = {}  # name -> the galaxy that answers: the first that lists or provides it
        for galaxy, rows in case.galaxies.items():
            for text, about in rows.items():
                for name in (text.split()[0], *about.provides):
                    self.owner.setdefault(name, galaxy)
        rows = [
            (StarName(text.split()[0]), Version.parse(text.split()[1]), galaxy, about)
            for galaxy, stars in case.galaxies.items()
            for text, about in stars.items()
            if self.owner[text.split()[0]] == galaxy
        ]
        self.every = [Star(*row, place=place) for place, row in enumerate(rows)]
        self.listed = {star.name for star in self.every}
        self.stars = [star for star in self.every if star.facts.arch in ("any", "x86_64")]
        self.masks = {star.place: self._rules(star) for star in self.stars}
        self.wishes = sorted(case.wishes, key=lambda wish: (wish.name, wish.constraint.text, wish.who))
        self.solutions = list(self._solutions())

    def answers(self, demand: Demand) -> list[Star]:
        """The stars that answer a need, best first."""
        galaxy = self.owner.get(demand.name)
        own = [star for star in self.stars if star.name == demand.name and demand.constraint.allows(star.version)]
        others = [
            star
            for star in self.stars
            if star not in own
            and star.galaxy == galaxy
            and any(
                (version is None and demand.constraint.text == "*")
                or (version is not None and demand.constraint.allows(version))
                for version in star.facts.provides.get(demand.name, ())
            )
        ]
        others = self.newest_first(others)
        return self.newest_first(own) + sorted(others, key=lambda star: (star.name not in self.case.kept, star.name))

    def wish_answers(self, wish: Wish) -> list[Star]:
        """The stars that answer a wish, best first; if the name is listed, that star alone."""
        found = self.answers(Demand(wish.name, wish.constraint))
        if wish.name not in self.listed:
            return found
        return [star for star in found if star.name == wish.name and wish.constraint.allows(star.version)]

    def newest_first(self, stars: Iterable[Star]) -> list[Star]:
        """The kept version, then the newest; pre-releases last."""
        newest = sorted(stars, key=lambda star: star.version, reverse=True)
        kept = self.case.kept
        return sorted(newest, key=lambda star: (kept.get(star.name) != star.version, bool(star.version.pre)))

    def _rules(self, star: Star) -> tuple[list[int], int]:
        """The masks of which one star each must be chosen, and the mask of stars that must not."""
        needs = [mask(answer for demand in need for answer in self.answers(demand)) for need in star.facts.needs]
        barred = mask(
            other
            for other in self.stars
            if other.name != star.name
            and (other.name in star.facts.replaces_whole or any(meant(one, other) for one in star.facts.conflicts))
        )
        return needs, barred

    def _solutions(self) -> Iterator[int]:
        wishes = [mask(self.wish_answers(wish)) for wish in self.wishes]
        names = sorted({star.name for star in self.stars})
        choices = [[0, *(1 << star.place for star in self.stars if star.name == name)] for name in names]
        for pick in itertools.product(*choices):
            whole = sum(pick)
            if all(whole & wish for wish in wishes) and all(
                not whole & self.masks[place][1] and all(whole & need for need in self.masks[place][0])
                for place in self.masks
                if whole >> place & 1
            ):
                yield whole


def mask(stars: Iterable[Star]) -> int:
    """A set of stars as a number."""
    found = 0
    for star in stars:
        found |= 1 << star.place
    return found


def meant(conflict: Demand, star: Star) -> bool:
    """Whether a conflict names a star or a name that it provides; a pre-release is a version like any other."""
    versions = [star.version] if star.name == conflict.name else []
    limit = conflict.constraint
    return any(
        limit.is_any if version is None else limit.covers(version)
        for version in (*versions, *star.facts.provides.get(conflict.name, ()))
    )


def by_the_rule(case: RandomCase) -> dict[str, tuple[set[str], set[str]]] | None:
    """The right answer: star -> the names of its dependencies, and who wants it. None if there is no solution."""
    naive = Naive(case)
    left = naive.solutions
    if not left:
        return None
    for name in sorted(case.upgraded):
        older = naive.newest_first(star for star in naive.every if star.name == name)
        left = next((few for at in range(1, len(older)) if (few := _without(left, older[at:]))), left)
    for name in sorted(case.kept):
        versions = [star for star in naive.every if star.name == name]
        if any(star.version == case.kept[name] for star in versions):
            others = mask(star for star in versions if star.version != case.kept[name])
            left = [one for one in left if not one & others] or left
    chosen: list[Star] = []
    one: list[tuple[list[Demand], list[Star]]] = []
    several: list[tuple[list[Demand], list[Star]]] = []

    def sort_in(demands: list[Demand], answers: list[Star]) -> None:
        alone = len(demands) == 1 and demands[0].name in naive.listed
        (one if alone else several).append((demands, answers))

    for wish in naive.wishes:
        sort_in([Demand(wish.name, wish.constraint)], naive.wish_answers(wish))
    while one or several:
        alone = bool(one)
        demands, answers = (one or several).pop(0)
        if any(star in chosen for star in answers):
            continue
        tried = [star for star in answers if star.name == demands[0].name] if alone else answers
        if alone:
            tried = [star for star in tried if demands[0].constraint.allows(star.version)]
        else:
            tried = [star for star in answers if star.name in {*case.kept, *case.upgraded}] + answers
        found = next((star for star in tried if any(whole >> star.place & 1 for whole in left)), None)
        if found is None:
            assert alone, "a need is answered in every solution"
            several.append((demands, answers))
            continue
        chosen.append(found)
        left = [whole for whole in left if whole >> found.place & 1]
        for need in found.facts.needs:
            whole_answers = [star for demand in need for star in naive.answers(demand)]
            if found not in whole_answers:
                sort_in(list(need), whole_answers)
    return _rows(naive, chosen)


def _without(solutions: list[int], stars: list[Star]) -> list[int]:
    barred = mask(stars)
    return [one for one in solutions if not one & barred]


def _rows(naive: Naive, chosen: list[Star]) -> dict[str, tuple[set[str], set[str]]]:
    def first(answers: list[Star], demand: Demand) -> Star | None:
        """The star of that name if its version fits, else the first provider by name."""
        there = [star for star in answers if star in chosen]
        named = [star for star in there if star.name == demand.name and demand.constraint.allows(star.version)]
        return min(named or there, key=lambda star: star.name, default=None)

    needs: dict[Star, set[Star]] = {}
    for star in chosen:
        needs[star] = set()
        for need in star.facts.needs:
            if not any(star in naive.answers(demand) for demand in need):
                needs[star].add(next(one for demand in need if (one := first(naive.answers(demand), demand))))
    wished = [(wish.who, first(naive.wish_answers(wish), wish.demand)) for wish in naive.wishes]
    wanted = {star for _, star in wished if star is not None}
    while more := {other for star in wanted for other in needs[star]} - wanted:
        wanted |= more
    return {
        str(star): (
            {str(other.name) for other in needs[star]},
            {who for who, answer in wished if answer == star} | {str(one.name) for one in wanted if star in needs[one]},
        )
        for star in wanted
    }
