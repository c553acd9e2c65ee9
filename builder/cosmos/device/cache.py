"""A system's cache beside the galaxies: what changed since the last index, and which files nobody needs any more.

The cache keeps archives, catalogues, and (from older versions of cosmos) statements as files by their digest. Such a
file is needed if the newest index of a galaxy lists it, or if an installed star came from it: `freeze` and `install
--offline` read it. All other files can go. Small documents, such as indexes and statements, lie together in batches and
stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Self

from cosmos.device.memory import SystemTrust
from cosmos.digest import Digest
from cosmos.errors import CosmosError, WorldFailed
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import GalaxyName
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.store.blobs import StoreFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexChanges:
    """The versions that only the newer of two indexes lists, and those that only the older one lists."""

    new: tuple[str, ...]
    gone: tuple[str, ...]

    @classmethod
    def between(cls, before: GalaxyIndex | None, now: GalaxyIndex) -> Self:
        """Return the changes from `before` to `now`; with no index before, every version is new."""
        old, new = set[str]() if before is None else versions_of(before), versions_of(now)
        return cls(new=tuple(sorted(new - old)), gone=tuple(sorted(old - new)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """The files that leave the cache, with their sizes."""

    files: Mapping[Digest, int]

    @property
    def size_bytes(self) -> int:
        """Their bytes together."""
        return sum(self.files.values())


def versions_of(index: GalaxyIndex) -> set[str]:
    """Return every version that an index lists, as `NAME VERSION`; the name alone if upstream lists no version."""
    rows = {f"{row.name} {row.version}" for row in index.snapshot}
    return rows or {str(name) if version is None else f"{name} {version}" for name, version in index.newest.items()}


def index_before(name: GalaxyName, store: StoreFolder, trust: SystemTrust) -> GalaxyIndex | None:
    """Return the index of a galaxy that this system read last, from its cache; None if the cache has none."""
    seen = None if trust.memory is None else trust.memory.seen_galaxy(name, trust.roots)
    source = Source(galaxy=name, carrier=None, store=store)
    try:
        file = source.newest_unsigned() if seen is None else source.kept_index(seen.number, seen.digest)
        return None if file is None else GalaxyIndex.parse(file.data, f"{name}: {INDEX_FILE}")
    except CosmosError:
        return None


def plan_pruning(store: StoreFolder, galaxies: Iterable[OpenGalaxy], universe: Universe) -> Pruned:
    """Return the files that nobody needs. `galaxies` are all galaxies of the system, with their newest indexes."""
    needed = {digest for galaxy in galaxies for digest in galaxy.listed_files()}
    for star in universe.installed.values():
        needed |= _came_from(star, store)
    return Pruned(files={digest: size for digest, size in store.blobs() if digest not in needed})


def carry_out(pruning: Pruned, store: StoreFolder) -> None:
    """Remove the files. A kill leaves some of them. Raises `WorldFailed` if another process writes into the cache."""
    if not store.remove_blobs(pruning.files):
        raise WorldFailed(
            str(store.root),
            "another cosmos writes into the cache, so nothing was pruned",
            hint="run the same command again when it is done",
        )


def _came_from(star: Installed, store: StoreFolder) -> set[Digest]:
    """Return the archive and the statement of an installed star.

    An older cosmos kept the statement and its envelope in two files. They are kept together as one document first: no
    record says which file the envelope is.
    """
    found = set[Digest]() if star.archive is None else {star.archive}
    if star.published is not None and star.galaxy is not None:
        found.add(star.published.statement)
        source = Source(galaxy=GalaxyName(star.galaxy), carrier=None, store=store)
        with suppress(CosmosError):
            source.keep(replace(source, carrier=None).statement("", star.published.statement))
    return found
