"""Which snapshot of a galaxy an image is frozen against.

**Offline** it is the one that the old lock names, from the store. **Otherwise** it is the galaxy's newest, which must
not lie before the one that the old lock has seen: a galaxy that was rolled back is refused.
"""

from __future__ import annotations

from cosmos.errors import Refused
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LOCK_FILE, LockedGalaxy
from cosmos.staging.acquire import acquire_index, verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import Source
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.roots import TrustRoots


def open_galaxy(asked: GalaxySource, source: Source, roots: TrustRoots, seen: LockedGalaxy | None) -> OpenGalaxy:
    """Return the galaxy with its verified index; `seen` is the snapshot that the old lock has of it.

    Raises `Refused`, `WorldFailed`, or `Malformed` for an index that is none.
    """
    if source.carrier is None and seen is not None:
        return OpenGalaxy(asked, source, acquire_index(seen, source, roots), roots)
    file = source.newest_index()
    index = verified_index(file, source, roots, allow_unsigned=asked.allow_unsigned)
    if seen is not None:
        _demand_not_before(index, seen, file.path)
    source.keep(file)
    return OpenGalaxy(asked, source, index, roots)


def _demand_not_before(index: VerifiedIndex, seen: LockedGalaxy, path: str) -> None:
    """Refuse an index that lies before what the old lock has seen, or that tells the same number another way."""
    now = index.index.seq
    if now > seen.seq or index.digest == seen.index or now == seen.seq == 0:
        return
    problem = "was rolled back" if now < seen.seq else "was forked"
    raise Refused(
        f"{seen.name}: {path}",
        f"{problem}: the lock has seen seq {seen.seq} ({seen.index}), but it now shows seq {now} ({index.digest})",
        hint=f"ask its owner; if you made the galaxy anew yourself, remove {LOCK_FILE} and freeze again",
    )
