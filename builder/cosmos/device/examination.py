"""Examine a system star by star: compare its entries with what was signed, or else with what universe.toml records.

Three answers are kept apart. `signed`: the star's statement counts now, and its archive is at hand. `recorded`: nothing
signed is at hand, so its record is believed. `unjudged`: it was recorded without digests. One star is in memory at a
time, in the order of dependencies, because a script sees the entries of the stars that its own star depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from cosmos.device.entry_check import Difference, EntryCheck, Problem, places_of
from cosmos.device.root import LiveRoot
from cosmos.device.shelves import Shelves
from cosmos.device.signed_record import ArchiveJudge, SignedRecord
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER
from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.model.installed_entry import InstalledEntry, is_configuration
from cosmos.model.names import StarName
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.treepath import TreePath

Answer: TypeAlias = Literal["signed", "recorded", "unjudged"]
LAYERS: Final = {"template": "the image's template", "finish": "the image's finish script"}


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
    """

    owner: str
    answer: Answer
    cause: CosmosError | None
    checked: int
    bad: tuple[BadEntry, ...]
    record: tuple[Difference, ...] = ()
    taken: tuple[TreePath, ...] = ()

    @property
    def is_star(self) -> bool:
        """Whether it is a star, and not a layer of the image."""
        return self.owner not in LAYERS.values()


class _NothingSigned(WorldFailed):
    """No statement of an installed star is at hand."""


class Examination:
    """The examination of one system. With no `shelves`, every star is compared with its record alone."""

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        settings: Settings,
        shelves: Shelves | None,
        *,
        why: str = "",
        epoch: int = 0,
    ) -> None:
        self._universe = universe
        self._shelves = shelves
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
        return self._examined(name, signed.entries, record=signed.problems, taken=signed.taken)

    def signed_record(self, name: StarName) -> SignedRecord:
        """Return what the star laid by its signed archive. Raises an error that says why that is not known."""
        star = self._universe.installed[name]
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
        for layer, recorded in sorted(self._universe.layers.items()):
            entries = tuple(entry for entry in recorded if not is_own(entry.path))
            yield Examined(
                owner=LAYERS[layer],
                answer="recorded",
                cause=WorldFailed(LAYERS[layer], "its release is not at hand"),
                checked=len(entries),
                bad=tuple(self._bad(entries)),
            )

    def _examined(
        self,
        name: StarName,
        entries: tuple[InstalledEntry, ...],
        *,
        cause: CosmosError | None = None,
        record: tuple[Difference, ...] = (),
        taken: tuple[TreePath, ...] = (),
    ) -> Examined:
        return Examined(
            owner=name,
            answer="signed" if cause is None else "recorded",
            cause=cause,
            checked=sum(not entry.is_shared for entry in entries),
            bad=tuple(self._bad(entries)),
            record=record,
            taken=taken,
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


def is_own(path: TreePath) -> bool:
    """Return whether `path` belongs to cosmos itself, whose commands change what an image brought there."""
    return any(own == path or own in path.parents for own in (STATE_FOLDER, SETTINGS_FOLDER))


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
