"""Examine a system star by star: compare its entries with what was signed, or else with what universe.toml records.

Three answers are kept apart. `signed`: the star's statement counts now, and its archive is at hand; or the release is
at hand that made the system. `recorded`: nothing signed is at hand, so its record is believed. `unjudged`: it was
recorded without digests. One star is in memory at a time, in the order of dependencies, because a script sees the
entries of the stars that its own star depends on.

The release comes first: it has what the star laid in the image. A star that was installed again since the image was
made is judged by its archive first. The release also answers for a star that no archive can judge, because its script
runs programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from cosmos.device.entry_check import Difference, EntryCheck, Problem, places_of
from cosmos.device.released import Released, SignedLayer
from cosmos.device.root import LiveRoot
from cosmos.device.shelves import Shelves
from cosmos.device.signed_record import ArchiveJudge, NoArchiveSays, SignedRecord
from cosmos.device.system import is_own
from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.model.installed_entry import InstalledEntry, is_configuration
from cosmos.model.names import StarName
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.records import dataclass
from cosmos.treepath import TreePath

Answer: TypeAlias = Literal["signed", "recorded", "unjudged"]
LAYERS: Final = {"template": "the image's template", "finish": "the image's finish script"}
RELEASE_HINT: Final = "name the release that this system was made from: --from RELEASE"


@dataclass(frozen=True, kw_only=True, slots=True)
class BadEntry:
    """An entry that is not as it was installed. `is_changed_configuration`: it has other bytes, and may have them."""

    entry: InstalledEntry
    problems: tuple[Problem, ...]
    is_changed_configuration: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """One star, or one layer of the image. `cause` says why a star was not compared with what was signed.

    `record` are the lies of its record. `taken` are paths of its archive that the image gave to another owner.
    `by_release`: the release said what it laid.
    """

    owner: str
    answer: Answer
    cause: CosmosError | None
    checked: int
    bad: tuple[BadEntry, ...]
    record: tuple[Difference, ...] = ()
    taken: tuple[TreePath, ...] = ()
    by_release: bool = False

    @property
    def is_star(self) -> bool:
        """Whether it is a star, and not a layer of the image."""
        return self.owner not in LAYERS.values()


class _NothingSigned(WorldFailed):
    """No statement of an installed star is at hand."""


class Examination:
    """The examination of one system. With no `shelves` and no release, all is compared with its record alone."""

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        settings: Settings,
        shelves: Shelves | None,
        *,
        released: Released | None = None,
        why: str = "",
        epoch: int = 0,
    ) -> None:
        self._universe = universe
        self._shelves = shelves
        self._released = released
        self._why = why or "it was asked for by the record alone"
        self._judge: ArchiveJudge | None = None
        if shelves is not None:
            try:
                self._judge = ArchiveJudge(root, universe, settings, epoch)
            except CosmosError as error:  # links in a circle, for example: the paths themselves are checked anyway
                self._why = str(error)
        self.check = EntryCheck(root)

    def stars(self) -> Iterator[Examined]:
        """Examine every star, those that others depend on first."""
        for name in in_order(self._universe):
            yield self.star(name)

    def star(self, name: StarName) -> Examined:
        """Examine one star. What its archive holds is not in memory any more when this returns."""
        star = self._universe.installed[name]
        if star.files and not star.entries:
            cause = Refused(name, "it was recorded without digests")
            return Examined(owner=name, answer="unjudged", cause=cause, checked=0, bad=())
        try:
            signed = self.signed_record(name)
        except CosmosError as error:
            lies = tuple(self._lies(name)) if isinstance(error, _NothingSigned) else ()
            return self._examined(name, tuple(star.entries), cause=error, record=lies)
        return self._examined(
            name, signed.entries, record=signed.problems, taken=signed.taken, by_release=signed.by_release
        )

    def signed_record(self, name: StarName) -> SignedRecord:
        """Return what the star laid by what was signed. Raises an error that says why that is not known."""
        star, released = self._universe.installed[name], self._released
        came_with_image = star.published is None and bool(self._universe.image)
        if released is not None and came_with_image and released.has(name, star):
            return released.star(name, star)
        try:
            return self._by_archive(name, star)
        except WorldFailed as error:
            if released is not None and released.has(name, star):
                return released.star(name, star)
            raise _with_way_out(name, error, released, star, came_with_image=came_with_image) from error

    def signed_layer(self, layer: str) -> SignedLayer:
        """Return what the image itself brought as `layer`. Raises `WorldFailed` if its release is not at hand."""
        if self._released is None:
            raise WorldFailed(LAYERS[layer], "its release is not at hand", hint=RELEASE_HINT)
        return self._released.layer(layer, LAYERS[layer], self._universe.layers.get(layer, ()))

    def _by_archive(self, name: StarName, star: Installed) -> SignedRecord:
        if self._shelves is None or self._judge is None:
            raise WorldFailed(name, self._why)
        if star.galaxy is None or star.archive is None:
            raise WorldFailed(name, "its galaxy was not recorded")
        found = self._shelves.find(name, star)
        if found.signed is None:
            raise found.refused or _NothingSigned(name, "no signed statement of it is at hand")
        if not found.signed.star.signers:
            raise WorldFailed(name, "nobody signed it")
        return self._judge.signed_record(name, found.signed)

    def layers(self) -> Iterator[Examined]:
        """Examine the image's own layers, without what belongs to cosmos itself: its commands change it."""
        for layer, owner in sorted(LAYERS.items()):
            recorded = self._universe.layers.get(layer, ())
            try:
                signed = self.signed_layer(layer)
            except WorldFailed as error:
                entries = tuple(entry for entry in recorded if not is_own(entry.path))
                if recorded:
                    yield self._examined(owner, entries, cause=error)
                continue
            if signed.entries or signed.problems:
                yield self._examined(owner, signed.entries, record=signed.problems, by_release=True)

    def _examined(
        self,
        owner: str,
        entries: tuple[InstalledEntry, ...],
        *,
        cause: CosmosError | None = None,
        record: tuple[Difference, ...] = (),
        taken: tuple[TreePath, ...] = (),
        by_release: bool = False,
    ) -> Examined:
        return Examined(
            owner=owner,
            answer="signed" if cause is None else "recorded",
            cause=cause,
            checked=sum(not entry.is_shared for entry in entries),
            bad=tuple(self._bad(entries)),
            record=record,
            taken=taken,
            by_release=by_release,
        )

    def _lies(self, name: StarName) -> Iterator[Difference]:
        """Yield what is wrong with the record of a star of which no statement was found."""
        star = self._universe.installed[name]
        if self._shelves is not None and star.galaxy is not None:
            other = self._shelves.shelf(star.galaxy).otherwise(name, star)
            if other is not None:
                problem = f"installed.{name}: says archive {star.archive}, but its galaxy's signed index lists {other}"
                yield Difference(path=UNIVERSE_PATH, star="", problem=problem)

    def _bad(self, entries: tuple[InstalledEntry, ...]) -> Iterator[BadEntry]:
        places = places_of(entries)
        for entry in entries:
            problems = tuple(self.check.problems(entry, places))
            if problems:
                yield BadEntry(entry=entry, problems=problems, is_changed_configuration=_is_changed(entry, problems))


