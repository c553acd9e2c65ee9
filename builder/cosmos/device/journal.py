"""The journal of an installation: what a kill or a power cut at any moment leaves is put back to what was there before.

`/var/lib/cosmos/journal/install`, one JSON document a line, each on the disk before anything that it names is touched:

    {"cosmos-journal":1,"before":"sha256:…"}            of universe.toml as the installation found it
    {"star":"nano","folders":["/usr/share/nano"],"entries":[
      {"path":"/usr/bin/nano","temporary":".cosmos-7","kind":"file","identity":"sha256:…"}]}

Whether the installation took place is told by universe.toml alone, which is replaced in one step and last: if it is
still what `before` names, everything that the journal names is undone, else only leftovers are cleared away. A last
line without its newline was cut off before it counted. Undoing removes a path only where it still holds what the
journal says that we put there: a file that a person made in between is theirs, and is named instead.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.device.system import STATE_FOLDER, universe_bytes
from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import MAX_JOURNAL_BYTES, demand_within
from cosmos.locking import take_at_once, take_in_time
from cosmos.model.universe import slashed
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

JOURNAL_FOLDER: Final = STATE_FOLDER.joined(b"journal")
JOURNAL_PATH: Final = JOURNAL_FOLDER.joined(b"install")
_VERSION: Final = 1
_NO_UNIVERSE: Final = Digest.of(b"")
_KINDS: Final[dict[str, int]] = {
    "file": stat.S_IFREG,
    "hardlink": stat.S_IFREG,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}

Standing: TypeAlias = Literal["idle", "running", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """One path that an installation makes: first as `temporary` in the same folder, then under its name.

    `identity` is the digest of what tells it from anything else of its kind: a file's bytes (also for a hard link to
    it), a symlink's target, a device's number in text; of nothing for a fifo.
    """

    path: TreePath
    temporary: bytes
    kind: str
    identity: Digest

    @classmethod
    def of(cls, entry: Entry, temporary: bytes, shared: Digest | None) -> Self:
        """Return the placement of `entry`; `shared` is the digest of the file behind a hard link."""
        return cls(path=entry.path, temporary=temporary, kind=entry.kind, identity=shared or _identity_of(entry))

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a row of a line's `entries`."""
        placement = cls(
            path=table.read("path", slashed),
            temporary=table.need("temporary", str).encode(),
            kind=table.choice("kind", tuple(_KINDS)),
            identity=table.read("identity", Digest.parse),
        )
        if not placement.temporary.startswith(b".cosmos-") or b"/" in placement.temporary:
            table.fail("temporary", "is no name that cosmos gives")
        table.end()
        return placement

    def to_json(self) -> Json:
        """Return the row as JSON."""
        return {
            "path": shown(self.path),
            "temporary": self.temporary.decode(),
            "kind": self.kind,
            "identity": str(self.identity),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """What clearing up after an installation did. `kept` are paths that hold something else than we put there."""

    took_place: bool
    removed: int
    kept: tuple[TreePath, ...]


class Journal:
    """The journal of the installation that is going on."""

    def __init__(self, root: LiveRoot, descriptor: int) -> None:
        self._root = root
        self._descriptor = descriptor

    def record(self, star: str, folders: Sequence[TreePath], placements: Sequence[Placement]) -> None:
        """Bring what is about to be made to the disk; only then may it be made."""
        self._append(
            {
                "star": star,
                "folders": [shown(path) for path in folders],
                "entries": [placement.to_json() for placement in placements],
            }
        )

    def _append(self, line: Json) -> None:
        with naming(JOURNAL_PATH):
            data = memoryview(canonical_json(line) + b"\n")
            demand_within(os.fstat(self._descriptor).st_size + len(data), MAX_JOURNAL_BYTES, shown(JOURNAL_PATH))
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)


