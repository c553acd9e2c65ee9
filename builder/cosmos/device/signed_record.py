"""What a star's signed archive lays on this system, and what universe.toml must therefore record of it.

The archive is unpacked, and the star's script runs in the sandbox of installations, on a virtual tree: nothing of it is
written. A script sees its dependencies as they were signed, where that can be known, otherwise as they are recorded.

No script runs programs here. A star that the operator lets run programs is not judged by its archive, because what
programs make need not be the same each time. Its layer is in the release that made the system (device.released).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from cosmos.device.dependency_files import DependencyFiles, path_map
from cosmos.device.entry_check import Difference
from cosmos.device.owned_paths import OwnedPaths
from cosmos.device.root import LiveRoot
from cosmos.device.shelves import SignedStar
from cosmos.errors import ScriptFailed, WorldFailed
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.read_later import ReadLater
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, About, Installed, Universe
from cosmos.records import dataclass
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.staging.stage import StagedStar, StagingInputs, stage_star
from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed, installed_entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import ROOT, TreePath

_NO_PROGRAMS: Final = "no script runs programs while an installed star is judged"
_FACTS: Final = ("kind", "mode", "uid", "gid", "digest", "rdev", "xattrs")
_IMPLIED: Final = (0o755, 0, 0)  # of a folder that no star names


class NoArchiveSays(WorldFailed):
    """A star's archive does not say what it laid: its script runs programs, or cannot be run again here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRecord:
    """The entries of one star as signed, each at its path on this system.

    `bodies` are the same entries with their contents. `problems` are the lies of the star's record, and `record` is
    what it must say. `taken` are paths that the image gave to another owner: this star cannot judge them. `by_release`:
    the release that made the system says so, and not the star's archive.
    """

    entries: tuple[InstalledEntry, ...]
    bodies: Mapping[TreePath, Entry]
    record: Installed
    problems: tuple[Difference, ...]
    taken: tuple[TreePath, ...] = ()
    by_release: bool = False


class ArchiveJudge:
    """Stages installed stars again, one at a time, and says what each must have laid."""

    def __init__(self, root: LiveRoot, universe: Universe, settings: Settings, epoch: int) -> None:
        """`epoch`: the time of what scripts make, where the record does not have it."""
        self._root = root
        self._epoch = epoch
        self._universe = universe
        self._settings = settings
        self._paths = path_map(root)
        self._dependencies = DependencyFiles(root, universe, settings.install_dir, {})
        self._owned = OwnedPaths(universe)
        self._of_image = {
            entry.path for entries in universe.layers.values() for entry in entries if entry.kind != "dir"
        }
        needs = {name: star.dependencies for name, star in universe.installed.items()}
        scripted = [star.dependencies for star in universe.installed.values() if _may_have_script(star)]
        self._seen_by_scripts = all_dependencies((name for names in scripted for name in names), needs)

    def signed_record(self, name: StarName, signed: SignedStar) -> SignedRecord:
        """Return what `signed` laid. Raises `Refused`, `NoArchiveSays` or `WorldFailed`."""
        if signed.star.script and self._settings.powers.has(name, "run"):
            raise NoArchiveSays(name, "its script may run programs, and no archive says what they make")
        record = self._universe.installed[name]
        try:
            staged = self._staged(signed, _epoch_of(record, self._epoch))
        except ScriptFailed as error:
            raise NoArchiveSays(name, f"its script cannot be run again here: {error}") from error
        if name in self._seen_by_scripts:
            self._dependencies.add(name, staged.entries)
        return _Judged(self._root, name, record, self).judged(signed, staged)

    def base_of(self, staged: Mapping[TreePath, Entry], rows: Mapping[TreePath, InstalledEntry]) -> TreePath:
        """Return the folder that the star was installed into: an image does not know the settings' `install_dir`."""
        bases = dict.fromkeys((self._settings.install_dir, ROOT))
        return max(bases, key=lambda base: sum(base.joined(path) in rows for path in staged))

    def another_owner(self, path: TreePath, name: StarName) -> str | None:
        """Return who has `path` by the universe's record, if it is not the star `name`."""
        owner = self._owned.owner(path)
        if owner not in (None, name):
            return owner
        return "the image" if path in self._of_image else None

    @property
    def is_of_image(self) -> bool:
        """Whether an image made the system: it may give a star's path to another star, or to its finish script."""
        return bool(self._universe.image)

    def _staged(self, signed: SignedStar, epoch: int) -> StagedStar:
        inputs = StagingInputs(
            epoch=epoch,
            paths=self._paths,
            dependencies=self._dependencies.of(signed.star.dependencies) if signed.star.script else {},
            programs=None,
            run_hint=_NO_PROGRAMS,
        )
        return stage_star(signed.archive(), signed.statement, inputs, signed.spool())


