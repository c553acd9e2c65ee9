"""The order in which stars are installed: each after its dependencies; ties by name.

Stars that depend on each other in a circle form one strongly connected component. Components come in dependency order,
ties by the least name of each. Inside a component the order must break one dependency. A depth-first walk starts at the
least name and takes dependencies in the order of their names; it lists a star after all that it reached through it. So
each star comes after its dependencies, except one through which the walk came to it.

Tarjan, Depth-first search and linear graph algorithms (1972); without recursion, for chains may be long.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from cosmos.model.names import StarName

Needs = Mapping[StarName, Sequence[StarName]]


def dependency_order(needs: Needs) -> list[StarName]:
    """Return every name in `needs`, each after its dependencies unless there is a circle; ties by name.

    >>> dependency_order({StarName("nano"): [StarName("zlib")], StarName("zlib"): [], StarName("bash"): []})
    ['bash', 'zlib', 'nano']
    >>> dependency_order({StarName("libc"): [StarName("libgcc")], StarName("libgcc"): [StarName("libc")]})
    ['libgcc', 'libc']
    """
    components = _components(needs)
    number = {name: place for place, component in enumerate(components) for name in component}
    below = [{number[other] for name in part for other in needs[name]} - {at} for at, part in enumerate(components)]
    above: list[list[int]] = [[] for _ in components]
    for at, others in enumerate(below):
        for other in others:
            above[other].append(at)
    missing = [len(others) for others in below]
    ready = [(min(part), at) for at, part in enumerate(components) if not missing[at]]
    heapq.heapify(ready)
    order: list[StarName] = []
    while ready:
        _, at = heapq.heappop(ready)
        order += _inside(components[at], needs)
        for other in above[at]:
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (min(components[other]), other))
    return order


def out_of_order(needs: Needs) -> Iterator[tuple[StarName, StarName]]:
    """Yield each name in `needs` with a dependency that should come before it and does not."""
    place = {name: at for at, name in enumerate(needs)}
    components = _components(needs)
    number = {name: at for at, component in enumerate(components) for name in component}
    last = [max(component, key=place.__getitem__) for component in components]
    for name, others in needs.items():
        for other in sorted({last[number[other]] for other in others if number[other] != number[name]}):
            if place[other] > place[name]:
                yield name, other
    for component in components:
        inside = _inside(component, needs)
        yield from ((b, a) for a, b in pairwise(inside) if place[a] > place[b])


def _inside(component: Sequence[StarName], needs: Needs) -> list[StarName]:
    """Return the component's names in the order of the depth-first walk from the least name."""
    if len(component) == 1:
        return list(component)
    members, start = set(component), min(component)
    order: list[StarName] = []
    seen, path = {start}, [(start, iter(sorted(needs[start])))]
    while path:
        name, others = path[-1]
        other = next((one for one in others if one in members and one not in seen), None)
        if other is None:
            order.append(name)
            path.pop()
        else:
            seen.add(other)
            path.append((other, iter(sorted(needs[other]))))
    return order


def _components(needs: Needs) -> list[list[StarName]]:
    """Return the strongly connected components of the names in `needs`."""
    found: list[list[StarName]] = []
    index: dict[StarName, int] = {}
    low: dict[StarName, int] = {}
    open_names: list[StarName] = []
    is_open: set[StarName] = set()
    for start in needs:
        path = [] if start in index else [(start, iter(needs[start]))]
        while path:
            name, others = path[-1]
            if name not in index:
                index[name] = low[name] = len(index)
                open_names.append(name)
                is_open.add(name)
            for other in others:
                if other not in index:
                    path.append((other, iter(needs[other])))
                    break
                if other in is_open:
                    low[name] = min(low[name], index[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == index[name]:
                    at = _place_of(name, open_names)
                    found.append(open_names[at:])
                    is_open.difference_update(open_names[at:])
                    del open_names[at:]
    return found


def _place_of(name: StarName, names: Sequence[StarName]) -> int:
    """Return the index of `name`, searched from the end, so that all components together cost one pass."""
    return next(at for at in range(len(names) - 1, -1, -1) if names[at] == name)
