"""What a star rests on: all that it depends on, directly or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cosmos.model.names import StarName


def rests_on(dependencies: Iterable[StarName], needs: Mapping[StarName, Iterable[StarName]]) -> frozenset[StarName]:
    """Return `dependencies` and all that they depend on by `needs`; a name that `needs` does not have needs nothing.

    >>> sorted(rests_on(["b"], {"b": ["c"], "c": ["b", "d"], "x": ["y"]}))
    ['b', 'c', 'd']
    """
    found, waiting = set[StarName](), list(dependencies)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return frozenset(found)
