"""Update stars to the newest versions that fit, all in one transaction: old paths go, new ones come.

The stars are chosen by `device.choose_update`, fetched, verified, staged and judged as an installation does it, and put
in place of their old versions as `device.replacing` says. New dependencies are installed. Stars that are needed no more
stay until `autoremove`. Before a path is changed, everything new is on the disk under temporary names; then the caller
is asked to agree. If it raises, or the power fails, the system stays as it was.
A folder may become a file or link, and a file or link a folder. KNOWN GAP: a link of a star that is updated after
another one whose paths lead through it does not become a folder in the same update, and is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from cosmos.device.choose_update import Held, UpdateChoice, choose_update, updated
from cosmos.device.dependants import unneeded
from cosmos.device.dependency_files import DependencyFiles
from cosmos.device.fetching import acquired_stars, opened_galaxies
from cosmos.device.galaxies import OpenGalaxies, remember_opened, remember_shown
from cosmos.device.journal import at_work, journal, looking
from cosmos.device.leaving import Kept, Recorded, recorded
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.plan import Plan, PlannedStar, Replaced
from cosmos.device.recovery import Undone
from cosmos.device.replacing import Counts, Makers, Replacing
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.settling import settle
from cosmos.device.shared_folders import settled_folders
from cosmos.device.staged_plan import Viewer, planned_stars
from cosmos.device.staging_area import StagingArea, system_consent
from cosmos.device.system import demand_system, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.device.trusted import judge_below
from cosmos.device.vouching import as_reader, as_writer, system_judge
from cosmos.digest import Digest
from cosmos.model.history import star_changes, versions_of
from cosmos.model.installed_entry import InstalledEntry, folder_lines, recorded_bytes
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.read_later import ReadLater
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.resolve.resolving import Wish
from cosmos.staging.acquire import Acquired
from cosmos.staging.logs import Remember
from cosmos.store.interface import settling
from cosmos.transport.network import DIRECT, Network
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateRequest:
    """The stars to update, as wishes; none: all installed stars. `lowering` are stars that may get an older version.
    `explains_all`: say of every star that stays why, however many there are.

    For the rest see `InstallRequest`.
    """

    wishes: Sequence[Wish]
    lowering: Collection[StarName]
    offline: bool
    epoch: int
    explains_all: bool = False
    safe: bool = False
    wait_seconds: float = 0
    network: Network = DIRECT


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """A star that gets another version. `old` is None for a new star, and `size_bytes` are those of its archive."""

    name: StarName
    old: Version | None
    new: Version
    galaxy: GalaxyName
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """The changes of an update, before it changes anything, or afterwards.

    `size_bytes` is the growth of all files, below zero if they shrink; None if an old size was not recorded. `kept` are
    paths that stay as somebody changed them, and `beside` the new configuration beside such paths. `unneeded` are stars
    that nobody needs afterwards.
    """

    moved: tuple[Moved, ...]
    held: tuple[Held, ...]
    counts: Counts
    size_bytes: int | None
    kept: tuple[Kept, ...] = ()
    beside: tuple[TreePath, ...] = ()
    unneeded: tuple[StarName, ...] = ()
    unowned: int = 0
    undone: Undone | None = None

    @property
    def download_bytes(self) -> int:
        """The bytes of all archives, also of those that were in the cache."""
        return sum(one.size_bytes for one in self.moved)


def update(root: LiveRoot, request: UpdateRequest, reporter: Reporter, agree: Callable[[Update], None]) -> Update:
    """Update the stars of `request`. If it raises an error, also one of `agree`, the system stays as it was."""
    demand_system(root)
    with at_work(root, request.wait_seconds):
        undone = settle(root, reporter)
        universe, settings = read_universe(root), read_settings(root)
        take_newer(root, settings, settings.galaxies, reporter, request.network, offline=request.offline)
        work = _Work(root, universe, settings, request, reporter, as_writer(root))
        done = work.nothing()
        if work.acquired:
            with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command="update") as going_on:
                transaction = Transaction(root, going_on)
                for batch in work.batches():
                    transaction.prepare(batch)
                done = work.update()
                agree(done)
                reporter.step("put the new stars in place")
                transaction.publish()
                transaction.commit(rendered(work.after), star_changes(versions_of(universe), versions_of(work.after)))
            done = replace(done, unowned=transaction.unowned)
        remember_opened(root, work.opened)
    return replace(done, undone=undone)


def rehearse_update(root: LiveRoot, request: UpdateRequest, reporter: Reporter) -> Update:
    """Do everything of `update` except the changes. The fetched archives stay in the cache."""
    with looking(root):
        universe, settings = read_universe(root), read_settings(root)
        tell_newer(root, settings, reporter, request.network, offline=request.offline)
        work = _Work(root, universe, settings, request, reporter, as_reader(root))
        remember_shown(root, work.opened)
        for _ in work.batches():
            pass
        return work.update() if work.acquired else work.nothing()


class _Work:
    """One update: chosen, fetched and verified when it is made, then planned batch after batch."""

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        settings: Settings,
        request: UpdateRequest,
        reporter: Reporter,
        remembering: Remember,
    ) -> None:
        self._root = root
        self._universe = universe
        self._settings = settings
        self._request = request
        self._reporter = reporter
        self.opened: OpenGalaxies = opened_galaxies(root, settings, reporter, request.network, offline=request.offline)
        if not settings.galaxies:
            reporter.warn(f"no galaxy has newer versions: none is configured; cosmos add-galaxy NAME URL{root.option}")
        with settling(self.opened.store):
            self._choice: UpdateChoice = choose_update(
                request.wishes,
                request.lowering,
                universe,
                self.opened,
                epoch=request.epoch,
                option=root.option,
                explains_all=request.explains_all,
            )
            self._tell_untrusted()
            judge = system_judge(settings, self.opened.trust, remembering, reporter, option=root.option)
            self.acquired: Mapping[StarName, Acquired] = acquired_stars(
                self._choice.choice, self.opened, judge, reporter
            )
        self._leaving = {name: universe.installed[name] for name in self.acquired if name in universe.installed}
        self._replacing = Replacing(root, _recorded(self._leaving), _makers(self._leaving), "update")
        self.after = universe

    def _tell_untrusted(self) -> None:
        """Warn of each star that is not trusted now: of all that stay, or of those that the named stars need."""
        installed, named = self._universe.installed, {wish.name for wish in self._request.wishes}
        moving = {one.star.name: one.star.dependencies for one in self._choice.choice.stars}
        below = {**{name: installed[name].dependencies for name in named}, **moving}
        kept = [name for name in named or installed if name not in moving]
        for bad in judge_below(self._root, self._universe, below, kept, self.opened.indexes).untrusted:
            if bad.name not in moving:
                self._reporter.warn(str(bad))

    def nothing(self) -> Update:
        """Return the answer if no star changes."""
        none = Counts()
        return Update(moved=(), held=self._choice.held, counts=none, size_bytes=0, unneeded=unneeded(self._universe))

    def batches(self) -> Iterator[Batch]:
        """Yield the changes, star by star; `after` and `update` are known afterwards. Raises `NoSolution`."""
        records: dict[StarName, Installed] = {}
        plan = self._plan()
        for planned in self._planned(plan):
            batch, records[planned.star] = self._replacing.batch(planned)
            yield batch
        yield from self._replacing.removals(plan.followed)
        after = updated(self._universe, self._choice, records)
        folders = settled_folders(
            self._root,
            self._universe,
            after.installed,
            self._replacing.removed,
            self._replacing.named,
            self._replacing.ending,
        )
        if folders.changes:
            yield Batch(star="", changes=folders.changes, entries={})
        full = [Kept(path=path, star=star, why="the folder is not empty") for path, star in folders.full]
        self._replacing.kept += full
        self.after = replace(after, installed=folders.installed)

    def update(self) -> Update:
        """Return what the update changes."""
        moved = [
            Moved(
                name=name,
                old=self._leaving[name].version if name in self._leaving else None,
                new=item.star.version,
                galaxy=GalaxyName(item.star.galaxy),
                size_bytes=item.star.size_bytes,
            )
            for name, item in self.acquired.items()
        ]
        sizes = [recorded_bytes(self.after.installed[name].entries) for name in self.acquired]
        before = [recorded_bytes(star.entries) for star in self._leaving.values()]
        known = [size for size in (*sizes, *before) if size is not None]
        grown = sum(size or 0 for size in sizes) - sum(size or 0 for size in before)
        return Update(
            moved=tuple(moved),
            held=self._choice.held,
            counts=self._replacing.counts,
            size_bytes=grown if len(known) == len(sizes) + len(before) else None,
            kept=tuple(sorted(self._replacing.kept, key=lambda one: one.path)),
            beside=tuple(sorted(self._replacing.beside)),
            unneeded=unneeded(self.after),
        )

    def _plan(self) -> Plan:
        old = _recorded(self._leaving)
        replaced = Replaced(
            stars=self._leaving.keys(),
            paths={path: item.star for path, item in old.items()},
            held={entry.path for layer in self._universe.layers.values() for entry in layer if entry.kind != "dir"},
        )
        folders = {name: _folders_alone(star) for name, star in self._leaving.items()}
        universe = replace(self._universe, installed={**self._universe.installed, **folders})
        return Plan(self._root, universe, self._settings.install_dir, replaced)

    def _planned(self, plan: Plan) -> Iterator[PlannedStar]:
        consent = system_consent(self._root, self._settings, safe=self._request.safe)
        coming = {name: item.star.dependencies for name, item in self.acquired.items()}
        staying = {name: star for name, star in self._universe.installed.items() if name not in self.acquired}
        universe = replace(self._universe, installed=staying)
        dependencies = DependencyFiles(self._root, universe, self._settings.install_dir, coming)
        area = StagingArea(self._root, dependencies, self.acquired, consent, self._request.epoch)
        viewer = Viewer(show=lambda _: None, roots=self.opened.roots)
        yield from planned_stars(area, plan, self.acquired, self._settings, consent, self._reporter, viewer)


def _recorded(stars: Mapping[StarName, Installed]) -> dict[TreePath, Recorded]:
    return {path: item for name, star in stars.items() for path, item in recorded(name, star.entries).items()}


def _makers(stars: Mapping[StarName, Installed]) -> Makers:
    lines = [(name, line) for name, star in stars.items() for _, line in folder_lines(star.entries)]
    folders = [(name, InstalledEntry.parse(line)) for name, line in lines]
    return {folder.path: (name, folder) for name, folder in folders}


def _folders_alone(star: Installed) -> Installed:
    """Return the star without its paths, but with the folders that it made."""
    lines = [line for _, line in folder_lines(star.entries)]
    return replace(star, files=(), entries=ReadLater(lines, InstalledEntry.parse))
