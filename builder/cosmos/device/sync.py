"""`cosmos sync`: verify the newest state of the galaxies and keep it in the system's store, for use offline.

If the galaxies carry a newer trust.toml, it comes first (device.newer_trust). Then each galaxy is checked in this
order. The store keeps its documents only if every check passes:

  1. pinned galaxy keys have signed its newest index, and its seq is not below the operator's floor
  2. the index is not older than the memory, and not another one with the same seq (rollback, fork)
  3. every statement has the digest that this index lists (mix-and-match of two snapshots)
  4. its catalogue, if it has one, has the digest that this index names
  5. if the policy wants logs: its log continues the remembered one, and has each of its stars
  6. with `full`: every archive has the digest that its statement signs

The proofs and badges that the policy wants are kept, too. A star without its badges is left out and named: attesters
come after the author, and `install` refuses the star until they came.

A star whose author is not pinned is left out and counted: a galaxy may have more stars than this operator wants.

An index may list a version no more that an earlier one listed: its owner withdrew it, or the holder of the galaxy's key
hides it. `sync` cannot tell which, so it warns of each such version.

`rehearse_sync` reads and verifies the indexes only, and says what would change. With `prune`, files leave the cache
that no index lists and that no installed star came from (device.cache).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, TypeAlias

from cosmos.device.cache import IndexChanges, Pruned, carry_out, index_before, plan_pruning, versions_of
from cosmos.device.galaxies import Origins, open_galaxy, tell_gone
from cosmos.device.journal import at_work, looking
from cosmos.device.memory import SystemTrust, remember, system_trust
from cosmos.device.network import system_network
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.root import LiveRoot
from cosmos.device.system import demand_system, read_universe
from cosmos.device.vouching import as_writer, system_judge
from cosmos.errors import NoSolution, Refused, quoted
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedStar
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Candidate
from cosmos.staging.ahead import archive_files, fetching_ahead
from cosmos.staging.described import fetched_catalogue, keep_catalogue
from cosmos.staging.galaxies import OpenGalaxy, tell_shell_scripts, tell_unknown_keys
from cosmos.staging.vouching import VouchingJudge
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import settling
from cosmos.transport.carrier import NotThere
from cosmos.transport.network import DIRECT, Network
from cosmos.trust.dsse import NotSigned
from cosmos.trust.memory import Memory

Depth: TypeAlias = Literal["index", "stars", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The galaxies to sync (none: all), how much of each; `origins`: addresses to use instead of the galaxy's own.

    `prune`: remove from the cache what nobody needs. It takes all galaxies, and not their indexes alone.
    """

    names: tuple[GalaxyName, ...] = ()
    depth: Depth = "stars"
    origins: tuple[str, ...] = ()
    offline: bool = False
    wait_seconds: float = 0  # for another cosmos that is at work
    prune: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """One synced galaxy. `before` is the seq that the system knew before; None if it knew none.

    `left_out`: versions that no pinned author signed. `without_badges`: versions that lack what the policy wants.

    `new` and `gone` are the versions that this index lists and the one before did not, and the other way round.
    `missing` are stars of an upstream galaxy whose files are not there. In a rehearsal, `archives` counts those that
    would be fetched. `shell_scripts` are versions that `install` refuses, because their script is one for a shell.
    """

    name: GalaxyName
    seq: int
    before: int | None
    stars: int
    archives: int
    left_out: tuple[str, ...]
    listed_no_more: tuple[str, ...] = ()
    without_badges: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    shell_scripts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncOutcome:
    """The synced galaxies, and what left the cache; `pruned` is None without `Wanted.prune`."""

    galaxies: tuple[Synced, ...]
    pruned: Pruned | None = None


def sync(
    root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter, network: Network = DIRECT
) -> SyncOutcome:
    """Sync the galaxies of `settings`. If it raises `Refused`, the memory of all galaxies stays as it was.

    Heads of logs are remembered at once. Raises `NoSystem` if the tree is not a cosmos system.
    """
    demand_system(root)
    with at_work(root, wanted.wait_seconds):
        ways = _Ways(root, settings, wanted, reporter, network)
        chosen = _chosen(settings, wanted, root.option)
        asked_now = [replace(one, url=url) for one in chosen for url in wanted.origins or (one.url,)]
        take_newer(root, settings, asked_now, reporter, ways.network, offline=wanted.offline)
        trust, store = system_trust(root), StoreFolder(root.below(settings.cache_dir))
        memory = trust.memory or Memory()
        store.sweep()
        judge = system_judge(settings, trust, as_writer(root), reporter, option=root.option)
        opened, done = list[OpenGalaxy](), list[Synced]()
        with settling(store):
            for asked in chosen:
                galaxy, changes = ways.opened(asked, store, trust)
                seen = memory.seen_galaxy(asked.name, trust.roots)
                memory = galaxy.remembered(memory)
                no_more = tell_gone(galaxy, seen, reporter)
                judge.demand_log(galaxy.source)
                brought = _brought(galaxy, None if seen is None else seen.number, wanted.depth, judge, reporter)
                opened.append(galaxy)
                done.append(replace(brought, listed_no_more=no_more, new=changes.new, gone=changes.gone))
            pruning = plan_pruning(store, opened, read_universe(root)) if wanted.prune else None
        if trust.locked is not None:
            remember(root, lambda before: replace(before, galaxies=memory.galaxies))
        if pruning is not None:
            carry_out(pruning, store)
    return SyncOutcome(galaxies=tuple(done), pruned=pruning)


