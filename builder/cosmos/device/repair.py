"""Restore what `verify` finds bad, from signed archives: kind, bytes, targets, numbers, modes, owners, attributes.

    examine     each star, and each layer of the image, is compared with what was signed (device.examination)
    judge       a star with something bad must have what the system's policy demands of every star (device.vouching)
    plan        each bad entry gets one change: place, replace, or set attributes; a lying record gets the true one
    carry out   all changes are one transaction (device.transaction)

What a star's record claims is never restored. A star stays as it is if neither its signed archive is at hand nor the
release that made the system, and so does one that is not trusted now. The image's own layers are restored from the
release (device.released). Configuration with other bytes stays, unless the operator asks for it. A path is restored
where it was installed, and no link is followed to it: an entry whose folder has become a link stays as it is. So does
an entry in whose place a folder lies, and a folder in whose place something else lies: removing that could destroy
what a person needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cosmos.device.entry_check import Difference
from cosmos.device.examination import LAYERS, RELEASE_HINT, BadEntry, Examination, Examined, in_order
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened, remember_shown
from cosmos.device.journal import at_work, journal
from cosmos.device.network import system_network
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.rebuilt_universe import RebuiltUniverse, demand_unreadable, rebuilt_universe, write_rebuilt
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.released import ReleaseAsked, Released, SignedLayer, open_release
from cosmos.device.repair_changes import Left, MissingFolders, OwnerRepair
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.shelves import Shelves, galaxies_on
from cosmos.device.signed_record import SignedRecord
from cosmos.device.staging_area import system_consent
from cosmos.device.system import TRUST_PATH, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.device.vouching import as_reader, as_writer, system_judge
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, NoSolution, Refused, WorldFailed
from cosmos.model.changes import Place, Remove, Replace, SetAttributes
from cosmos.model.file_names import file_stem
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.release.verify import ReleaseVerdict
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.staging.logs import Remember
from cosmos.transport.network import DIRECT, Network
from cosmos.treepath import TreePath

_AWAY_HINT: Final = "connect the galaxy, or name a stick that has the star: --from DIR"
_LAYER_OF: Final = {owner: layer for layer, owner in LAYERS.items()}
_WORDS: Final = {
    Place: "placed",
    Replace: "replaced",
    SetAttributes: "set the attributes of",
    Remove: "removed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairRequest:
    """What to repair: `stars`, or everything. `configuration`: also changed configuration.

    `sticks` hold galaxies, and `release` made the system.
    """

    stars: tuple[StarName, ...] = ()
    configuration: bool = False
    offline: bool = False
    epoch: int = 0
    sticks: Sequence[Path] = ()
    release: ReleaseAsked | None = None
    wait_seconds: float = 0
    network: Network = DIRECT


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """One restored path, of a star or of a layer of the image. `how`: placed, replaced, or set the attributes of."""

    path: TreePath
    star: str
    how: str


@dataclass(kw_only=True, slots=True)
class Repaired:
    """The result. `records` are stars and layers whose record in universe.toml was corrected.

    `unowned` is as for an installation. `release` is the release that was at hand. `configuration` is changed
    configuration that stays because the operator may want it.
    """

    root: str
    restored: list[Restored] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    configuration: list[Difference] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    unowned: int = 0
    undone: Undone | None = None
    release: ReleaseVerdict | None = None

    def error(self) -> CosmosError | None:
        """Return the error to raise if something bad stays; None if nothing does.

        `Refused` if something was not repaired because it is not trusted, `WorldFailed` if what was signed is away in
        all cases, and otherwise `Differs`.
        """
        if not self.left:
            return None
        causes = [one.cause for one in self.left]
        problem = "1 entry stays bad" if len(causes) == 1 else f"{len(causes)} entries stay bad"
        refused = next((cause for cause in causes if isinstance(cause, Refused)), None)
        if refused is not None:
            return Refused(self.root, f"{problem}: {refused}", hint=refused.hint)
        if all(isinstance(cause, WorldFailed) for cause in causes):
            hints = dict.fromkeys(cause.hint or _AWAY_HINT for cause in causes)
            hint = "; or ".join(hints)
            return WorldFailed(self.root, f"{problem}: {causes[0]}", hint=hint)
        return Differs(self.root, problem, differences=tuple(map(str, self.left)))


def repair(root: LiveRoot, request: RepairRequest, reporter: Reporter) -> Repaired:
    """Restore what is bad, in one transaction. If it raises an error of `cosmos.errors`, the system stays as it was.

    What stays bad is in the result, and its `error` is the caller's to raise.
    """
    with at_work(root, request.wait_seconds):
        undone = recover_journal(root)
        universe, settings = read_universe(root), read_settings(root)
        take_newer(root, settings, settings.galaxies, reporter, request.network, offline=request.offline)
        opened = open_galaxies(root, settings, request.network, offline=request.offline)
        for failure in opened.failures.values():
            reporter.warn(f"left out: {failure}")
        work = _Work(root, universe, settings, opened, request, as_writer(root), reporter)
        work.examine(reporter)
        if work.has_changes:
            with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command="repair") as going_on:
                transaction = Transaction(root, going_on)
                for batch in work.batches():
                    transaction.prepare(batch)
                transaction.publish()
                transaction.commit(rendered(work.corrected(universe)) if work.done.records else None)
                work.done.unowned = transaction.unowned
        remember_opened(root, opened)
    work.done.undone = undone
    return work.done


def rehearse_repair(root: LiveRoot, request: RepairRequest, reporter: Reporter) -> Repaired:
    """Do everything of `repair` except the changes."""
    universe, settings = read_universe(root), read_settings(root)
    tell_newer(root, settings, reporter, request.network, offline=request.offline)
    opened = open_galaxies(root, settings, request.network, offline=request.offline)
    remember_shown(root, opened)
    work = _Work(root, universe, settings, opened, request, as_reader(root), reporter)
    work.examine(reporter)
    for _ in work.batches():
        pass
    return work.done


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildRequest:
    """How to rebuild universe.toml: what the system is, and where signed stars may be besides the settings."""

    arch: Arch
    version: str
    epoch: int
    offline: bool = False
    sticks: Sequence[Path] = ()
    wait_seconds: float = 0
    network: Network = DIRECT


def rebuild_universe(
    root: LiveRoot, request: RebuildRequest, reporter: Reporter, agrees: Callable[[RebuiltUniverse], bool]
) -> None:
    """Rebuild a lost or damaged universe.toml, and write it if the caller `agrees`."""
    with at_work(root, request.wait_seconds):
        recover_journal(root)
        damaged, settings = demand_unreadable(root), read_settings(root)
        opened = open_galaxies(root, settings, request.network, offline=request.offline)
        for failure in opened.failures.values():
            reporter.warn(f"left out: {failure}")
        shelves = _shelves(root, settings, opened, request)
        if shelves is None:
            raise _no_anchors(root)
        rebuilt = rebuilt_universe(
            root,
            settings,
            shelves,
            reporter,
            arch=request.arch,
            version=request.version,
            epoch=request.epoch,
        )
        remember_opened(root, opened)
        if agrees(rebuilt):
            write_rebuilt(root, rebuilt, damaged)


class _Work:
    """One repair: first everything is examined, then the changes are made owner by owner: stars, then layers."""

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        settings: Settings,
        opened: OpenGalaxies,
        request: RepairRequest,
        remembering: Remember,
        reporter: Reporter,
    ) -> None:
        self._root = root
        self._universe = universe
        self._request = request
        self._consent = system_consent(root, settings, safe=True)
        self._bad: dict[str, tuple[BadEntry, ...]] = {}
        self._lying: dict[str, None] = {}
        self._folders = MissingFolders(root, universe, self._consent, request.epoch)
        self._records: dict[StarName, Installed] = {}
        self._layers: dict[str, Sequence[InstalledEntry]] = {}
        self.done = Repaired(root=str(root.path))
        self._shelves = _shelves(root, settings, opened, request)
        if self._shelves is None and request.release is None:
            raise _no_anchors(root, f"; or {RELEASE_HINT}" if universe.image else "")
        self._judge = system_judge(settings, opened.trust, remembering, reporter, option=root.option)
        self._released: Released | None = None
        if request.release is not None:
            self._released = open_release(
                root, request.release, universe, opened.store, opened.trust, remembering, reporter
            )
            self.done.release = self._released.verdict
        self._examination = Examination(
            root,
            universe,
            settings,
            self._shelves,
            released=self._released,
            why="the system has no trust anchors",
            epoch=request.epoch,
        )

    @property
    def has_changes(self) -> bool:
        """Whether something bad could be restored."""
        return bool(self._bad or self._lying)

    def examine(self, reporter: Reporter) -> None:
        """Find what is bad in the wished stars; if no star is wished, also in the image's own layers."""
        for name in self._request.stars:
            if name not in self._universe.installed:
                raise NoSolution(name, "is not installed", hint=f"cosmos status{self._root.option}")
        needs = {name: star.dependencies for name, star in self._universe.installed.items()}
        wished = self._request.stars or tuple(needs)
        seen = all_dependencies(wished, needs)  # scripts see their dependencies as they were signed
        names = [name for name in in_order(self._universe) if name in seen]
        for number, name in enumerate(names, 1):
            reporter.progress("examine", number, len(names))
            examined = self._examination.star(name)
            if name in wished:
                self._add(examined)
        if not self._request.stars:
            for layer in self._examination.layers():
                self._add(layer)

    def batches(self) -> Iterator[Batch]:
        """Yield the changes of one owner after the other. Those of the missing folders come first."""
        for owner in self._bad:
            yield from self._of(owner)
        for owner in self._lying:
            if owner not in self._bad:
                self._correct(owner, self._signed(owner))

    def corrected(self, universe: Universe) -> Universe:
        """Return the universe with the true records of the stars and layers that had lying ones."""
        layers = {**universe.layers, **self._layers}
        return replace(
            universe,
            installed={**universe.installed, **self._records},
            layers={layer: entries for layer, entries in layers.items() if entries},
        )

    def _of(self, owner: str) -> Iterator[Batch]:
        signed = self._signed(owner)
        changes = OwnerRepair(self._root, owner, _star(owner), signed, self._consent, self._folders)
        made = changes.made(self._wanted(self._bad[owner]), self.done.left)
        folders = self._folders.taken()
        if folders:
            self._tell(owner, Batch.placing(owner, folders, []))
            yield Batch.placing(owner, folders, [])
        if made.changes:
            self._tell(owner, made)
            yield made
        if owner in self._lying:
            self._correct(owner, signed)

    def _signed(self, owner: str) -> SignedRecord | SignedLayer:
        star = _star(owner)
        if star is None:
            return self._examination.signed_layer(_LAYER_OF[owner])
        return self._examination.signed_record(star)

    def _wanted(self, found: Sequence[BadEntry]) -> list[BadEntry]:
        """Return the bad entries to restore. Of changed configuration, only the attributes are."""
        wanted = []
        for bad in found:
            if bad.is_changed_configuration and not self._request.configuration:
                rest = tuple(problem for problem in bad.problems if problem.harm != "content")
                if rest:
                    wanted.append(replace(bad, problems=rest))
            else:
                wanted.append(bad)
        return wanted

    def _tell(self, owner: str, batch: Batch) -> None:
        self.done.restored += [
            Restored(path=change.path, star=owner, how=_WORDS[type(change)]) for change in batch.changes
        ]

    def _correct(self, owner: str, signed: SignedRecord | SignedLayer) -> None:
        if isinstance(signed, SignedRecord):
            self._records[StarName(owner)] = signed.record
        else:
            self._layers[_LAYER_OF[owner]] = signed.record
        self.done.records.append(owner)

    def _add(self, examined: Examined) -> None:
        if examined.cause is not None:
            self._leave(examined, examined.cause)
            return
        star = _star(examined.owner)
        if star is not None and (examined.record or self._wanted(examined.bad)):
            try:
                self._demand_vouched(star)
            except CosmosError as error:
                self._leave(examined, error)
                return
        if examined.record:
            self._lying[examined.owner] = None
        if examined.bad:
            self._bad[examined.owner] = examined.bad
            self._folders.note(star, examined.bad)
        if not self._request.configuration:
            self.done.configuration += _changed(examined)

    def _demand_vouched(self, name: StarName) -> None:
        """Raise an error for a star without what the system's policy demands of a star that is installed."""
        if self._shelves is None or not self._judge.demands_anything:
            return
        found = self._shelves.find(name, self._universe.installed[name]).signed
        locked = None if self._released is None else self._released.locked(name)
        if found is not None:
            self._shelves.shelf(found.star.galaxy).demand_vouched(found.star, found.stem, self._judge)
        elif locked is not None:
            stem = file_stem(name, str(locked.version))
            self._shelves.shelf(locked.galaxy).demand_vouched(locked, stem, self._judge)

    def _leave(self, examined: Examined, cause: CosmosError | None) -> None:
        """Note what is bad of an owner that was compared with its record alone."""
        why = cause or WorldFailed(examined.owner, "nothing signed is at hand")
        if examined.answer == "unjudged":
            row = Difference(path=UNIVERSE_PATH, star=examined.owner, problem="it was recorded without digests")
            self.done.left.append(Left(what=row, cause=Differs(examined.owner, "it cannot be judged")))
        bad = [one for one in examined.bad if not one.is_changed_configuration]
        rows = [Difference(path=one.entry.path, star=examined.owner, problem=one.problems[0].text) for one in bad]
        self.done.left += [Left(what=row, cause=why) for row in (*examined.record, *rows)]
        self.done.configuration += _changed(examined)


def _star(owner: str) -> StarName | None:
    """Return the star that is the owner; None for a layer of the image."""
    return None if owner in _LAYER_OF else StarName(owner)


def _changed(examined: Examined) -> list[Difference]:
    return [
        Difference(path=bad.entry.path, star=examined.owner, problem=problem.text)
        for bad in examined.bad
        if bad.is_changed_configuration
        for problem in bad.problems
        if problem.harm == "content"
    ]


def _shelves(
    root: LiveRoot, settings: Settings, opened: OpenGalaxies, request: RepairRequest | RebuildRequest
) -> Shelves | None:
    """Return where the signed stars may be; None if the system has no trust anchors by which they could be judged."""
    if opened.trust.locked is None:
        return None
    sticks = galaxies_on(request.sticks, opened.store)
    network = None if request.offline else system_network(root, settings, request.network)
    return Shelves(root, settings, opened.store, opened.trust, sticks, network)


def _no_anchors(root: LiveRoot, otherwise: str = "") -> Refused:
    problem = "no trust anchors were accepted for this system: nothing signed can be judged"
    hint = f"cosmos trust init FILE --sha256 DIGEST{root.option}{otherwise}"
    return Refused(shown(TRUST_PATH), problem, hint=hint)