class _Judged:
    """One star's record, beside what its archive lays."""

    def __init__(self, root: LiveRoot, name: StarName, record: Installed, judge: ArchiveJudge) -> None:
        self._root = root
        self._name = name
        self._record = record
        self._judge = judge
        self._rows = {entry.path: entry for entry in record.entries}
        self._problems = list[Difference]()
        self._taken = list[TreePath]()

    def judged(self, signed: SignedStar, staged: StagedStar) -> SignedRecord:
        base = self._judge.base_of(staged.entries, self._rows)
        bodies = {entry.path: entry for entry in (self._placed(one, base) for one in staged.entries.values())}
        entries = [*self._others(bodies.values()), *self._folders(bodies)]
        known = {entry.path for entry in entries}
        for path in sorted(self._rows.keys() - known):
            self._tell(path, "its record in universe.toml has it, but its signed archive does not bring it")
        entries.sort(key=lambda entry: entry.path)
        record = self._corrected(signed, entries)
        return SignedRecord(
            entries=tuple(entries),
            bodies=bodies,
            record=record,
            problems=tuple(self._problems),
            taken=tuple(self._taken),
        )

    def _placed(self, entry: Entry, base: TreePath) -> Entry:
        is_folder = entry.kind == "dir"
        target = entry.target
        if entry.kind == "hardlink":
            target = bytes(self._place(base.joined(TreePath(entry.target)), is_folder=False))
        return replace(entry, path=self._place(base.joined(entry.path), is_folder=is_folder), target=target)

    def _place(self, path: TreePath, *, is_folder: bool) -> TreePath:
        """Return the recorded path: the links of the system were followed when it was installed."""
        if path in self._rows:
            return path
        real = self._root.mapped_folder(path) if is_folder else self._root.mapped(path)
        return real if real in self._rows else path

    def _others(self, bodies: Iterable[Entry]) -> Iterator[InstalledEntry]:
        for body in bodies:
            if body.kind == "dir":
                continue
            wanted = installed_entry(ManifestLine.of(body), mtime=body.mtime)
            row = self._rows.get(body.path)
            if row is None:
                other = self._judge.another_owner(body.path, self._name)
                if other is not None and self._judge.is_of_image:
                    self._taken.append(body.path)
                    continue
                of = f" and gives it to {other}" if other else ""
                self._tell(body.path, f"its signed archive brings it, but universe.toml leaves it out{of}")
            else:
                self._compare(row, wanted)
            yield wanted

    def _folders(self, bodies: Mapping[TreePath, Entry]) -> Iterator[InstalledEntry]:
        """Yield the recorded folders that the star names or that hold its entries, those it made as it made them."""
        above = {parent for path, body in bodies.items() for parent in (*path.parents, *[path][body.kind != "dir" :])}
        for path, row in self._rows.items():
            if row.kind != "dir" or path not in above:
                continue
            if row.is_shared:
                yield row
                continue
            named = bodies.get(path)
            mode, uid, gid = _IMPLIED if named is None else (named.mode, named.uid, named.gid)
            xattrs = () if named is None else tuple(sorted(named.xattrs))
            wanted = replace(row, mode=mode, uid=uid, gid=gid, xattrs=xattrs)
            self._compare(row, wanted)
            yield wanted

    def _compare(self, row: InstalledEntry, wanted: InstalledEntry) -> None:
        for lie in lies_of(row, wanted, "its signed archive brings"):
            self._tell(row.path, lie)

    def _corrected(self, signed: SignedStar, entries: list[InstalledEntry]) -> Installed:
        """Return the record as it must be; the record as it is if nothing in it is wrong."""
        said = signed.statement.statement.star
        true = installed(signed.star, said, entries, self._record.published)
        self._problems += facts_unlike(self._name, self._record, true, "its signed statement says")
        if not self._problems:
            return self._record
        lines = ReadLater([entry.line for entry in entries], InstalledEntry.parse)
        return replace(
            true,
            entries=lines,
            dependencies=self._record.dependencies,
            asked_by=self._record.asked_by,
            needed_by=self._record.needed_by,
        )

    def _tell(self, path: TreePath, problem: str) -> None:
        self._problems.append(Difference(path=path, star=self._name, problem=problem))


def lies_of(row: InstalledEntry, wanted: InstalledEntry, by: str) -> Iterator[str]:
    """Yield a sentence for each fact of a recorded entry that is not as it must be; `by` says who knows that."""
    for fact in _FACTS:
        said, signed = getattr(row, fact), getattr(wanted, fact)
        if said != signed:
            yield f"its record in universe.toml says {fact} {_shown(fact, said)}, but {by} {_shown(fact, signed)}"


def facts_unlike(name: StarName, record: Installed, true: Installed, by: str) -> Iterator[Difference]:
    """Yield a difference for each fact about the star itself that its record has otherwise than `true`."""
    for what, ours, theirs in (
        ("type", record.type, true.type),
        ("arch", record.arch, true.arch),
        *_about_rows(record.about, true.about),
    ):
        if ours != theirs:
            problem = f"installed.{name}: says {what} {ours}, but {by} {theirs}"
            yield Difference(path=UNIVERSE_PATH, star="", problem=problem)


def _about_rows(ours: About | None, true: About | None) -> Iterator[tuple[str, object, object]]:
    if ours is None or true is None:
        return
    said = ours.to_toml()
    for key, value in true.to_toml().items():
        yield key, said[key], value


def _shown(fact: str, value: object) -> str:
    if fact == "mode" and isinstance(value, int):
        return f"{value:04o}"
    if fact == "xattrs" and isinstance(value, tuple):
        return f"of {len(value)} names" if value else "none"
    return "none" if value is None else str(value)


def _may_have_script(star: Installed) -> bool:
    return star.about is None or star.about.script is not None


def _epoch_of(record: Installed, otherwise: int) -> int:
    """Return the time that files made by its script have: no entry is newer. Contents do not depend on it."""
    return max((entry.mtime for entry in record.entries if entry.mtime is not None), default=otherwise)
