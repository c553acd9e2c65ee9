"""Restore what `verify` finds bad, from signed archives: kind, bytes, targets, numbers, modes, owners, attributes.

    examine     each star is compared with what was signed (device.examination)
    plan        each bad entry gets one change: place, replace, or set attributes; a lying record gets the true one
    carry out   all changes are one transaction (device.transaction)

What a star's record claims is never restored. A star whose signed archive is not at hand stays as it is, and so does
one that is not trusted now. Configuration with other bytes stays, unless the operator asks for it. A path is restored
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
from cosmos.device.examination import BadEntry, Examination, Examined, in_order
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened, remember_shown
from cosmos.device.journal import at_work, journal
from cosmos.device.network import system_network
from cosmos.device.newer_trust import take_newer, tell_newer
from cosmos.device.rebuilt_universe import RebuiltUniverse, demand_unreadable, rebuilt_universe, write_rebuilt
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.repair_changes import Left, MissingFolders, StarRepair
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.shelves import Shelves, galaxies_on
from cosmos.device.signed_record import SignedRecord
from cosmos.device.staging_area import system_consent
from cosmos.device.system import TRUST_PATH, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, NoSolution, Refused, WorldFailed
from cosmos.model.changes import Place, Remove, Replace, SetAttributes
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.transport.network import DIRECT, Network
from cosmos.treepath import TreePath

_WORDS: Final = {
    Place: "placed",
    Replace: "replaced",
    SetAttributes: "set the attributes of",
    Remove: "removed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairRequest:
    """What to repair: `stars`, or everything. `configuration`: also changed configuration. `sticks` hold galaxies."""

    stars: tuple[StarName, ...] = ()
    configuration: bool = False
    offline: bool = False
    epoch: int = 0
    sticks: Sequence[Path] = ()
    wait_seconds: float = 0
    network: Network = DIRECT


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """One restored path. `how`: placed, replaced, or set the attributes of."""

    path: TreePath
    star: str
    how: str


@dataclass(kw_only=True, slots=True)
class Repaired:
    """The result. `records` are stars whose record in universe.toml was corrected, `unowned` as for an installation.

    `configuration` is changed configuration that stays because the operator may want it.
    """

    root: str
    restored: list[Restored] = field(default_factory=list)
    records: list[StarName] = field(default_factory=list)
    configuration: list[Difference] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    unowned: int = 0
    undone: Undone | None = None

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
            hint = causes[0].hint or "connect the galaxy, or name a stick that has the star: --from DIR"
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
        work = _Work(root, universe, settings, opened, request)
        work.examine(reporter)
        if work.has_changes:
            with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command="repair") as going_on:
                transaction = Transaction(root, going_on)
                for batch in work.batches():
                    transaction.prepare(batch)
                transaction.publish()
                after = replace(universe, installed={**universe.installed, **work.records})
                transaction.commit(rendered(after) if work.records else None)
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
    work = _Work(root, universe, settings, opened, request)
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
    """One repair: first everything is examined, then the changes are made star by star."""

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        settings: Settings,
        opened: OpenGalaxies,
        request: RepairRequest,
    ) -> None:
        self._root = root
        self._universe = universe
        self._request = request
        self._consent = system_consent(root, settings, safe=True)
        self._bad: dict[StarName, tuple[BadEntry, ...]] = {}
        self._lying = set[StarName]()
        self._folders = MissingFolders(root, universe, request.epoch)
        self.records: dict[StarName, Installed] = {}
        self.done = Repaired(root=str(root.path))
        self._examination = Examination(
            root, universe, settings, _shelves(root, settings, opened, request), epoch=request.epoch
        )

    @property
    def has_changes(self) -> bool:
        """Whether something bad could be restored."""
        return bool(self._bad or self._lying)

    def examine(self, reporter: Reporter) -> None:
        """Find what is bad in the wished stars."""
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
                self._add(name, examined)
        if not self._request.stars:
            for layer in self._examination.layers():
                self._leave(layer, layer.cause)

    def batches(self) -> Iterator[Batch]:
        """Yield the changes of one star after the other. Those of the missing folders come first."""
        for name in self._bad:
            yield from self._of(name)
        for name in self._lying - self._bad.keys():
            self._correct(name, self._examination.signed_record(name))

    def _of(self, name: StarName) -> Iterator[Batch]:
        signed = self._examination.signed_record(name)
        changes = StarRepair(self._root, name, signed, self._consent, self._folders)
        made = changes.made(self._wanted(name), self.done.left)
        folders = self._folders.taken()
        if folders:
            self._tell(name, Batch.placing(name, folders, []))
            yield Batch.placing(name, folders, [])
        if made.changes:
            self._tell(name, made)
            yield made
        if name in self._lying:
            self._correct(name, signed)

    def _wanted(self, name: StarName) -> list[BadEntry]:
        """Return the bad entries to restore. Of changed configuration, only the attributes are."""
        wanted = []
        for bad in self._bad[name]:
            if bad.is_changed_configuration and not self._request.configuration:
                rest = tuple(problem for problem in bad.problems if problem.harm != "content")
                if rest:
                    wanted.append(replace(bad, problems=rest))
            else:
                wanted.append(bad)
        return wanted

    def _tell(self, name: StarName, batch: Batch) -> None:
        self.done.restored += [
            Restored(path=change.path, star=name, how=_WORDS[type(change)]) for change in batch.changes
        ]

    def _correct(self, name: StarName, signed: SignedRecord) -> None:
        self.records[name] = signed.record
        self.done.records.append(name)

    def _add(self, name: StarName, examined: Examined) -> None:
        if examined.cause is not None:
            self._leave(examined, examined.cause)
            return
        if examined.record:
            self._lying.add(name)
        if examined.bad:
            self._bad[name] = examined.bad
            self._folders.note(examined.bad)
        if not self._request.configuration:
            self.done.configuration += _changed(examined)

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
) -> Shelves:
    if opened.trust.locked is None:
        problem = "no trust anchors were accepted for this system: nothing signed can be judged"
        raise Refused(shown(TRUST_PATH), problem, hint=f"cosmos trust init FILE --sha256 DIGEST{root.option}")
    sticks = galaxies_on(request.sticks, opened.store)
    network = None if request.offline else system_network(root, settings, request.network)
    return Shelves(root, settings, opened.store, opened.trust, sticks, network)
