"""The owners of paths, as a system's own universe says them."""

from __future__ import annotations

from cosmos.model.universe import Universe
from cosmos.treepath import TreePath


def versions(universe: Universe) -> dict[str, str]:
    """Return the version of each installed star by name, without the nebulas: an image has no layer of them either."""
    return {
        str(name): str(star.version) for name, star in universe.installed.items() if star.type not in ("nebula", "meta")
    }


def owners_of(universe: Universe | None) -> dict[TreePath, str]:
    """Return the star (NAME-VERSION) that owns each path."""
    if universe is None:
        return {}
    return {path: f"{name}-{star.version}" for name, star in universe.installed.items() for path in star.files}
