"""The stars of a lock as a tree: what somebody asked for, and what each star needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import StarName, reason_of
from cosmos.records import dataclass
from cosmos.resolve.chains import Wants


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A line of a dependency tree: a star at a depth. `is_repeated`: what it needs was shown before."""

    depth: int
    star: LockedStar
    is_repeated: bool


def wants_of(lock: Lock) -> Wants:
    """Return who asked for each star of `lock`, and which stars need it.

    A lock that nobody has judged yet may name stars that it does not have: these are left out.
    """
    above: dict[StarName, list[StarName]] = {star.name: [] for star in lock.stars}
    for star in lock.stars:
        for below in star.dependencies:
            above.get(below, []).append(star.name)
    of_stars = {reason_of(name) for name in above}
    return Wants(
        asked_by={star.name: tuple(who for who in star.wanted_by if who not in of_stars) for star in lock.stars},
        above={name: tuple(sorted(stars)) for name, stars in above.items()},
    )


def dependency_tree(lock: Lock, wants: Wants) -> Iterator[tuple[str, tuple[Branch, ...]]]:
    """Yield each wish with the trees below it. What a star needs is shown once, where it comes first."""
    stars = {star.name: star for star in lock.stars}
    shown: set[StarName] = set()
    wishes: dict[str, list[StarName]] = {}
    for name, wishers in wants.asked_by.items():
        for who in wishers:
            wishes.setdefault(who, []).append(name)
    for who, names in wishes.items():
        yield who, tuple(_branches(names, stars, shown))


def _branches(names: list[StarName], stars: Mapping[StarName, LockedStar], shown: set[StarName]) -> Iterator[Branch]:
    waiting = [(0, name) for name in sorted(names, reverse=True)]
    while waiting:
        depth, name = waiting.pop()
        star = stars[name]
        is_repeated = name in shown and bool(star.dependencies)
        yield Branch(depth=depth, star=star, is_repeated=is_repeated)
        if not is_repeated:
            shown.add(name)
            waiting += [(depth + 1, below) for below in sorted(star.dependencies, reverse=True) if below in stars]
