"""What a verified release knows of a lost universe: the image that it made, its own layers, and its stars.

A release says what `device.rebuilt_universe` cannot know: who asked for each star, who made each folder, and what the
image itself brought. Nothing on the disk names the release, so the operator does, and the disk must bear them out: more
than half of the files that the image's own layers brought lie there as released, and more than half of the files of at
least one star. A release with neither files of its own nor of a star is refused.

Each star of the release is judged like a star of a galaxy. If both have it, the one that fits better counts, and of
equals the release, unless the galaxy has a newer version. A star that is not trusted now is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from cosmos.device.entry_check import EntryCheck, places_of
from cosmos.device.rebuilt_universe import RebuiltUniverse, Taken
from cosmos.device.released import Released
from cosmos.device.root import LiveRoot, shown
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.universe import Installed
from cosmos.treepath import TreePath

_USER: Final = "user"


def with_release(root: LiveRoot, rebuilt: RebuiltUniverse, released: Released) -> RebuiltUniverse:
    """Return the rebuilt universe with what `released` made. Raises `Refused` if that is another system."""
    return _FromRelease(root, rebuilt, released).rebuilt()


class _FromRelease:
    def __init__(self, root: LiveRoot, rebuilt: RebuiltUniverse, released: Released) -> None:
        self._check = EntryCheck(root)
        self._rebuilt = rebuilt
        self._released = released
        self._made = made = released.universe
        own = [entry for layer in made.layers.values() for entry in layer]
        self._own = own
        self._places = places_of(
            tuple(entry for star in made.installed.values() for entry in star.entries) + tuple(own)
        )
        self._unknown = [*rebuilt.unknown]

    def rebuilt(self) -> RebuiltUniverse:
        self._demand_right()
        others = {one.name: one for one in self._rebuilt.taken}
        taken = {name: one for name, one in self._fitting() if not _is_better(others.get(name), one)}
        left = {name: one for name, one in others.items() if name not in taken}
        owners = {path: name for name in left for path in self._rebuilt.universe.installed[name].files}
        for name in sorted(taken):
            clash = next((path for path in self._made.installed[name].files if path in owners), None)
            if clash is not None:
                self._unknown.append(f"{name} of the release: {shown(clash)} belongs to {owners[clash]} already")
                del taken[name]
        universe = replace(
            self._made,
            installed=self._with_reasons(
                {
                    **{name: self._made.installed[name] for name in taken},
                    **_without_folders_of_others(
                        {name: self._rebuilt.universe.installed[name] for name in left}, self._folders(taken)
                    ),
                }
            ),
        )
        both = {**left, **taken}
        return RebuiltUniverse(
            universe=universe,
            taken=tuple(both[name] for name in sorted(both)),
            unknown=tuple(self._unknown),
            release=self._released.verdict,
        )

    def _demand_right(self) -> None:
        stars = [self._fit(star.entries) for star in self._made.installed.values()]
        good, telling = self._fit(self._own)
        if good * 2 > telling or (not telling and any(fit * 2 > of for fit, of in stars)):
            return
        where = "of the files that its image itself brought" if telling else "of the files of a star of its"
        raise Refused(
            self._released.folder,
            f"is not the release of this system: not more than half {where} lie here as it laid them",
            hint="name the release that this system was made from: --from RELEASE",
        )

    def _fitting(self) -> Iterator[tuple[StarName, Taken]]:
        """Yield the stars of the release that lie on the disk, and those that bring nothing to be known by."""
        for name, star in self._made.installed.items():
            good, telling = self._fit(star.entries)
            if self._released.distrusts(name):
                self._unknown.append(f"{name} of the release: it is not trusted now")
            elif good * 2 > telling or not telling:
                yield (
                    name,
                    Taken(
                        name=name,
                        version=star.version,
                        galaxy=star.galaxy,
                        as_signed=good,
                        entries=telling,
                        archive=star.archive,
                        by_release=True,
                    ),
                )

    def _fit(self, entries: Iterable[InstalledEntry]) -> tuple[int, int]:
        """Return how many of the entries lie on the disk as released, and how many could."""
        telling = [entry for entry in entries if entry.kind != "dir" and not entry.is_configuration]
        return sum(not self._differs(entry, self._places) for entry in telling), len(telling)

    def _differs(self, entry: InstalledEntry, places: Mapping[Digest, TreePath]) -> bool:
        return any(problem.harm != "attributes" for problem in self._check.problems(entry, places))

    def _folders(self, taken: Iterable[StarName]) -> set[TreePath]:
        """Return the folders that the image or a star of the release made."""
        entries = [*self._own, *(entry for name in taken for entry in self._made.installed[name].entries)]
        return {entry.path for entry in entries if entry.kind == "dir" and not entry.is_shared}

    def _with_reasons(self, records: Mapping[StarName, Installed]) -> dict[StarName, Installed]:
        """Return the records with who asked for each star, and who needs it, of the stars that are here."""
        whole = {}
        for name, record in sorted(records.items()):
            needed_by = tuple(sorted(other for other, one in records.items() if name in one.dependencies))
            asked_by = self._made.installed[name].asked_by if name in self._made.installed else (_USER,)
            whole[name] = replace(
                record,
                dependencies=tuple(one for one in record.dependencies if one in records),
                asked_by=asked_by if asked_by or needed_by else (_USER,),
                needed_by=needed_by,
            )
        return whole


def _is_better(other: Taken | None, one: Taken) -> bool:
    """Return whether `other`, from a galaxy, fits better than `one` from the release."""
    if other is None or other.archive == one.archive:
        return False
    ours, theirs = one.as_signed * max(other.entries, 1), other.as_signed * max(one.entries, 1)
    return theirs > ours or (theirs == ours and other.version > one.version)


def _without_folders_of_others(records: Mapping[StarName, Installed], made: set[TreePath]) -> dict[StarName, Installed]:
    return {
        name: replace(
            record,
            entries=tuple(
                replace(entry, is_shared=True) if entry.kind == "dir" and entry.path in made else entry
                for entry in record.entries
            ),
        )
        for name, record in records.items()
    }
