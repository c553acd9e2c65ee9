"""Say why a star is installed: the chains from somebody's wish to the star, the shortest first.

A chain begins at a star that the image, the user or a constellation asked for, and each star in it needs the next one.
The universe records who asked for a star, and which stars need it.

There may be more chains than a machine can count: with ten layers of ten stars, 10^10. So the search takes the star
from which the way to a wish is shortest (A*: Hart, Nilsson and Raphael 1968), and ends at `MAX_CHAINS`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cosmos.errors import NoSolution
from cosmos.model.names import StarName
from cosmos.model.universe import Universe
from cosmos.model.version import Version
from cosmos.nearest import nearest

MAX_CHAINS: Final = 20  # a person reads no more
_MAX_TRIED: Final = 1_000  # ends of chains that were looked at: chains that would meet themselves lead nowhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """`wish` is who asked for the first of `stars`. The last of them is the star in question."""

    wish: str
    stars: tuple[StarName, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """Why a star is installed. `has_more`: there are more chains than these.

    `needed_by` are the installed stars that need it, also those that nobody wants any more. `is_recorded`: the universe
    says who wants the star; upstream's says nothing.
    """

    name: StarName
    version: Version
    chains: tuple[Chain, ...]
    has_more: bool
    needed_by: tuple[StarName, ...]
    is_recorded: bool


def reasons_for(universe: Universe, name: StarName, *, option: str = "") -> Reasons:
    """Return why `name` is installed; raises `NoSolution` if it is not. `option`: see `LiveRoot.option`."""
    star = universe.installed.get(name)
    if star is None:
        near = nearest(name, sorted(map(str, universe.installed)), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"cosmos status{option}"
        raise NoSolution(name, "is not installed", hint=hint)
    above = _above(universe)
    chains, has_more = _chains(universe, above, name)
    return Reasons(
        name=name,
        version=star.version,
        chains=chains,
        has_more=has_more,
        needed_by=above[name],
        is_recorded=bool(star.wanted_by) or star.archive is not None,
    )


def _above(universe: Universe) -> dict[StarName, tuple[StarName, ...]]:
    """Return the installed stars that need each star. A star that is gone needs nothing, whatever its row said."""
    found: dict[StarName, set[StarName]] = {name: set() for name in universe.installed}
    for name, star in universe.installed.items():
        found[name].update(one for one in star.needed_by if one in universe.installed)
        for below in star.dependencies:
            if below in found:
                found[below].add(name)
    return {name: tuple(sorted(above - {name})) for name, above in found.items()}


def _chains(
    universe: Universe, above: Mapping[StarName, tuple[StarName, ...]], name: StarName
) -> tuple[tuple[Chain, ...], bool]:
    """Return the chains to `name`, the shortest first, and whether there are more."""
    away = _steps_to_a_wish(universe, above)
    found: list[Chain] = []
    # by length; of chains of one length, the one that is nearly complete comes first
    waiting: list[tuple[int, int, tuple[StarName, ...]]] = []
    if name in away:
        waiting.append((away[name], away[name], (name,)))
    for _ in range(_MAX_TRIED):
        if not waiting or len(found) > MAX_CHAINS:
            break
        _, _, stars = heapq.heappop(waiting)
        found += [Chain(wish=wish, stars=stars) for wish in universe.installed[stars[0]].asked_by]
        for one in above[stars[0]]:
            if one in away and one not in stars:
                heapq.heappush(waiting, (len(stars) + away[one], away[one], (one, *stars)))
    return tuple(found[:MAX_CHAINS]), bool(waiting) or len(found) > MAX_CHAINS


def _steps_to_a_wish(universe: Universe, above: Mapping[StarName, tuple[StarName, ...]]) -> dict[StarName, int]:
    """Return how many stars lie between each star and the nearest star above it that somebody asked for.

    A star is left out if nobody wants it, directly or not.
    """
    below: dict[StarName, list[StarName]] = {}
    for name, stars in above.items():
        for one in stars:
            below.setdefault(one, []).append(name)
    away = {name: 0 for name, star in universe.installed.items() if star.asked_by}
    waiting = deque(away)
    while waiting:
        name = waiting.popleft()
        for one in below.get(name, ()):
            if one not in away:
                away[one] = away[name] + 1
                waiting.append(one)
    return away
