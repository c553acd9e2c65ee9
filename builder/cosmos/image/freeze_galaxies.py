"""Choose the snapshot of a galaxy that an image is frozen against.

**Offline**, it is the snapshot that the old lock names, from the store. **Otherwise** it is the galaxy's newest.
It must not be older than the snapshot of the old lock, nor than this home's memory: a galaxy that was rolled back is
refused. The store keeps the index after that.

**As of a date**, it is the newest snapshot whose index states this date or an earlier one. The galaxy's newest index is
judged and remembered first, as always. So nobody can pass off a rolled-back galaxy as an old date. The dates are what
the galaxy's keys have signed, not a clock: docs/decisions/0049.
"""

from __future__ import annotations

from cosmos.errors import NoSolution, Refused, quoted
from cosmos.image.world import World
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy
from cosmos.staging.acquire import acquire_index, demand_not_before, verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.trust.dsse import NotSigned
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.roots import TrustRoots


def open_galaxy(
    asked: GalaxySource,
    source: Source,
    roots: TrustRoots,
    seen: LockedGalaxy | None,
    world: World,
    as_of: str | None = None,
) -> OpenGalaxy:
    """Return the galaxy with its verified index, and remember it; `seen` is its snapshot in the old lock.

    `as_of` is YYYY.MM.DD, or None for the newest index.

    Raises `Refused`, `WorldFailed`, `Malformed` for a file that is not an index, or `NoSolution` if there was no index
    on that date.
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
    return galaxy if as_of is None else _as_of(as_of, galaxy, roots)


def _as_of(date: str, galaxy: OpenGalaxy, roots: TrustRoots) -> OpenGalaxy:
    """Return the galaxy with its newest snapshot of `date` or before: half of the snapshots are left after each look.

    Raises `NoSolution`, and `Refused` for dates that go back, because then another look would give another answer.
    """
    newest = galaxy.index.index
    if not newest.seq:
        problem = "has no snapshots, because its index has upstream's format"
        raise NoSolution(f"galaxy {galaxy.name}", problem, hint="leave out --as-of, or take it out of [galaxies]")
    if newest.version <= date:
        return galaxy
    # the snapshot `late` is later than the date; `early` is not, or it is below the floor, or no key of today signed it
    early, late = max(0, roots.floors.galaxies.get(galaxy.name, 0) - 1), newest.seq
    found: VerifiedIndex | Refused | None = None  # what `early` is
    dates = {newest.seq: newest.version}
    while late - early > 1:
        middle = (early + late) // 2
        seen = _snapshot(middle, galaxy, roots)
        if isinstance(seen, VerifiedIndex):
            dates[middle] = seen.index.version
        if isinstance(seen, VerifiedIndex) and seen.index.version > date:
            late = middle
        else:
            early, found = middle, seen
    if sorted(dates.values()) != [dates[seq] for seq in sorted(dates)]:
        problem = "the dates of its snapshots go back, so --as-of has no one answer"
        raise Refused(f"galaxy {galaxy.name}", problem, hint="leave out --as-of, or take it out of [galaxies]")
    if isinstance(found, Refused):
        raise found
    if found is None and early:
        problem = f"what it had on {date} lies below the floor of {early + 1} that trust.toml sets"
        raise Refused(f"galaxy {galaxy.name}", problem, hint=f"name a later date: --as-of {quoted(dates[late])}")
    if found is None:
        problem = f"had no index on {date}: its first one is of {dates[late]}"
        raise NoSolution(f"galaxy {galaxy.name}", problem, hint=f"name a later date: --as-of {quoted(dates[late])}")
    return OpenGalaxy(galaxy.asked, galaxy.source, found, roots)


def _snapshot(seq: int, galaxy: OpenGalaxy, roots: TrustRoots) -> VerifiedIndex | Refused:
    """Return one snapshot, verified by the keys of today and kept; or why they refuse it, as before a rotation.

    Raises `Refused` if the file is that of another seq.
    """
    file = galaxy.source.snapshot(seq)
    try:
        index = verified_index(file, galaxy.source, roots, allow_unsigned=galaxy.asked.allow_unsigned)
    except NotSigned as error:
        return error
    if index.index.seq != seq:
        raise Refused(f"{galaxy.name}: {file.path}", f"want the index with seq {seq}, but it has {index.index.seq}")
    galaxy.source.keep(file)
    return index