@contextmanager
def journal(root: LiveRoot) -> Iterator[Journal]:
    """Begin the journal of an installation; the block does the work, universe.toml last of all.

    When the block ends or fails, what the journal names is settled at once, as `settle` does after a kill.
    """
    place = root.mapped_folder(JOURNAL_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder, naming(JOURNAL_PATH):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(JOURNAL_PATH.name, flags, 0o644, dir_fd=folder)
        os.fsync(folder)
    try:
        going_on = Journal(root, descriptor)
        going_on._append({"cosmos-journal": _VERSION, "before": str(_universe_digest(root))})
        yield going_on
    finally:
        os.close(descriptor)
        settle(root)


@contextmanager
def at_work(root: LiveRoot, wait_seconds: float = 0) -> Iterator[None]:
    """Be the only cosmos that changes this system, or raise `WorldFailed`. The kernel forgets the lock of the dead."""
    place = root.mapped_folder(STATE_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder:
        if not take_in_time(folder, "alone", wait_seconds):
            hint = "wait until it has ended"
            raise WorldFailed(str(root.path), "another cosmos is at work on this system", hint=hint)
        yield


def standing(root: LiveRoot) -> Standing:
    """Return whether an installation is going on, or was cut off."""
    if root.stat(JOURNAL_PATH) is None:
        return "idle"
    with root.folder(root.mapped_folder(STATE_FOLDER)) as folder:
        return "interrupted" if take_at_once(folder, "shared") else "running"


def settle(root: LiveRoot) -> Undone | None:
    """Finish what an installation left: undo it, or clear its leftovers if it took place.

    Returns None where there is nothing to do. The caller is `at_work`.
    """
    data = root.document(JOURNAL_PATH, max_bytes=MAX_JOURNAL_BYTES)
    if data is None:
        return None
    before, folders, placements = _parsed(data)
    took_place = before is not None and _universe_digest(root) != before
    removed, kept = 0, list[TreePath]()
    for placement in reversed(placements):
        root.remove(placement.path.parent.joined(placement.temporary))
        if not took_place and root.stat(placement.path) is not None:
            if _is_ours(root, placement):
                root.remove(placement.path)
                removed += 1
            else:
                kept.append(placement.path)
    if not took_place:
        for folder in reversed(folders):
            root.remove_empty_folder(folder)
    _sync(root, placements)
    root.remove(root.mapped(JOURNAL_PATH))
    return Undone(took_place=took_place, removed=removed, kept=tuple(kept))


def _parsed(data: bytes) -> tuple[Digest | None, list[TreePath], list[Placement]]:
    *lines, _cut_off = data.split(b"\n")
    folders, placements = list[TreePath](), list[Placement]()
    before: Digest | None = None
    for number, line in enumerate(lines):
        table = _table(line, f"{shown(JOURNAL_PATH)}: line {number + 1}")
        if number == 0:
            if table.count("cosmos-journal") != _VERSION:
                table.fail(
                    "cosmos-journal",
                    f"want {_VERSION}: another cosmos began this installation; finish it with that one",
                )
            before = table.read("before", Digest.parse)
        else:
            table.need("star", str)
            folders += table.parsed_strings("folders", slashed)
            placements += [Placement.read(row) for row in table.tables("entries")]
        table.end()
    return before, folders, placements


def _table(line: bytes, source: str) -> Table:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed(source, "is not JSON", hint="it was damaged: look at the file, then remove it") from error
    if not isinstance(value, dict):
        raise Malformed(source, "is no table")
    return Table(value, source)


def _identity_of(entry: Entry) -> Digest:
    match entry.kind:
        case "file":
            return Digest.of(entry.content)
        case "symlink":
            return Digest.of(entry.target)
        case "char" | "block":
            major, minor = entry.rdev or (0, 0)
            return Digest.of(f"{major}:{minor}".encode())
        case "fifo" | "dir" | "hardlink":
            return Digest.of(b"")


def _is_ours(root: LiveRoot, placement: Placement) -> bool:
    found = root.stat(placement.path)
    if found is None or stat.S_IFMT(found.st_mode) != _KINDS[placement.kind]:
        return False
    if placement.kind == "symlink":
        return Digest.of(root.link_target(placement.path)) == placement.identity
    if placement.kind in ("char", "block"):
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}".encode()
        return Digest.of(number) == placement.identity
    if placement.kind == "fifo":
        return True
    with (
        naming(placement.path),
        root.file(placement.path) as descriptor,
        open(descriptor, "rb", closefd=False) as stream,
    ):
        return Digest.of_stream(stream) == placement.identity


def _sync(root: LiveRoot, placements: Sequence[Placement]) -> None:
    """Bring the removals to the disk before the journal that knows of them goes."""
    for parent in sorted({placement.path.parent for placement in placements}):
        if root.stat(parent) is not None:
            with root.folder(parent) as folder, naming(parent):
                os.fsync(folder)


def _universe_digest(root: LiveRoot) -> Digest:
    data = universe_bytes(root)
    return _NO_UNIVERSE if data is None else Digest.of(data)
