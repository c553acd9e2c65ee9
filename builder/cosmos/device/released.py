"""The release that made a system, and what it laid there: its image's own layers, and the layers of its stars.

    verify      as `cosmos verify RELEASE` does it: signature, files, content root and lock (release.verify), and where
                the system has trust anchors, both verdicts of trust (release.verdicts)
    match       the universe in the release's image says which system it made: the image's name, the architecture and
                the content root must be those of this system's universe
    judge       what each layer laid follows from that universe: it is part of what was signed
    restore     the bytes come from the image, layer by layer

Nothing here believes the system's own record. A star is judged by the release as long as it has the archive that the
release's image has, and its key is trusted now.

The release may lie on a stick that somebody changes meanwhile. So what is read of it after it was verified is compared
once more (release.reopened).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from cosmos.device.entry_check import Difference
from cosmos.device.locked import roots_when_locked
from cosmos.device.memory import SystemTrust
from cosmos.device.root import LiveRoot, shown
from cosmos.device.signed_record import SignedRecord, facts_unlike, lies_of
from cosmos.device.system import TRUST_PATH, is_own
from cosmos.errors import Refused
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import StarName
from cosmos.model.read_later import ReadLater
from cosmos.model.reporter import Reporter
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.pack.image_file import ImageReader
from cosmos.records import dataclass
from cosmos.release.reopened import image_of, lock_of, universe_in
from cosmos.release.verdicts import judge_release, seq_from
from cosmos.release.verify import ReleaseVerdict, verify_release_folder
from cosmos.staging.logs import Remember
from cosmos.staging.source import Source
from cosmos.store.blobs import StoreFolder
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath
from cosmos.trust.keys import PublicKey
from cosmos.trust.memory import Memory
from cosmos.trust.releases import ReleaseKeys
from cosmos.trust.roots import TrustRoots
from cosmos.trust.verdicts import lock_problems

_BY: Final = "its release brings"
_LEFT_OUT: Final = "its release brings it, but universe.toml leaves it out"
_MADE_UP: Final = "its record in universe.toml has it, but its release does not bring it"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseAsked:
    """The folder of a release, and whose signature on it counts: `keys`, or those that the system's anchors pin.

    `accept` are stars that are not trusted now, and that do not make the release refused. Nothing is restored of them.
    """

    folder: Path
    keys: tuple[PublicKey, ...] = ()
    accept: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class _SystemHome:
    """What the two verdicts on a release need of a system (release.verdicts.Home)."""

    root: LiveRoot
    store: StoreFolder
    pinned: TrustRoots
    remembering: Remember

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        return roots_when_locked(self.root, lock)

    def kept_statement(self, star: LockedStar) -> bytes | None:
        return Source(galaxy=star.galaxy, carrier=None, store=self.store).kept_statement(star)

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        self.remembering(change)


class Released:
    """A verified release, which made this system: `folder`, `verdict`, `lock` and `universe`, and what it laid."""

    def __init__(
        self,
        verdict: ReleaseVerdict,
        lock: Lock,
        reader: ImageReader,
        universe: Universe,
        untrusted: Mapping[StarName, str],
    ) -> None:
        """`universe` is the one in the release's image, `untrusted` its stars that are not trusted now, each why."""
        self.verdict, self.lock = verdict, lock
        self._reader = reader
        self.universe = universe
        self._untrusted = untrusted

    @property
    def folder(self) -> str:
        """The release's folder, for messages."""
        return str(self.verdict.folder)

    def locked(self, name: StarName) -> LockedStar | None:
        """Return the star of the release's lock, or None."""
        return next((star for star in self.lock.stars if star.name == name), None)

    def has(self, name: StarName, record: Installed) -> bool:
        """Return whether the release can judge an installed star: it has the star's archive, which is trusted now."""
        return not self.why_not(name, record)

    def why_not(self, name: StarName, record: Installed) -> str:
        """Return why the release cannot judge an installed star; an empty text if it can."""
        was = self.universe.installed.get(name)
        if was is None or was.archive is None:
            return "the release does not have it"
        if was.archive != record.archive:
            return f"the release has {was.version} from another archive"
        return f"it is not trusted now: {self._untrusted[name]}" if self.distrusts(name) else ""

    def distrusts(self, name: StarName) -> bool:
        """Return whether a star of the release is not trusted now."""
        return name in self._untrusted

    def star(self, name: StarName, record: Installed) -> SignedRecord:
        """Return what the release's image laid of a star that the release `has`, and the lies of its record."""
        was = self.universe.installed[name]
        compared = _Compared(str(name), record.entries)
        came_with_image = record.published is None
        entries = [*compared.others(was.entries), *self._folders(compared, was, all_are_recorded=came_with_image)]
        compared.tell_made_up(entries)
        problems = [*compared.problems, *facts_unlike(name, record, was, "the release says")]
        for what, ours, theirs in (("version", record.version, was.version), ("galaxy", record.galaxy, was.galaxy)):
            if ours != theirs:
                text = f"installed.{name}: says {what} {ours}, but the release says {theirs}"
                problems.append(Difference(path=UNIVERSE_PATH, star="", problem=text))
        entries.sort(key=lambda entry: entry.path)
        return SignedRecord(
            entries=tuple(entries),
            bodies=_Bodies(self._reader, entries),
            record=_corrected(record, was, entries) if problems else record,
            problems=tuple(problems),
            by_release=True,
        )

    def layer(self, layer: str, owner: str, recorded: Sequence[InstalledEntry]) -> SignedLayer:
        """Return what the image itself brought as `layer`, without what belongs to cosmos, and the lies of its record.

        `owner` is the layer's name in messages.
        """
        brought = tuple(self.universe.layers.get(layer, ()))
        compared = _Compared(owner, [entry for entry in recorded if not is_own(entry.path)])
        wanted = [entry for entry in brought if not is_own(entry.path)]
        entries = (*compared.others(wanted), *compared.folders(wanted))
        compared.tell_made_up(entries)
        return SignedLayer(
            entries=entries,
            bodies=_Bodies(self._reader, entries),
            record=brought,
            problems=tuple(compared.problems),
        )

    @cached_property
    def _folder_lines(self) -> dict[TreePath, ManifestLine]:
        return {line.path: line for line in self._reader.lines() if line.kind == "dir"}

    def _folders(self, compared: _Compared, was: Installed, *, all_are_recorded: bool) -> Iterator[InstalledEntry]:
        """Yield the star's folders: those of the image, and those that it took over from a star that went since.

        If it was installed again, what it laid besides its files may be less than in the image.
        """
        brought = {entry.path: entry for entry in was.entries if entry.kind == "dir"}
        lines = self._folder_lines
        above = {parent for entry in was.entries for parent in entry.path.parents}
        for path, row in compared.rows.items():
            if row.kind == "dir" and path not in brought and path in above and path in lines:
                brought[path] = _as_line(row, lines[path])
        wanted = [entry for path, entry in brought.items() if all_are_recorded or path in compared.rows]
        yield from compared.folders(wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedLayer:
    """The entries of a layer of the image itself, as the release brought them; as `SignedRecord` for a star."""

    entries: tuple[InstalledEntry, ...]
    bodies: Mapping[TreePath, Entry]
    record: Sequence[InstalledEntry]
    problems: tuple[Difference, ...]


class _Compared:
    """The rows of one owner in this system's universe, beside what the release brought."""

    def __init__(self, owner: str, rows: Iterable[InstalledEntry]) -> None:
        self._owner = owner
        self.rows = {row.path: row for row in rows}
        self.problems = list[Difference]()

    def others(self, wanted: Iterable[InstalledEntry]) -> Iterator[InstalledEntry]:
        """Yield what is no folder."""
        yield from map(self._compared, (entry for entry in wanted if entry.kind != "dir"))

    def folders(self, wanted: Iterable[InstalledEntry]) -> Iterator[InstalledEntry]:
        """Yield the folders. One that another owner made is recorded as shared, and that owner is asked about it."""
        for entry in wanted:
            row = self.rows.get(entry.path)
            if entry.kind != "dir":
                continue
            if row is not None and row.kind == "dir" and row.is_shared:
                yield row
            else:
                yield self._compared(entry if row is None else replace(entry, is_shared=False))

    def tell_made_up(self, known: Iterable[InstalledEntry]) -> None:
        """Note the rows at whose paths the release has nothing of this owner."""
        for path in sorted(self.rows.keys() - {entry.path for entry in known}):
            self._tell(path, _MADE_UP)

    def _compared(self, wanted: InstalledEntry) -> InstalledEntry:
        row = self.rows.get(wanted.path)
        if row is None:
            self._tell(wanted.path, _LEFT_OUT)
        else:
            for lie in lies_of(row, wanted, _BY):
                self._tell(wanted.path, lie)
        return wanted

    def _tell(self, path: TreePath, problem: str) -> None:
        self.problems.append(Difference(path=path, star=self._owner, problem=problem))


class _Bodies(Mapping[TreePath, Entry]):
    """The entries of one owner with their contents, without folders. The image is read when they are first needed."""

    def __init__(self, reader: ImageReader, entries: Iterable[InstalledEntry]) -> None:
        self._reader = reader
        self._paths = {entry.path for entry in entries if entry.kind != "dir"}
        self._read: dict[TreePath, Entry] | None = None

    def __getitem__(self, path: TreePath) -> Entry:
        return self._all()[path]

    def __iter__(self) -> Iterator[TreePath]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._paths)

    def _all(self) -> dict[TreePath, Entry]:
        if self._read is None:
            holding = [
                layer for layer in self._reader.layers if any(row.line.path in self._paths for row in layer.lines)
            ]
            entries = (entry for layer in holding for entry in self._reader.layer_entries(layer))
            self._read = {entry.path: entry for entry in entries if entry.path in self._paths}
        return self._read


