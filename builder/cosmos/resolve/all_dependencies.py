"""All dependencies of a star, direct and indirect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cosmos.model.names import StarName


def all_dependencies(
    dependencies: Iterable[StarName], needs: Mapping[StarName, Iterable[StarName]]
) -> frozenset[StarName]:
    """Return `dependencies` and all of theirs, by `needs`; a name that is not in `needs` has no dependencies.

    >>> sorted(all_dependencies(["b"], {"b": ["c"], "c": ["b", "d"], "x": ["y"]}))
    ['b', 'c', 'd']
    """
    found, waiting = set[StarName](), list(dependencies)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return frozenset(found)
