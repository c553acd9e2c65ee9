"""Choose the snapshot of a galaxy that an image is frozen against.

**Offline**, it is the snapshot that the old lock names, from the store. **Otherwise** it is the galaxy's newest.
It must not be older than the snapshot of the old lock, nor than this home's memory: a galaxy that was rolled back is
refused. The store keeps the index after that.
"""

from __future__ import annotations

from cosmos.image.world import World
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy
from cosmos.staging.acquire import acquire_index, demand_not_before, verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.trust.roots import TrustRoots


def open_galaxy(
    asked: GalaxySource, source: Source, roots: TrustRoots, seen: LockedGalaxy | None, world: World
) -> OpenGalaxy:
    """Return the galaxy with its verified index, and remember it; `seen` is its snapshot in the old lock.

    Raises `Refused`, `WorldFailed`, or `Malformed` for a file that is not an index.
    """
    if source.carrier is None and seen is not None:
        _, index = acquire_index(seen, source, roots)
        world.remember(lambda memory: memory.with_locked_index(index, roots, f"{asked.name}: {INDEX_FILE}"))
        return OpenGalaxy(asked, source, index, roots)
    file = source.newest_index()
    index = verified_index(file, source, roots, allow_unsigned=asked.allow_unsigned)
    if seen is not None:
        demand_not_before(index, seen, file.path)
    galaxy = OpenGalaxy(asked, source, index, roots)
    world.remember(galaxy.remembered)
    source.keep(file)
    return galaxy