def rehearse_sync(
    root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter, network: Network = DIRECT
) -> SyncOutcome:
    """Return what `sync` would do, from the indexes alone. Nothing on the system changes; raises as `sync` does."""
    with looking(root):
        universe = read_universe(root)
        ways = _Ways(root, settings, wanted, reporter, network)
        chosen = _chosen(settings, wanted, root.option)
        tell_newer(root, settings, reporter, ways.network, offline=wanted.offline)
        trust, store = system_trust(root), StoreFolder(root.below(settings.cache_dir))
        held = {digest for digest, _ in store.blobs()}
        opened, done = list[OpenGalaxy](), list[Synced]()
        for asked in chosen:
            galaxy, changes = ways.opened(asked, store, trust)
            seen = None if trust.memory is None else trust.memory.seen_galaxy(asked.name, trust.roots)
            opened.append(galaxy)
            done.append(
                Synced(
                    name=galaxy.name,
                    seq=galaxy.index.index.seq,
                    before=None if seen is None else seen.number,
                    stars=len(versions_of(galaxy.index.index)),
                    archives=galaxy.archives_to_fetch(held) if wanted.depth == "full" else 0,
                    left_out=(),
                    listed_no_more=tell_gone(galaxy, seen, reporter),
                    new=changes.new,
                    gone=changes.gone,
                )
            )
        pruning = plan_pruning(store, opened, universe) if wanted.prune else None
        return SyncOutcome(galaxies=tuple(done), pruned=pruning)


class _Ways:
    """The ways to the galaxies of one sync."""

    def __init__(
        self, root: LiveRoot, settings: Settings, wanted: Wanted, reporter: Reporter, network: Network
    ) -> None:
        self.network = system_network(root, settings, network)
        self._root = root
        self._wanted = wanted
        self._reporter = reporter
        self._origins = Origins(wanted.origins, reporter.warn)

    def opened(self, asked: GalaxySource, store: StoreFolder, trust: SystemTrust) -> tuple[OpenGalaxy, IndexChanges]:
        """Return a galaxy, and how its index differs from the last one that this system read."""
        self._reporter.step(f"sync {asked.name}")
        before = index_before(asked.name, store, trust)
        galaxy = open_galaxy(
            self._root, asked, store, trust, self.network, offline=self._wanted.offline, origins=self._origins
        )
        tell_unknown_keys((galaxy,), (), self._reporter)
        return galaxy, IndexChanges.between(before, galaxy.index.index)


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
            hint=f"cosmos sync GALAXY --from {quoted(wanted.origins[0])}{option}",
        )
    return chosen


def _brought(galaxy: OpenGalaxy, before: int | None, depth: Depth, judge: VouchingJudge, reporter: Reporter) -> Synced:
    stars = [] if depth == "index" else [one for name in sorted(galaxy.names()) for one in galaxy.versions(name)]
    keep_catalogue(galaxy, fetched_catalogue(galaxy))
    left_out, missing, signed, shells = list[str](), list[str](), list[Candidate](), list[str]()
    with fetching_ahead((galaxy.source, galaxy.statement_files(star)) for star in stars):
        for place, star in enumerate(stars, 1):
            reporter.progress(f"{star.name} {star.version}", place, len(stars))
            try:
                said = galaxy.statement(star).statement.star
            except NotSigned:
                left_out.append(f"{star.name}-{star.version}")
                continue
            except NotThere as error:
                if galaxy.index.index.snapshot:
                    raise
                reporter.warn(f"left out: {star.name} {star.version}: {error}")
                missing.append(f"{star.name}-{star.version}")
                continue
            signed.append(star)
            if said.has_shell_script:
                tell_shell_scripts((said,), reporter, "cosmos install")
                shells.append(f"{star.name}-{star.version}")
    wanted = signed if depth == "full" or judge.demands_anything else []
    good, without_badges = _vouched(galaxy, wanted, judge, reporter)
    archives = good if depth == "full" else []
    with fetching_ahead((galaxy.source, archive_files(galaxy.source, star)) for star in archives):
        for place, pinned in enumerate(archives, 1):
            reporter.progress(pinned.id, place, len(archives))
            _bring_archive(galaxy, pinned)
    return Synced(
        name=galaxy.name,
        seq=galaxy.index.index.seq,
        before=before,
        stars=len(signed),
        archives=len(archives),
        left_out=tuple(left_out),
        missing=tuple(missing),
        shell_scripts=tuple(shells),
        without_badges=without_badges,
    )


def _vouched(
    galaxy: OpenGalaxy, stars: Iterable[Candidate], judge: VouchingJudge, reporter: Reporter
) -> tuple[list[LockedStar], tuple[str, ...]]:
    """Return the stars with all that the policy wants, pinned, and the names of those without their badges.

    Raises `Refused` that names every star that the galaxy's log does not have.
    """
    pinned = [galaxy.pinned(star, (), ()) for star in stars]
    published = [galaxy.published(star) for star in pinned]
    judge.demand_all_logged(published)
    good, without = list[LockedStar](), list[str]()
    with judge.expecting_badges(published):
        for item in published:
            try:
                judge.demand_badges(item)
            except Refused as error:
                reporter.warn(f"left out: {error}")
                without.append(item.star.id)
                continue
            good.append(item.star)
    return good, tuple(without)


def _bring_archive(galaxy: OpenGalaxy, locked: LockedStar) -> None:
    store = galaxy.source.store
    archive = galaxy.source.archive(locked, lambda _done: None)
    if not store.has(locked.archive, locked.size_bytes):
        store.put_hashed_soon(locked.archive, archive.data)