def open_release(
    root: LiveRoot,
    asked: ReleaseAsked,
    universe: Universe,
    store: StoreFolder,
    trust: SystemTrust,
    remembering: Remember,
    reporter: Reporter,
) -> Released:
    """Return the release, verified, if it made the system of `universe`.

    Raises what `cosmos verify RELEASE` raises, and `Refused` for a release that made another system.
    """
    released = open_any_release(root, asked, store, trust, remembering, reporter)
    _demand_same_system(universe, released.universe, asked.folder, root)
    return released


def open_any_release(
    root: LiveRoot,
    asked: ReleaseAsked,
    store: StoreFolder,
    trust: SystemTrust,
    remembering: Remember,
    reporter: Reporter,
) -> Released:
    """Return the release, verified, whichever system it made: the caller has no universe to compare it with.

    Raises what `cosmos verify RELEASE` raises, and `Refused` if no key of a release's signer is known.
    """
    signers = ReleaseKeys(keys=tuple(asked.keys))
    if not asked.keys:
        if trust.locked is None:
            raise Refused(
                shown(TRUST_PATH),
                "no trust anchors were accepted for this system, so no key of a release's signer is known",
                hint="name the public key that the release's maker gave you: --key PUB; "
                f"or run: cosmos trust init FILE --sha256 DIGEST{root.option}",
            )
        signers = ReleaseKeys.pinned(trust.roots)
    verdict = verify_release_folder(asked.folder, signers, reporter=reporter)
    lock = lock_of(verdict)
    home = _SystemHome(root=root, store=store, pinned=trust.roots, remembering=remembering)
    untrusted: dict[StarName, str] = {}
    if trust.locked is not None:
        judge_release(verdict, home, asked.accept)
        untrusted = {problem.star: problem.text for problem in lock_problems(lock, trust.roots, seq_from(home))}
    reader = image_of(verdict)
    return Released(verdict, lock, reader, universe_in(reader), untrusted)


