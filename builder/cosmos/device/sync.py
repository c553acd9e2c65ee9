"""`cosmos sync`: verify the newest state of the galaxies and keep it in the system's store, for use offline.

If the galaxies carry a newer trust.toml, it comes first (device.newer_trust). Then each galaxy is checked in this
order. The store keeps its documents only if every check passes:

  1. pinned galaxy keys have signed its newest index, and its seq is not below the operator's floor
  2. the index is not older than the memory, and not another one with the same seq (rollback, fork)
  3. every statement has the digest that this index lists (mix-and-match of two snapshots)
  4. its catalogue, if it has one, has the digest that this index names
  5. with `full`: every archive has the digest that its statement signs

A star whose author is not pinned is left out and counted: a galaxy may have more stars than this operator wants.

An index may list a version no more that an earlier one listed: its owner withdrew it, or the holder of the galaxy's key
hides it. `sync` cannot tell which, so it warns of each such version.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cosmos.device.galaxies import Origins, open_galaxy, tell_gone
from cosmos.device.journal import at_work
from cosmos.device.memory import remember, system_trust
from cosmos.device.network import system_network
from cosmos.device.newer_trust import take_newer
from cosmos.device.root import LiveRoot
from cosmos.device.system import demand_system
from cosmos.errors import NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.resolve.catalogue import Candidate
from cosmos.staging.described import fetched_catalogue, keep_catalogue
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import settling
from cosmos.transport.network import DIRECT, Network
from cosmos.trust.dsse import NotSigned
from cosmos.trust.memory import Memory

Depth: TypeAlias = Literal["index", "stars", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The galaxies to sync (none: all), how much of each; `origins`: addresses to use instead of the galaxy's own."""

    names: tuple[GalaxyName, ...] = ()
    depth: Depth = "stars"
    origins: tuple[str, ...] = ()
    offline: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """One synced galaxy. `before` is the seq that the system knew before; None if it knew none."""

    name: GalaxyName
    seq: int
    before: int | None
    stars: int
    archives: int
    left_out: tuple[str, ...]
    listed_no_more: tuple[str, ...] = ()


def sync(
    root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter, network: Network = DIRECT
) -> tuple[Synced, ...]:
    """Sync the galaxies of `settings`. If it raises `Refused`, the memory of all galaxies stays as it was.

    Raises `NoSystem` if the tree is not a cosmos system.
    """
    demand_system(root)
    with at_work(root):
        return _synced(root, settings, wanted, reporter, system_network(root, settings, network))


def _synced(
    root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter, network: Network
) -> tuple[Synced, ...]:
    chosen = _chosen(settings, wanted, root.option)
    asked_now = [replace(one, url=url) for one in chosen for url in wanted.origins or (one.url,)]
    take_newer(root, settings, asked_now, reporter, network, offline=wanted.offline)
    trust, store = system_trust(root), StoreFolder(root.below(settings.cache_dir))
    memory = trust.memory or Memory()
    store.sweep()
    origins = Origins(wanted.origins, reporter.warn)
    done: list[Synced] = []
    with settling(store):
        for asked in chosen:
            reporter.step(f"sync {asked.name}")
            galaxy = open_galaxy(root, asked, store, trust, network, offline=wanted.offline, origins=origins)
            seen = memory.seen_galaxy(asked.name, trust.roots)
            memory = galaxy.remembered(memory)
            gone = tell_gone(galaxy, seen, reporter)
            brought = _brought(galaxy, None if seen is None else seen.number, wanted.depth, reporter)
            done.append(replace(brought, listed_no_more=gone))
    if trust.locked is not None:
        remember(root, lambda before: replace(before, galaxies=memory.galaxies))
    return tuple(done)


def _chosen(settings: Settings, wanted: Wanted, option: str) -> tuple[GalaxySource, ...]:
    known = {galaxy.name: galaxy for galaxy in settings.galaxies}
    for name in wanted.names:
        if name not in known:
            raise NoSolution(
                name,
                f"no galaxy has this name; config.toml has {', '.join(known) or 'none'}",
                hint=f"cosmos add-galaxy {name} URL{option}",
            )
    chosen = tuple(known[name] for name in wanted.names or known)
    if wanted.origins and len(chosen) != 1:
        raise NoSolution(
            wanted.origins[0],
            f"--from takes one galaxy, got {len(chosen)}",
            hint=f"cosmos sync GALAXY --from {wanted.origins[0]}{option}",
        )
    return chosen


def _brought(galaxy: OpenGalaxy, before: int | None, depth: Depth, reporter: Reporter) -> Synced:
    stars = [] if depth == "index" else [one for name in sorted(galaxy.names()) for one in galaxy.versions(name)]
    keep_catalogue(galaxy, fetched_catalogue(galaxy))
    left_out: list[str] = []
    archives = 0
    for place, star in enumerate(stars, 1):
        reporter.progress(f"{star.name} {star.version}", place, len(stars))
        try:
            galaxy.statement(star)
        except NotSigned:
            left_out.append(f"{star.name}-{star.version}")
            continue
        if depth == "full":
            _bring_archive(galaxy, star)
            archives += 1
    index = galaxy.index.index
    return Synced(
        name=galaxy.name,
        seq=index.seq,
        before=before,
        stars=len(stars) - len(left_out),
        archives=archives,
        left_out=tuple(left_out),
    )


def _bring_archive(galaxy: OpenGalaxy, star: Candidate) -> None:
    locked = galaxy.pinned(star, (), ())
    store = galaxy.source.store
    archive = galaxy.source.archive(locked, lambda _done: None)
    if not store.has(locked.archive, locked.size_bytes):
        store.put_hashed(locked.archive, archive.data)
