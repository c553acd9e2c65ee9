"""The work of one repair: what was bad, what restores it, and what stays (device.repair has the order of its steps)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from cosmos.device.entry_check import Difference
from cosmos.device.examination import LAYERS, RELEASE_HINT, BadEntry, Examination, Examined, in_order
from cosmos.device.galaxies import OpenGalaxies
from cosmos.device.network import system_network
from cosmos.device.owned_paths import OwnedPaths
from cosmos.device.recovery import Undone
from cosmos.device.released import ReleaseAsked, Released, SignedLayer, open_release
from cosmos.device.repair_changes import Left, MissingFolders, OwnerRepair
from cosmos.device.root import LiveRoot, shown
from cosmos.device.shelves import Shelves, galaxies_on
from cosmos.device.signed_record import SignedRecord
from cosmos.device.staging_area import system_consent
from cosmos.device.system import TRUST_PATH
from cosmos.device.transaction import Batch
from cosmos.device.vouching import system_judge
from cosmos.errors import CosmosError, Differs, NoSolution, Refused, WorldFailed
from cosmos.model.changes import Place, Remove, Replace, SetAttributes
from cosmos.model.file_names import file_stem
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.records import dataclass
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


class Places(Protocol):
    """Where signed stars may be besides the settings, and whether a socket may be made."""

    @property
    def sticks(self) -> Sequence[Path]:
        """Folders with galaxies."""

    @property
    def offline(self) -> bool:
        """Whether no socket may be made."""

    @property
    def network(self) -> Network:
        """How servers are reached."""


class RepairWork:
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
        self._restored: dict[TreePath, str] = {}
        self.done = Repaired(root=str(root.path))
        self._shelves = repair_shelves(root, settings, opened, request)
        if self._shelves is None and request.release is None:
            raise no_anchors(root, f"; or {RELEASE_HINT}" if universe.image else "")
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

    @cached_property
    def _owned(self) -> OwnedPaths:
        return OwnedPaths(self._universe)

    @property
    def has_changes(self) -> bool:
        """Whether something bad could be restored."""
        return bool(self._bad or self._lying)

    def examine(self, reporter: Reporter) -> None:
        """Find what is bad in the wished stars; if no star is wished, also in the image's own layers.

        Raises `NoSolution` for a wished star that is not installed.
        """
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
        star = _star(owner)
        given = self._restored.get if star is not None else self._given
        changes = OwnerRepair(self._root, owner, star, signed, self._consent, self._folders, given)
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

    def _given(self, path: TreePath) -> str | None:
        """Return the star that was installed over a path of the image itself, if somebody had removed that path."""
        star = self._restored.get(path) or self._owned.owner(path)
        if star is None or path in self._restored:
            return star
        with suppress(CosmosError):
            brings = self._examination.signed_record(StarName(star)).entries
            return star if any(entry.path == path for entry in brings) else None
        return star

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
        self._restored |= {change.path: owner for change in batch.changes}
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


def repair_shelves(root: LiveRoot, settings: Settings, opened: OpenGalaxies, request: Places) -> Shelves | None:
    """Return where the signed stars may be; None if the system has no trust anchors by which they could be judged."""
    if opened.trust.locked is None:
        return None
    sticks = galaxies_on(request.sticks, opened.store)
    network = None if request.offline else system_network(root, settings, request.network)
    return Shelves(root, settings, opened.store, opened.trust, sticks, network)


def no_anchors(root: LiveRoot, otherwise: str = "") -> Refused:
    """Return the error for a system without trust anchors. `otherwise` is another way out, for the hint."""
    problem = "no trust anchors were accepted for this system: nothing signed can be judged"
    hint = f"cosmos trust init FILE --sha256 DIGEST{root.option}{otherwise}"
    return Refused(shown(TRUST_PATH), problem, hint=hint)