def _with_way_out(
    name: StarName, error: WorldFailed, released: Released | None, star: Installed, *, came_with_image: bool
) -> CosmosError:
    """Return the error that says why a star cannot be judged, and what would help: the release has its layer."""
    why, hint = error.problem, error.hint
    if released is not None and released.distrusts(name):
        return Refused(name, released.why_not(name, star))
    if released is not None:
        why = f"{why}; {released.why_not(name, star)}"
    elif came_with_image:
        hint = hint or RELEASE_HINT
    if isinstance(error, NoArchiveSays):
        if came_with_image and released is None:
            why += "; its layer as it was made is in the release that this system was made from: --from RELEASE"
        elif not came_with_image:
            why += "; it was installed on this system, so no release has what they made"
            hint = f"install it again: cosmos uninstall {name}, then cosmos install {name}"
    return type(error)(name, why, hint=hint)


def in_order(universe: Universe) -> list[StarName]:
    """Return the installed stars, each after those that it depends on; in a circle, as their names come.

    >>> from cosmos.model.names import Arch
    >>> in_order(Universe(arch=Arch("x86_64"), version="1"))
    []
    """
    done: dict[StarName, None] = {}
    for first in sorted(universe.installed):
        path, begun = [first], set[StarName]()
        while path:
            name = path[-1]
            waiting = [] if name in begun else _dependencies(universe, name)
            begun.add(name)
            open_ones = [one for one in waiting if one not in done and one not in begun]
            if open_ones:
                path += reversed(open_ones)
            else:
                done.setdefault(path.pop())
    return list(done)


def _dependencies(universe: Universe, name: StarName) -> list[StarName]:
    return [one for one in universe.installed[name].dependencies if one in universe.installed]


def _is_changed(entry: InstalledEntry, problems: tuple[Problem, ...]) -> bool:
    """Return whether this is configuration with other bytes: the operator may have written them."""
    is_ours = entry.kind == "file" and is_configuration(entry.path)
    return is_ours and any(problem.harm == "content" for problem in problems)