def _demand_same_system(universe: Universe, made: Universe, folder: Path, root: LiveRoot) -> None:
    """Raise `Refused` unless the release's image is the one that this system was made from."""
    for what, here, there in (
        ("image", universe.image, made.image),
        ("architecture", universe.arch, made.arch),
        ("content root", universe.content_root, made.content_root),
    ):
        if here != there:
            ours = f"was made from the {what} {here}" if here else "does not say which release it was made from"
            raise Refused(
                str(folder),
                f"is not the release of this system: it has the {what} {there}, but the universe of {root.path} {ours}",
                hint="name the release that this system was made from: --from RELEASE",
            )


def _corrected(record: Installed, was: Installed, entries: Iterable[InstalledEntry]) -> Installed:
    """Return the record of a star as it must be. Who needs it, and where it was published, are this system's own."""
    recorded = tuple(entries)
    return replace(
        was,
        files=tuple(entry.path for entry in recorded if entry.kind != "dir"),
        dependencies=record.dependencies,
        asked_by=record.asked_by,
        needed_by=record.needed_by,
        published=record.published,
        entries=ReadLater([entry.line for entry in recorded], InstalledEntry.parse),
    )


def _as_line(row: InstalledEntry, line: ManifestLine) -> InstalledEntry:
    xattrs = tuple(sorted(line.xattrs))
    return replace(row, mode=line.mode, uid=line.uid, gid=line.gid, xattrs=xattrs, is_shared=False)
