"""Install stars from the system's galaxies: resolve, fetch, verify, stage, judge, place. `install` is the whole of it.

What is installed is kept as it is: an installation adds. It is one transaction (device.transaction): until its commit,
a kill or a power cut leaves the system as it was. An installation that cannot be carried out leaves it as it was, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cosmos.device.choose import Choice, Chosen, choose
from cosmos.device.dependency_files import DependencyFiles
from cosmos.device.galaxies import Reach, reach, remember_reached
from cosmos.device.journal import at_work, journal
from cosmos.device.plan import Plan, PlannedStar
from cosmos.device.recovery import Undone, settle
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.staging_area import StagingArea, system_consent
from cosmos.device.system import demand_anchors, read_universe, rendered
from cosmos.device.transaction import Transaction
from cosmos.digest import Digest
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed, Universe
from cosmos.resolve.resolving import Wish
from cosmos.staging.acquire import Acquired, acquire_star
from cosmos.staging.powers import Overreach, demand_none, overreaches
from cosmos.store.interface import settling


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to install. `epoch` bounds the times of files: none is newer; scripts make theirs with it.

    `safe`: no script runs programs, whatever the system's policy says.
    """

    wishes: Sequence[Wish]
    offline: bool
    epoch: int
    safe: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """What was installed, or, by `rehearse`, would be: `stars` in dependency order. `kept` was there already.

    `unowned` counts entries whose owner or capability only root could have set. `undone` is what an interrupted
    installation had left before.
    """

    stars: tuple[Chosen, ...]
    kept: tuple[StarName, ...]
    records: Mapping[StarName, Installed]
    unowned: int = 0
    undone: Undone | None = None


def install(root: LiveRoot, order: Order, reporter: Reporter) -> Installation:
    """Install what `order` wishes for; raises what `cosmos.errors` lists and then leaves the system as it was."""
    with at_work(root):
        undone = settle(root)
        _tell_undone(undone, reporter)
        universe, settings = read_universe(root), read_settings(root)
        # nothing is unpacked before all is verified
        reached, chosen, acquired = _acquired(root, universe, settings, order, reporter)
        records: dict[StarName, Installed] = {}
        with journal(root, tag=Digest.of(rendered(universe)).short) as going_on:
            transaction = Transaction(root, going_on)
            for planned in _planned(root, universe, settings, acquired, order, reporter):
                transaction.prepare(planned.batch)
                records[StarName(planned.batch.star)] = planned.record
            transaction.publish()
            after = with_stars(universe, chosen, records)
            transaction.commit(rendered(after) if after != universe else None)
        remember_reached(root, reached)
    return Installation(
        stars=chosen.stars, kept=chosen.kept, records=records, unowned=transaction.unowned, undone=undone
    )


def rehearse(root: LiveRoot, order: Order, reporter: Reporter) -> Installation:
    """Do all of `install` but the changes: fetch, verify, run the scripts on a virtual root, look for conflicts.

    What was fetched stays in the cache; nothing else on the system changes.
    """
    universe, settings = read_universe(root), read_settings(root)
    _, chosen, acquired = _acquired(root, universe, settings, order, reporter)
    records = {
        StarName(planned.batch.star): planned.record
        for planned in _planned(root, universe, settings, acquired, order, reporter)
    }
    return Installation(stars=chosen.stars, kept=chosen.kept, records=records)


def recover(root: LiveRoot) -> Undone | None:
    """Undo what an interrupted installation left; None where there is nothing to do."""
    with at_work(root):
        return settle(root)


def with_stars(universe: Universe, choice: Choice, records: Mapping[StarName, Installed]) -> Universe:
    """Return `universe` with new stars, and with the reasons that they add to the stars which are there."""
    installed = {**universe.installed, **records}
    for name, reasons in choice.reasons.items():
        star = installed[name]
        wanted_by = (*star.wanted_by, *(reason for reason in reasons if reason not in star.wanted_by))
        installed[name] = replace(star, wanted_by=wanted_by)
    return replace(universe, installed=installed)


def _acquired(
    root: LiveRoot, universe: Universe, settings: Settings, order: Order, reporter: Reporter
) -> tuple[Reach, Choice, dict[StarName, Acquired]]:
    reporter.step("resolve")
    demand_anchors(root, settings.galaxies)
    reached = reach(root, settings, offline=order.offline)
    for failure in reached.failures.values():
        reporter.warn(f"left out: {failure}")
    with settling(reached.store):
        choice = choose(order.wishes, universe, reached, epoch=order.epoch)
        if choice.stars:
            reporter.step(f"fetch and verify {counted(len(choice.stars), 'star')}")
        total = sum(chosen.star.size_bytes for chosen in choice.stars)
        acquired: dict[StarName, Acquired] = {}
        done = 0
        for chosen in choice.stars:
            if chosen.galaxy.locked.allow_unsigned and not chosen.star.signers:
                reporter.warn(f"{chosen.star.id}: nobody signed it; galaxy {chosen.galaxy.name} is allowed that")
            progress = _Progress(reporter, chosen.star.id, done, total)
            acquired[chosen.star.name] = acquire_star(
                choice.lock, chosen.star, chosen.galaxy.index, chosen.galaxy.source, reached.roots, progress
            )
            done += chosen.star.size_bytes
    return reached, choice, acquired


@dataclass(frozen=True, slots=True)
class _Progress:
    """Says how far the fetching of all stars is, while one of them arrives."""

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
    order: Order,
    reporter: Reporter,
) -> Iterator[PlannedStar]:
    """Stage, plan and judge star by star: one star's bytes are in memory at a time."""
    plan = Plan(root, universe, settings.install_dir)
    consent = system_consent(root, settings, safe=order.safe)
    coming = {name: item.star.dependencies for name, item in acquired.items()}
    dependencies = DependencyFiles(root, universe, settings.install_dir, coming)
    area = StagingArea(root, dependencies, acquired, consent, order.epoch)
    refused: list[Overreach] = []
    for number, (name, item) in enumerate(acquired.items(), 1):
        reporter.progress(f"install {item.star.id}", number, len(acquired))
        staged = area.stage(name)
        planned = plan.add(item.star, staged.entries)
        refused += overreaches(consent, name, planned.record.entries, staged.receipt)
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
