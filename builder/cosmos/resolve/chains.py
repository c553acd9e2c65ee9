"""The chains from somebody's wish to a star, the shortest first.

A chain begins at a star that somebody asked for, and each star in it needs the next one. There may be more chains than
a machine can count: with ten layers of ten stars, 10^10. So the search takes the star from which the way to a wish is
shortest (A*: Hart, Nilsson and Raphael 1968), and ends at `MAX_CHAINS`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from typing import Final

from cosmos.model.names import StarName
from cosmos.records import dataclass

MAX_CHAINS: Final = 20  # a person reads no more
_TRIED_FOR_ONE: Final = 50  # ends of chains that are looked at for each: chains that would meet themselves lead nowhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """`wish` is who asked for the first of `stars`. The last of them is the star in question."""

    wish: str
    stars: tuple[StarName, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wants:
    """Who asked for a star, and which stars need it: `above` has every star, and names only stars that it has."""

    asked_by: Mapping[StarName, tuple[str, ...]]
    above: Mapping[StarName, tuple[StarName, ...]]


def chains_to(name: StarName, wants: Wants) -> tuple[tuple[Chain, ...], bool]:
    """Return the chains to `name`, the shortest first, and whether there are more."""
    return first_chains(name, wants, steps_to_a_wish(wants), MAX_CHAINS)


def first_chains(
    name: StarName, wants: Wants, away: Mapping[StarName, int], most: int
) -> tuple[tuple[Chain, ...], bool]:
    """Return at most `most` chains to `name`, as `chains_to` does; `away` is `steps_to_a_wish` of the same stars."""
    found: list[Chain] = []
    # by length; of chains of one length, the one that is nearly complete comes first
    waiting: list[tuple[int, int, tuple[StarName, ...]]] = []
    if name in away:
        waiting.append((away[name], away[name], (name,)))
    for _ in range(_TRIED_FOR_ONE * most):
        if not waiting or len(found) > most:
            break
        _, _, stars = heapq.heappop(waiting)
        found += [Chain(wish=wish, stars=stars) for wish in wants.asked_by.get(stars[0], ())]
        for one in wants.above[stars[0]]:
            if one in away and one not in stars:
                heapq.heappush(waiting, (len(stars) + away[one], away[one], (one, *stars)))
    return tuple(found[:most]), bool(waiting) or len(found) > most


def steps_to_a_wish(wants: Wants) -> dict[StarName, int]:
    """Return how many stars lie between each star and the nearest star above it that somebody asked for.

    A star is left out if nobody wants it, directly or not.
    """
    below: dict[StarName, list[StarName]] = {}
    for name, stars in wants.above.items():
        for one in stars:
            below.setdefault(one, []).append(name)
    away = {name: 0 for name in wants.above if wants.asked_by.get(name)}
    waiting = deque(away)
    while waiting:
        name = waiting.popleft()
        for one in below.get(name, ()):
            if one not in away:
                away[one] = away[name] + 1
                waiting.append(one)
    return away
