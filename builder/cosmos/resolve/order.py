"""The order in which stars are laid down: each after what it depends on, and by name where that leaves a choice."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from cosmos.errors import NoSolution
from cosmos.model.names import StarName


def dependency_order(needs: Mapping[StarName, Sequence[StarName]]) -> list[StarName]:
    """Return every name in `needs`, each after all that it needs; ties by name. Raises `NoSolution` naming a cycle.

    >>> dependency_order({StarName("nano"): [StarName("zlib")], StarName("zlib"): [], StarName("bash"): []})
    ['bash', 'zlib', 'nano']
    """
    missing = {name: len(set(below)) for name, below in needs.items()}
    above: dict[StarName, list[StarName]] = {name: [] for name in needs}
    for name, below in needs.items():
        for dependency in set(below):
            above[dependency].append(name)
    ready = [name for name, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order: list[StarName] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for dependent in above[name]:
            missing[dependent] -= 1
            if missing[dependent] == 0:
                heapq.heappush(ready, dependent)
    if len(order) < len(needs):
        cycle = _cycle({name: sorted(needs[name]) for name in sorted(needs.keys() - set(order))})
        raise NoSolution(
            cycle[0],
            f"depends on itself: {' -> '.join(cycle)}",
            hint="one of these dependencies has to go, or the stars belong together in one",
        )
    return order


def _cycle(needs: Mapping[StarName, Sequence[StarName]]) -> list[StarName]:
    """Return a cycle in `needs`, beginning and ending with its first name. Every name in it leads to a cycle."""
    path: list[StarName] = []
    here = min(needs)
    while here not in path:
        path.append(here)
        here = next(name for name in needs[here] if name in needs)
    ring = path[path.index(here) :]
    start = ring.index(min(ring))
    return [*ring[start:], *ring[:start], ring[start]]
