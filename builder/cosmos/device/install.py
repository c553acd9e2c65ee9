"""Install stars from the system's galaxies: resolve, fetch, verify, stage, judge, place. `install` shows all steps.

An installation only adds stars; installed stars stay as they are. It is one transaction (device.transaction). If it is
killed, or the power fails, before its commit, the system stays as it was. The same holds if it fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cosmos.device.choose import Choice, Chosen, choose
from cosmos.device.dependency_files import DependencyFiles
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened, remember_shown, tell_gone
from cosmos.device.journal import at_work, journal
from cosmos.device.locked import LockToInstall, choose_locked, demand_signed_right, open_locked, roots_when_locked
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.plan import Plan, PlannedStar
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.staging_area import StagingArea, system_consent
from cosmos.device.system import demand_anchors, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Transaction
from cosmos.device.trusted import InstalledTrust, judge_installed, rests_on
from cosmos.digest import Digest
from cosmos.model.names import StarName, parted
from cosmos.model.reporter import Reporter, counted
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed, Universe
from cosmos.resolve.resolving import Wish
from cosmos.staging.acquire import Acquired, acquire_star
from cosmos.staging.powers import Overreach, demand_none, overreaches
from cosmos.store.interface import settling
from cosmos.transport.network import DIRECT, Network


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallRequest:
    """The stars to install. `epoch`: no installed file is newer, and files that scripts make have this time.

    `network`: how servers are reached. `safe`: no script runs programs, even if the system's policy allows it.
    `locked`: install this lock, and no wishes.
    """

    wishes: Sequence[Wish]
    offline: bool
    epoch: int
    safe: bool = False
    locked: LockToInstall | None = None
    network: Network = DIRECT


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """The installed stars, in dependency order (from `rehearse`: the stars that would be installed).

    `kept` are wished stars that were installed before. `unowned` counts the entries whose owner or capability only root
    could have set. `undone` is the recovery of an interrupted installation before this one.
    """

    stars: tuple[Chosen, ...]
    kept: tuple[StarName, ...]
    records: Mapping[StarName, Installed]
    unowned: int = 0
    undone: Undone | None = None


def install(root: LiveRoot, request: InstallRequest, reporter: Reporter) -> Installation:
    """Install the stars of `request`. If it raises an error of `cosmos.errors`, the system stays as it was."""
    with at_work(root):
        undone = recover_journal(root)
        _tell_undone(undone, reporter)
        universe, settings = read_universe(root), read_settings(root)
        take_newer(root, settings, settings.galaxies, reporter, request.network, offline=request.offline)
        # all stars are verified before one is unpacked
        opened, chosen, acquired = _acquired(root, universe, settings, request, reporter)
        records: dict[StarName, Installed] = {}
        with journal(root, tag=Digest.of(universe_bytes(root) or b"").short) as going_on:
            transaction = Transaction(root, going_on)
            for planned in _planned(root, universe, settings, acquired, request, reporter):
                transaction.prepare(planned.batch)
                records[StarName(planned.batch.star)] = planned.record
            transaction.publish()
            after = with_stars(universe, chosen, records)
            transaction.commit(rendered(after) if after != universe else None)
        remember_opened(root, opened)
    return Installation(
        stars=chosen.stars, kept=chosen.kept, records=records, unowned=transaction.unowned, undone=undone
    )


def rehearse(root: LiveRoot, request: InstallRequest, reporter: Reporter) -> Installation:
    """Do everything of `install` except the changes: fetch, verify, run scripts on a virtual root, find conflicts.

    The fetched archives stay in the cache, and the galaxies' newest indexes in the memory; nothing else on the system
    changes.
    """
    universe, settings = read_universe(root), read_settings(root)
    tell_newer(root, settings, reporter, request.network, offline=request.offline)
    opened, chosen, acquired = _acquired(root, universe, settings, request, reporter)
    remember_shown(root, opened)
    records = {
        StarName(planned.batch.star): planned.record
        for planned in _planned(root, universe, settings, acquired, request, reporter)
    }
    return Installation(stars=chosen.stars, kept=chosen.kept, records=records)


def recover(root: LiveRoot) -> Undone | None:
    """Undo or finish an interrupted installation; return None if no installation was interrupted."""
    with at_work(root):
        return recover_journal(root)


def with_stars(universe: Universe, choice: Choice, records: Mapping[StarName, Installed]) -> Universe:
    """Return `universe` with the new stars, and with the new reasons of the installed stars."""
    installed = {**universe.installed, **records}
    for name, reasons in choice.reasons.items():
        star = installed[name]
        asked_by, needed_by = parted(dict.fromkeys((*star.wanted_by, *reasons)))
        installed[name] = replace(star, asked_by=asked_by, needed_by=needed_by)
    return replace(universe, installed=installed)


def _acquired(
    root: LiveRoot, universe: Universe, settings: Settings, request: InstallRequest, reporter: Reporter
) -> tuple[OpenGalaxies, Choice, dict[StarName, Acquired]]:
    reporter.step("resolve")
    demand_anchors(root, settings.galaxies)
    opened = _opened(root, settings, request, reporter)
    then = None if request.locked is None else roots_when_locked(root, request.locked.lock)
    with settling(opened.store):
        before = judge_installed(root, universe)
        if request.locked is None:
            choice = choose(request.wishes, universe, opened, epoch=request.epoch, option=root.option)
        else:
            choice = choose_locked(request.locked, universe, opened, root.option)
        _tell_untrusted(universe, choice, before, reporter)
        if choice.stars:
            reporter.step(f"fetch and verify {counted(len(choice.stars), 'star')}")
        total = sum(chosen.star.size_bytes for chosen in choice.stars)
        acquired: dict[StarName, Acquired] = {}
        done = 0
        for chosen in choice.stars:
            if chosen.galaxy.locked.allow_unsigned and not chosen.star.signers:
                reporter.warn(f"{chosen.star.id}: nobody signed it; your settings allow that for {chosen.galaxy.name}")
            progress = _Progress(reporter, chosen.star.id, done, total)
            acquired[chosen.star.name] = acquire_star(
                choice.lock, chosen.star, chosen.galaxy.index, chosen.galaxy.source, opened.roots, progress, then
            )
            done += chosen.star.size_bytes
    if request.locked is not None:
        demand_signed_right(request.locked, opened, universe, acquired)
    return opened, choice, acquired


def _opened(root: LiveRoot, settings: Settings, request: InstallRequest, reporter: Reporter) -> OpenGalaxies:
    """Open the galaxies in their newest state, or in the state that the lock names."""
    if request.locked is not None:
        return open_locked(root, settings, request.locked, request.network, offline=request.offline)
    opened = open_galaxies(root, settings, request.network, offline=request.offline)
    for failure in opened.failures.values():
        reporter.warn(f"left out: {failure}")
    opened.store.sweep()
    for galaxy in opened.galaxies:
        seen = None if opened.trust.memory is None else opened.trust.memory.seen_galaxy(galaxy.name, opened.roots)
        tell_gone(galaxy, seen, reporter)
    return opened


def _tell_untrusted(universe: Universe, choice: Choice, trust: InstalledTrust, reporter: Reporter) -> None:
    """Warn of each installed star that is not trusted now, and that a new star needs or that was asked for again."""
    new = {one.star.name: one.star.dependencies for one in choice.stars}
    for name, bad in rests_on(new, universe, trust.untrusted):
        reporter.warn(f"{name} needs {bad}")
    for name, was in rests_on(new, universe, trust.renewed):
        reporter.note(f"{name} needs {was.name} {was.version}: it {was.why}; a trusted key has signed the same since")
    for bad in trust.untrusted:
        if bad.name in choice.kept:
            reporter.warn(f"{bad}; it is installed already")


@dataclass(frozen=True, slots=True)
class _Progress:
    """Reports the progress of fetching all stars, while one star is being fetched."""

    reporter: Reporter
    what: str
    before: int
    total: int

    def __call__(self, here: int) -> None:
        self.reporter.progress(self.what, self.before + here, self.total)


def _planned(
    root: LiveRoot,
    universe: Universe,
    settings: Settings,
    acquired: Mapping[StarName, Acquired],
    request: InstallRequest,
    reporter: Reporter,
) -> Iterator[PlannedStar]:
    """Stage, plan and judge star by star: one star's bytes are in memory at a time."""
    plan = Plan(root, universe, settings.install_dir)
    consent = system_consent(root, settings, safe=request.safe)
    coming = {name: item.star.dependencies for name, item in acquired.items()}
    dependencies = DependencyFiles(root, universe, settings.install_dir, coming)
    area = StagingArea(root, dependencies, acquired, consent, request.epoch)
    refused: list[Overreach] = []
    urls = {galaxy.name: galaxy.url for galaxy in settings.galaxies}
    for number, (name, item) in enumerate(acquired.items(), 1):
        reporter.progress(f"install {item.star.id}", number, len(acquired))
        staged = area.stage(name)
        planned = plan.add(item, urls[item.star.galaxy], staged.entries)
        brought = [entry for entry in planned.record.entries if not entry.is_shared]
        refused += overreaches(consent, name, brought, staged.receipt)
        if not refused:
            yield planned
    demand_none(consent, refused)  # of all stars together, and before anything is published


def _tell_undone(undone: Undone | None, reporter: Reporter) -> None:
    if undone is None:
        return
    if undone.took_place:
        reporter.note("the last installation was cut off when it was done: its leftovers were cleared away")
        return
    reporter.note(f"the last installation was cut off: {undone.removed} of its files were removed again")
    for path in undone.kept:
        reporter.warn(f"{shown(path)}: was not removed: it is not what that installation put there")
