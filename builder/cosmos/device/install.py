"""Install stars from the system's galaxies: resolve, fetch, verify, stage, judge, place. `install` shows all steps.

An installation only adds stars; installed stars stay as they are. It is one transaction (device.transaction). If it is
killed, or the power fails, before its commit, the system stays as it was. The same holds if it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from cosmos.device.choose import Choice, Chosen, choose
from cosmos.device.dependency_files import DependencyFiles
from cosmos.device.fetching import acquired_stars, opened_galaxies
from cosmos.device.galaxies import OpenGalaxies, remember_opened, remember_shown
from cosmos.device.journal import at_work, journal, looking
from cosmos.device.leaving import Kept
from cosmos.device.locked import LockToInstall, choose_locked, demand_signed_right, open_locked, roots_when_locked
from cosmos.device.look import Look
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.plan import Plan, PlannedStar
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.replacing import Replacing
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.settling import settle
from cosmos.device.staged_plan import Viewer, planned_stars
from cosmos.device.staging_area import StagingArea, system_consent
from cosmos.device.system import demand_anchors, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Transaction
from cosmos.device.trusted import judge_below, rests_on
from cosmos.device.vouching import as_reader, as_writer, system_judge
from cosmos.digest import Digest
from cosmos.model.history import star_changes, versions_of
from cosmos.model.names import StarName, parted
from cosmos.model.reporter import Reporter, counted
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.resolve.resolving import Wish
from cosmos.staging.acquire import Acquired
from cosmos.staging.logs import Remember
from cosmos.store.interface import settling
from cosmos.transport.network import DIRECT, Network
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallRequest:
    """The stars to install. `epoch`: no installed file is newer, and files that scripts make have this time.

    `safe`: no script runs programs, even if the system's policy allows it. `wait_seconds`: how long to wait for another
    cosmos that is at work. `network`: how servers are reached. `locked`: install this lock, and no wishes.
    """

    wishes: Sequence[Wish]
    offline: bool
    epoch: int
    safe: bool = False
    locked: LockToInstall | None = None
    wait_seconds: float = 0
    network: Network = DIRECT


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """The installed stars, in dependency order (from `rehearse`: the stars that would be installed).

    `kept` are wished stars that were installed before. `unowned` counts the entries whose owner or capability only root
    could have set. `undone` is the recovery of an interrupted change before this one. `kept_paths` are configuration
    that was there, and `beside` the new configuration beside such paths.
    """

    stars: tuple[Chosen, ...]
    kept: tuple[StarName, ...]
    records: Mapping[StarName, Installed]
    kept_paths: tuple[Kept, ...] = ()
    beside: tuple[TreePath, ...] = ()
    unowned: int = 0
    undone: Undone | None = None


def install(
    root: LiveRoot, request: InstallRequest, reporter: Reporter, look: Callable[[Look], None] = lambda _: None
) -> Installation:
    """Install the stars of `request`. If it raises an error of `cosmos.errors`, the system stays as it was.

    `look` gets all that a person may want to see, once: all stars are verified and staged then, everything new lies on
    the disk under temporary names, and no path has changed. If `look` raises, the system stays as it was.
    """
    with at_work(root, request.wait_seconds):
        undone = settle(root, reporter)
        universe, settings = read_universe(root), read_settings(root)
        take_newer(root, settings, settings.galaxies, reporter, request.network, offline=request.offline)
        # all stars are verified before one is unpacked
        opened, chosen, acquired = _acquired(root, universe, settings, request, reporter, as_writer(root))
        records: dict[StarName, Installed] = {}
        with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command="install") as going_on:
            transaction = Transaction(root, going_on)
            viewer = Viewer(show=look, kept=chosen.kept, roots=opened.roots)
            replacing = Replacing(root, {}, {}, "install")
            for planned in _planned(root, universe, settings, acquired, request, reporter, viewer):
                batch, records[planned.star] = replacing.batch(planned)
                replacing.demand_possible()  # before the person is asked
                transaction.prepare(batch)
            reporter.step(f"put {counted(len(records), 'star')} in place")
            transaction.publish()
            after = with_stars(universe, chosen, records)
            changes = star_changes(versions_of(universe), versions_of(after))
            transaction.commit(rendered(after) if after != universe else None, changes)
        remember_opened(root, opened)
    done = _installation(chosen, records, replacing)
    return replace(done, unowned=transaction.unowned, undone=undone)


def rehearse(
    root: LiveRoot, request: InstallRequest, reporter: Reporter, look: Callable[[Look], None] = lambda _: None
) -> Installation:
    """Do everything of `install` except the changes: fetch, verify, run scripts on a virtual root, find conflicts.

    The fetched archives stay in the cache, and the galaxies' newest indexes in the memory; nothing else on the system
    changes. `look`: as for `install`.
    """
    with looking(root):
        universe, settings = read_universe(root), read_settings(root)
        tell_newer(root, settings, reporter, request.network, offline=request.offline)
        opened, chosen, acquired = _acquired(root, universe, settings, request, reporter, as_reader(root))
        remember_shown(root, opened)
        viewer = Viewer(show=look, kept=chosen.kept, roots=opened.roots)
        replacing = Replacing(root, {}, {}, "install")
        records: dict[StarName, Installed] = {}
        for planned in _planned(root, universe, settings, acquired, request, reporter, viewer):
            _, records[planned.star] = replacing.batch(planned)
            replacing.demand_possible()
        return _installation(chosen, records, replacing)


def recover(root: LiveRoot, wait_seconds: float = 0) -> Undone | None:
    """Undo or finish an interrupted change; return None if no change was interrupted."""
    with at_work(root, wait_seconds):
        return recover_journal(root)


def with_stars(universe: Universe, choice: Choice, records: Mapping[StarName, Installed]) -> Universe:
    """Return `universe` with the new stars, and with the new reasons of the installed stars."""
    installed = {**universe.installed, **records}
    for name, reasons in choice.reasons.items():
        star = installed[name]
        asked_by, needed_by = parted(dict.fromkeys((*star.wanted_by, *reasons)))
        installed[name] = replace(star, asked_by=asked_by, needed_by=needed_by)
    return replace(universe, installed=installed)


def _installation(chosen: Choice, records: Mapping[StarName, Installed], replacing: Replacing) -> Installation:
    return Installation(
        stars=chosen.stars,
        kept=chosen.kept,
        records=records,
        kept_paths=tuple(sorted(replacing.kept, key=lambda one: one.path)),
        beside=tuple(sorted(replacing.beside)),
    )


def _acquired(
    root: LiveRoot,
    universe: Universe,
    settings: Settings,
    request: InstallRequest,
    reporter: Reporter,
    remembering: Remember,
) -> tuple[OpenGalaxies, Choice, dict[StarName, Acquired]]:
    opened = _opened(root, settings, request, reporter)
    then = None if request.locked is None else roots_when_locked(root, request.locked.lock)
    with settling(opened.store):
        if request.locked is None:
            choice = choose(request.wishes, universe, opened, epoch=request.epoch, option=root.option)
        else:
            choice = choose_locked(request.locked, universe, opened, root.option)
        _tell_untrusted(root, universe, choice, opened, reporter)
        judge = system_judge(settings, opened.trust, remembering, reporter, option=root.option)
        acquired = acquired_stars(choice, opened, judge, reporter, then)
    if request.locked is not None:
        demand_signed_right(request.locked, opened, universe, acquired)
    return opened, choice, acquired


def _opened(root: LiveRoot, settings: Settings, request: InstallRequest, reporter: Reporter) -> OpenGalaxies:
    """Open the galaxies in their newest state, or in the state that the lock names."""
    if request.locked is None:
        return opened_galaxies(root, settings, reporter, request.network, offline=request.offline)
    reporter.step("resolve")
    demand_anchors(root, settings.galaxies)
    return open_locked(root, settings, request.locked, request.network, offline=request.offline)


def _tell_untrusted(
    root: LiveRoot, universe: Universe, choice: Choice, opened: OpenGalaxies, reporter: Reporter
) -> None:
    """Warn of each installed star that is not trusted now, and that a new star needs or that was asked for again."""
    new = {one.star.name: one.star.dependencies for one in choice.stars}
    trust = judge_below(root, universe, new, choice.kept, opened.indexes)
    for name, bad in rests_on(new, universe, trust.untrusted):
        reporter.warn(f"{name} needs {bad}")
    for name, was in rests_on(new, universe, trust.renewed):
        reporter.note(f"{name} needs {was.name} {was.version}: it {was.why}; a trusted key has signed the same since")
    for bad in trust.untrusted:
        if bad.name in choice.kept:
            reporter.warn(f"{bad}; it is installed already")


def _planned(
    root: LiveRoot,
    universe: Universe,
    settings: Settings,
    acquired: Mapping[StarName, Acquired],
    request: InstallRequest,
    reporter: Reporter,
    viewer: Viewer,
) -> Iterator[PlannedStar]:
    plan = Plan(root, universe, settings.install_dir)
    consent = system_consent(root, settings, safe=request.safe)
    coming = {name: item.star.dependencies for name, item in acquired.items()}
    dependencies = DependencyFiles(root, universe, settings.install_dir, coming)
    area = StagingArea(root, dependencies, acquired, consent, request.epoch)
    return planned_stars(area, plan, acquired, settings, consent, reporter, viewer)
