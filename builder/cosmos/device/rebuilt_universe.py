"""Rebuild a lost or damaged universe.toml, from the signed stars at hand and from what lies on the disk.

Each version of each star that a verified index lists, and whose signed statement and archive are at hand, is staged
again (device.signed_record says how). A version counts as installed if more than half of its entries that are no
folders and no configuration lie on the disk with the signed bytes. If several versions do, the best one counts, and of
equals the newest; the others are named. A star that brings nothing by which it could be known is taken only if a taken
star needs it.

What no file on the disk shows is not known: who asked for a star (`user` is written for all), what the image itself
brought, and who made a shared folder. The release that made the system knows it (device.rebuilt_from_release). Stars
that upstream recorded, and unsigned ones, are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from cosmos.device.dependency_files import DependencyFiles, path_map
from cosmos.device.entry_check import EntryCheck, places_of
from cosmos.device.plan import implied
from cosmos.device.root import LiveRoot, shown
from cosmos.device.shelves import Shelves, SignedStar
from cosmos.device.system import STATE_FOLDER, rendered
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed
from cosmos.limits import MAX_UNIVERSE_BYTES
from cosmos.model.facts import Facts
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.release.verify import ReleaseVerdict
from cosmos.staging.stage import StagingInputs, stage_star
from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed, installed_entry, published
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

DAMAGED_PATH: Final = STATE_FOLDER.joined(b"universe.toml.damaged")
_USER: Final = "user"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A star that counts as installed. `as_signed` of `entries` lie on the disk with the signed bytes.

    `also` are versions of it that fit as well. `by_release`: the release that made the system says so.
    """

    name: StarName
    version: Version
    galaxy: str | None
    archive: Digest | None
    as_signed: int
    entries: int
    also: tuple[str, ...] = ()
    by_release: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuiltUniverse:
    """The new universe, the stars in it, and a sentence for each star that could not be judged.

    `release` is the release that was asked, too.
    """

    universe: Universe
    taken: tuple[Taken, ...]
    unknown: tuple[str, ...]
    release: ReleaseVerdict | None = None


def demand_unreadable(root: LiveRoot) -> bytes | None:
    """Return the damaged universe.toml, or None if it is lost. Raises `Malformed` if it can be read."""
    data = root.document(UNIVERSE_PATH, max_bytes=MAX_UNIVERSE_BYTES)
    if data is None:
        return None
    try:
        universe = Universe.parse(data, shown(UNIVERSE_PATH))
        for star in universe.installed.values():
            tuple(star.entries)
            tuple(star.files)
    except Malformed:
        return data
    hint = f"to restore what differs from what was signed: cosmos repair{root.option}"
    raise Malformed(shown(UNIVERSE_PATH), "can be read, so it is not rebuilt", hint=hint)


def rebuilt_universe(
    root: LiveRoot,
    settings: Settings,
    shelves: Shelves,
    reporter: Reporter,
    *,
    arch: Arch,
    version: str,
    epoch: int,
) -> RebuiltUniverse:
    """Return the universe that the disk and the signed stars at hand show. Nothing is written."""
    return _Rebuilding(root, settings, shelves, arch, version, epoch).rebuilt(reporter)


def write_rebuilt(root: LiveRoot, rebuilt: RebuiltUniverse, damaged: bytes | None) -> None:
    """Write the universe. A damaged one stays beside it. The caller is the only writer of the system."""
    if damaged is not None:
        root.replace_document(DAMAGED_PATH, damaged)
    root.replace_document(UNIVERSE_PATH, rendered(rebuilt.universe))


