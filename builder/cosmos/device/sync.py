"""`cosmos sync`: what the galaxies have now, verified and kept in the system's store, so that it is there offline.

In this order, and what one galaxy shows is kept only if every step of it passes:

  1. its newest index is signed by pinned galaxy keys and not below the operator's floor
  2. it is not older than, and no other than, what this system saw of it before (rollback, fork)
  3. every statement is the one that this very index lists, by digest (mix-and-match of two snapshots)
  4. with `full`: every archive is the one that its statement signs

A star whose author is not pinned is left out and counted: a galaxy may hold more than this operator wants.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cosmos.device.galaxies import open_galaxy
from cosmos.device.journal import at_work
from cosmos.device.memory import remember, system_trust
from cosmos.device.root import LiveRoot
from cosmos.errors import NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.resolve.catalogue import Candidate
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import settling
from cosmos.trust.dsse import NotSigned
from cosmos.trust.memory import Memory

Depth: TypeAlias = Literal["index", "stars", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to bring: from which galaxies (none: all), how much of each, and from where instead of their own address."""

    names: tuple[GalaxyName, ...] = ()
    depth: Depth = "stars"
    origin: str | None = None
    offline: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """One galaxy that was brought up to date. `before` is the seq that was seen before, None where none was."""

    name: GalaxyName
    seq: int
    before: int | None
    stars: int
    archives: int
    left_out: tuple[str, ...]


def sync(root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter) -> tuple[Synced, ...]:
    """Bring the galaxies of `settings` up to date; raises `Refused`, and then remembers nothing of any."""
    with at_work(root):
        return _synced(root, settings, wanted, reporter)


def _synced(root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter) -> tuple[Synced, ...]:
    trust, store = system_trust(root), StoreFolder(root.host_path(settings.cache_dir))
    memory = trust.memory or Memory()
    done: list[Synced] = []
    with settling(store):
        for asked in _chosen(settings, wanted):
            reporter.step(f"sync {asked.name}")
            galaxy = open_galaxy(root, asked, store, trust, offline=wanted.offline)
            seen = memory.seen_galaxy(asked.name, trust.roots)
            memory = galaxy.remembered(memory)
            done.append(_brought(galaxy, None if seen is None else seen.number, wanted.depth, reporter))
    if trust.locked is not None:
        remember(root, lambda before: replace(before, galaxies=memory.galaxies))
    return tuple(done)


def _chosen(settings: Settings, wanted: Wanted) -> tuple[GalaxySource, ...]:
    known = {galaxy.name: galaxy for galaxy in settings.galaxies}
    for name in wanted.names:
        if name not in known:
            raise NoSolution(name, f"no galaxy of that name (there is: {', '.join(known) or 'none'})")
    chosen = tuple(known[name] for name in wanted.names or known)
    if wanted.origin is None:
        return chosen
    if len(chosen) != 1:
        raise NoSolution(wanted.origin, "stands for one galaxy", hint="cosmos sync GALAXY --from URL")
    return (replace(chosen[0], url=wanted.origin),)


def _brought(galaxy: OpenGalaxy, before: int | None, depth: Depth, reporter: Reporter) -> Synced:
    stars = [] if depth == "index" else [one for name in sorted(galaxy.names()) for one in galaxy.versions(name)]
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