class _Rebuilding:
    """One rebuilding, star by star: those that others need come first, because scripts see them."""

    def __init__(
        self, root: LiveRoot, settings: Settings, shelves: Shelves, arch: Arch, version: str, epoch: int
    ) -> None:
        self._root = root
        self._epoch = epoch
        self._settings = settings
        self._shelves = shelves
        self._universe = Universe(arch=arch, version=version)
        self._check = EntryCheck(root)
        self._stars = self._known(arch)
        coming = {name: tuple(_needed(stars[0], self._stars)) for name, stars in self._stars.items()}
        self._coming = coming
        self._dependencies = DependencyFiles(root, self._universe, settings.install_dir, coming)
        self._paths = path_map(root)
        self._records: dict[StarName, Installed] = {}
        self._taken: dict[StarName, tuple[SignedStar, Taken]] = {}
        self._quiet: dict[StarName, SignedStar] = {}  # those by which nothing can be known
        self._unknown = list[str]()
        self._owners: dict[TreePath, StarName] = {}

    def rebuilt(self, reporter: Reporter) -> RebuiltUniverse:
        names = self._in_order()
        for number, name in enumerate(names, 1):
            reporter.progress("look for installed stars", number, len(names))
            self._judge(name)
        self._take_needed()
        records = dict(self._with_reasons())
        return RebuiltUniverse(
            universe=replace(self._universe, installed=_with_shared_folders(records)),
            taken=tuple(self._taken[name][1] for name in sorted(self._taken)),
            unknown=tuple(self._unknown),
        )

    def _known(self, arch: Arch) -> dict[StarName, list[SignedStar]]:
        """Return every signed version at hand, newest first. The first galaxy that lists a name answers for it."""
        known: dict[StarName, list[SignedStar]] = {}
        for galaxy in self._shelves.galaxies:
            shelf, here = self._shelves.shelf(galaxy), dict[StarName, list[SignedStar]]()
            for row in sorted(shelf.listed(), key=lambda row: (row.name, row.version), reverse=True):
                signed = shelf.of_row(row) if row.name not in known else None
                if signed is not None and signed.star.signers and signed.star.arch.runs_on(arch):
                    here.setdefault(row.name, []).append(signed)
            known |= here
        return known

    def _in_order(self) -> list[StarName]:
        done: dict[StarName, None] = {}
        for first in sorted(self._stars):
            path, begun = [first], set[StarName]()
            while path:
                name = path[-1]
                waiting = [] if name in begun else [one for one in self._coming.get(name, ()) if one in self._stars]
                begun.add(name)
                path += [one for one in waiting if one not in done and one not in begun] or [name]
                if path[-1] == name:
                    path.pop()
                    done.setdefault(path.pop())
        return list(done)

    def _judge(self, name: StarName) -> None:
        fits = list[tuple[SignedStar, Taken, Installed, Mapping[TreePath, Entry]]]()
        for signed in self._stars[name]:
            try:
                entries, staged = self._laid(signed)
            except CosmosError as error:
                self._unknown.append(f"{signed.star.id}: {error.problem}")
                continue
            telling = [entry for entry in entries if entry.kind != "dir" and not entry.is_configuration]
            places = places_of(tuple(entries))
            good = sum(not self._differs(entry, places) for entry in telling)
            if not telling:
                self._quiet.setdefault(name, signed)
            if good * 2 > len(telling):
                fits.append((signed, _taken(signed, good, len(telling)), self._record(signed, entries), staged))
        if not fits:
            return
        signed, best, record, staged = max(fits, key=lambda fit: fit[1].as_signed / fit[1].entries)  # or the newest
        for path in record.files:
            if path in self._owners:
                self._unknown.append(f"{signed.star.id}: {shown(path)} belongs to {self._owners[path]} already")
                return
        alike = [one for _, one, _, _ in fits if one is not best and one.as_signed == one.entries]
        self._take(signed, replace(best, also=tuple(str(one.version) for one in alike)), record, staged)

    def _take(self, signed: SignedStar, one: Taken, record: Installed, staged: Mapping[TreePath, Entry]) -> None:
        name = one.name
        self._taken[name] = signed, one
        self._records[name] = record
        self._owners |= dict.fromkeys(record.files, name)
        self._dependencies.add(name, staged)

    def _laid(self, signed: SignedStar) -> tuple[list[InstalledEntry], Mapping[TreePath, Entry]]:
        """Return the entries of a star, each at its place on this system; and as its script left them."""
        needed = tuple(_needed(signed, self._stars))
        inputs = StagingInputs(
            epoch=self._epoch,
            paths=self._paths,
            dependencies=self._dependencies.of(needed) if signed.star.script else {},
            programs=None,
            run_hint="no script runs programs while a universe is rebuilt",
        )
        staged = stage_star(signed.archive(), signed.statement, inputs, signed.spool()).entries
        found = dict[TreePath, InstalledEntry]()
        for entry in staged.values():
            placed = self._placed(entry)
            found[placed.path] = installed_entry(ManifestLine.of(placed), mtime=placed.mtime)
            for above in placed.path.parents:
                line = ManifestLine.of(implied(above, placed.mtime))
                found.setdefault(above, installed_entry(line, mtime=placed.mtime))
        return [found[path] for path in sorted(found)], staged

    def _placed(self, entry: Entry) -> Entry:
        below, target = self._settings.install_dir.joined, entry.target
        if entry.kind == "hardlink":
            target = bytes(self._root.mapped(below(TreePath(entry.target))))
        real = self._root.mapped_folder if entry.kind == "dir" else self._root.mapped
        return replace(entry, path=real(below(entry.path)), target=target)

    def _differs(self, entry: InstalledEntry, places: Mapping[Digest, TreePath]) -> bool:
        return any(problem.harm != "attributes" for problem in self._check.problems(entry, places))

    def _record(self, signed: SignedStar, entries: Iterable[InstalledEntry]) -> Installed:
        asked = self._settings.galaxy(signed.star.galaxy)
        where = published(signed.star, "" if asked is None else asked.url)
        return installed(signed.star, signed.statement.statement.star, entries, where)

    def _take_needed(self) -> None:
        """Take the stars without files that a taken star needs, and those that they need."""
        waiting = list(self._records)
        while waiting:
            for name in _needed(self._taken[waiting.pop()][0], self._stars):
                if name in self._quiet and name not in self._records:
                    quiet = self._quiet[name]
                    entries, staged = self._laid(quiet)
                    self._take(quiet, _taken(quiet, 0, 0), self._record(quiet, entries), staged)
                    waiting.append(name)
        for name in sorted(self._quiet.keys() - self._records.keys()):
            self._unknown.append(f"{name}: brings no file, so that nothing shows whether it was installed")

    def _with_reasons(self) -> Iterator[tuple[StarName, Installed]]:
        chosen = {name: tuple(self._chosen_for(signed)) for name, (signed, _) in self._taken.items()}
        for name, record in sorted(self._records.items()):
            needed_by = tuple(sorted(other for other, needs in chosen.items() if name in needs))
            yield name, replace(record, dependencies=chosen[name], asked_by=(_USER,), needed_by=needed_by)

    def _chosen_for(self, signed: SignedStar) -> Iterator[StarName]:
        return (name for name in _needed(signed, self._stars) if name in self._records)


def _taken(signed: SignedStar, good: int, telling: int) -> Taken:
    star = signed.star
    return Taken(
        name=star.name,
        version=star.version,
        galaxy=star.galaxy,
        archive=star.archive,
        as_signed=good,
        entries=telling,
    )


def _needed(signed: SignedStar, known: Mapping[StarName, list[SignedStar]]) -> Iterator[StarName]:
    """Yield the stars that may answer a need of `signed`: by their names, or because they provide it."""
    found = set[StarName]()
    for need in Facts.of(signed.statement.statement.star).needs:
        for demand in need:
            providers = (name for name, stars in known.items() if demand.name in _provides(stars))
            for name in (demand.name, *providers):
                if name in known and name not in found:
                    found.add(name)
                    yield name


def _provides(stars: list[SignedStar]) -> Iterable[StarName]:
    facts = stars[0].star.facts
    return () if facts is None else facts.provides


def _with_shared_folders(records: Mapping[StarName, Installed]) -> dict[StarName, Installed]:
    """Return the records; a folder of several stars is shared for each, because nobody knows who made it."""
    stars_of: dict[TreePath, int] = {}
    for record in records.values():
        for entry in record.entries:
            if entry.kind == "dir":
                stars_of[entry.path] = stars_of.get(entry.path, 0) + 1
    return {
        name: replace(
            record,
            entries=tuple(
                replace(entry, is_shared=True) if stars_of.get(entry.path, 0) > 1 else entry for entry in record.entries
            ),
        )
        for name, record in records.items()
    }
