"""`cosmos bootstrap`: an empty folder becomes the system of a lock and an image definition, complete or not at all.

    fetch, verify, stage, lay (as a build) -> compare the content root with a release's -> the marker
    -> folders, files, links, devices -> compare each with the tree -> universe.toml -> remove the marker

The marker, `.cosmos-bootstrap` in the folder, is the journal: it names the tree by its content root. While it is there,
the folder is unfinished. It has no universe, so every other command says that it is no system; and nobody but its owner
may enter it. The same command goes on after a kill or a power cut: what is there and right stays, and all else is made
again. It never goes on with another tree, and never removes what is no part of the tree.

If an ordinary user runs it, all files belong to that user; owners and capabilities are not set, and devices are left
out. `cosmos verify --root` names the devices.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.content import content_digest, pieces
from cosmos.digest import Digest
from cosmos.durable import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    blaming,
    durable_file,
    sync_file_system,
    sync_folder,
)
from cosmos.errors import Differs, Malformed, WorldFailed
from cosmos.image.definition import Definition
from cosmos.image.flow import finished_tree
from cosmos.image.home import Home
from cosmos.image.preflight import BuildOptions, preflight
from cosmos.locking import alone_if_free
from cosmos.model.reporter import Reporter, counted
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.reading import file_content, read_bounded
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

MARKER: Final = ".cosmos-bootstrap"
_LOCK: Final = ".cosmos-bootstrap.lock"
_OWN: Final = frozenset((MARKER, _LOCK))
_FORM: Final = b"cosmos bootstrap 1\n"  # before the content root, in the marker
_MARKER_BYTES: Final = 200
_ROOT_MODE: Final = 0o755
_PRIVATE: Final = 0o700

Came: TypeAlias = Literal["new", "continued"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrapped:
    """A finished system. `continued`: an interrupted bootstrap was taken up again, with `kept` entries that were right.

    `unset` counts the owners and capabilities that only root could have set, `devices` those that were left out.
    """

    root: Path
    content_root: Digest
    stars: int
    entries: int
    kept: int
    unset: int
    devices: int
    came: Came


def bootstrap(
    definition: Definition, world: Home, options: BuildOptions, root: Path, wanted: Digest | None
) -> Bootstrapped:
    """Make the system of `definition` and its lock in the folder `root`. Raises what a build raises, before any change.

    `wanted` is the content root that a release names: `Differs` is raised if the tree has another one. Raises
    `Malformed` if the folder is neither empty nor an interrupted bootstrap of the same tree.
    """
    demand_free(root)
    ready = preflight(definition, world, options)
    tree = finished_tree(ready, world, options)
    if wanted is not None and tree.root != wanted:
        raise Differs(
            str(root),
            f"would have the content root {tree.root}, but the release names {wanted}: nothing was written",
            hint="is this the lock and the image of that release? cosmos rebuild RELEASE says what differs",
        )
    with blaming(root):
        root.mkdir(parents=True, exist_ok=True)
    with alone_if_free(root / _LOCK) as is_ours:
        if not is_ours:
            raise WorldFailed(str(root), "another cosmos bootstraps it", hint="wait until it is done")
        came = _begun(root, tree.root)
        writing = _Writing(root, world.reporter)
        with blaming(root):
            writing.write(tree.entries(), len(tree.overlaid.lines))
            writing.finish()
    return Bootstrapped(
        root=root,
        content_root=tree.root,
        stars=len(ready.lock.stars),
        entries=len(tree.overlaid.lines),
        kept=writing.kept,
        unset=writing.unset,
        devices=writing.devices,
        came=came,
    )


def demand_free(root: Path) -> None:
    """Raise `Malformed` unless `root` is absent, empty, or an interrupted bootstrap."""
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise Malformed(str(root), "is not a folder", hint="name a new folder: --root DIR")
    names = [place.name for place in sorted(root.iterdir())] if root.exists() else []
    if MARKER not in names and any(name not in _OWN and not _is_temporary(name) for name in names):
        raise Malformed(
            str(root),
            "is neither empty nor an interrupted bootstrap",
            hint="name a new folder; into a system that is there: cosmos install --locked LOCK --root DIR",
        )


def _begun(root: Path, content_root: Digest) -> Came:
    """Write the marker, or find the one of an interrupted run. Raises `Malformed` for that of another tree."""
    demand_free(root)
    marker, data = root / MARKER, _FORM + f"{content_root}\n".encode()
    if not marker.is_symlink() and not marker.exists():
        with blaming(root):
            root.chmod(_PRIVATE)
        with durable_file(marker) as stream:
            stream.write(data)
        return "new"
    if marker.is_symlink() or read_bounded(marker, _MARKER_BYTES) != data:
        raise Malformed(
            str(root),
            "holds an interrupted bootstrap of another lock, image or program",
            hint="bootstrap it with the same ones, or remove the folder and begin again",
        )
    return "continued"


class _Writing:
    """Writes entries below `root`. What is there and right stays."""

    def __init__(self, root: Path, reporter: Reporter) -> None:
        self._root = root
        self._reporter = reporter
        self._is_root = os.geteuid() == 0
        self._folders: list[Entry] = []
        self._universe: Entry | None = None
        self.kept = self.unset = self.devices = 0

    def write(self, entries: Iterable[Entry], number: int) -> None:
        """Write all entries but universe.toml; folders come before what is in them."""
        self._reporter.step(f"write {counted(number, 'entry', 'entries')}")
        seen: set[str] = set()
        for place, entry in enumerate(entries, start=1):
            self._reporter.progress(entry.path.text, place, number)
            seen.add(os.fsdecode(bytes(entry.path)))
            if entry.kind in ("char", "block") and not self._is_root:
                self.devices += 1
                continue
            if entry.path == UNIVERSE_PATH:
                self._universe = entry
                continue
            self._place(entry)
        self._demand_no_strangers(seen)

    def finish(self) -> None:
        """Set the folders' modes, bring everything to the disk, write universe.toml, and remove the marker."""
        for entry in reversed(self._folders):
            if entry.path != UNIVERSE_PATH.parent:
                self._set(entry)
        sync_file_system(self._root)
        assert self._universe is not None, "every image records its stars"
        place = self._at(self._universe)
        with durable_file(place, self._universe.mode) as stream:
            stream.writelines(pieces(self._universe.content))
        self._set(self._universe)
        for entry in self._folders:
            if entry.path == UNIVERSE_PATH.parent:
                self._set(entry)
        sync_folder(place.parent)
        self._root.chmod(_ROOT_MODE)
        sync_folder(self._root)  # the marker may be gone from the disk only after the mode is there
        (self._root / _LOCK).unlink(missing_ok=True)
        (self._root / MARKER).unlink()  # last: with the marker, the next run goes on
        sync_folder(self._root)

    def _at(self, entry: Entry) -> Path:
        return self._root / os.fsdecode(bytes(entry.path))

    def _place(self, entry: Entry) -> None:
        place = self._at(entry)
        if entry.kind == "dir":
            self._folders.append(entry)
            self._make_folder(place)
            return
        if self._is_right(entry, place):
            self.kept += 1
        else:
            self._remove(place)
            self._make(entry, place)
            self._set(entry)
            if not self._is_right(entry, place):
                raise WorldFailed(
                    str(place),
                    "was written, but is not what was written: does this file system tell all names apart?",
                    hint="use a file system such as ext4",
                )
        self._count(entry)

    def _make_folder(self, place: Path) -> None:
        held = place.lstat() if place.is_symlink() or place.exists() else None
        if held is None:
            place.mkdir(_PRIVATE)
        elif not stat.S_ISDIR(held.st_mode):
            self._remove(place)
            place.mkdir(_PRIVATE)
        elif not held.st_mode & stat.S_IWUSR or not held.st_mode & stat.S_IXUSR:
            place.chmod(_PRIVATE)

    def _remove(self, place: Path) -> None:
        """Remove what an interrupted run left half written at `place`."""
        if place.is_symlink() or not place.is_dir():
            with contextlib.suppress(FileNotFoundError):
                place.unlink()
            return
        raise WorldFailed(str(place), "is a folder, and the image has a file there", hint=f"move away {place}")

    def _make(self, entry: Entry, place: Path) -> None:
        match entry.kind:
            case "file":
                with open(place, "xb", opener=_for_me) as stream:
                    stream.writelines(pieces(entry.content))
            case "symlink":
                place.symlink_to(os.fsdecode(entry.target))
            case "hardlink":
                place.hardlink_to(self._root / os.fsdecode(bytes(TreePath(entry.target))))
            case "fifo":
                os.mkfifo(place, _PRIVATE)
            case "char" | "block":
                kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
                os.mknod(place, kind | _PRIVATE, os.makedev(*(entry.rdev or (0, 0))))
            case "dir":
                raise AssertionError("folders are made elsewhere")

    def _set(self, entry: Entry) -> None:
        """Set owner, mode, capabilities and time, in this order: a change of the owner clears some of the others."""
        if entry.kind == "hardlink":
            return
        place = self._at(entry)
        if self._is_root:
            os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind != "symlink":
            place.chmod(entry.mode)
        if self._is_root:
            for name, value in entry.xattrs:
                os.setxattr(place, name, value, follow_symlinks=False)
        os.utime(place, (entry.mtime, entry.mtime), follow_symlinks=False)

    def _count(self, entry: Entry) -> None:
        if not self._is_root and entry.kind != "hardlink":
            self.unset += bool((entry.uid, entry.gid) != (0, 0)) + bool(entry.xattrs)

    def _is_right(self, entry: Entry, place: Path) -> bool:
        """Return whether `place` is what `entry` says, as far as this user could make it so."""
        try:
            held = place.lstat()
        except FileNotFoundError:
            return False
        if entry.kind == "hardlink":
            shared = (self._root / os.fsdecode(bytes(TreePath(entry.target)))).lstat()
            return (held.st_dev, held.st_ino) == (shared.st_dev, shared.st_ino)
        if entry.kind == "symlink":
            if not stat.S_ISLNK(held.st_mode) or os.fsencode(place.readlink()) != entry.target:
                return False
        elif stat.S_IMODE(held.st_mode) != entry.mode or int(held.st_mtime) != entry.mtime:
            return False
        elif entry.kind == "file":
            if not stat.S_ISREG(held.st_mode) or held.st_size != entry.size:
                return False
            if content_digest(file_content(place, entry.size)) != entry.digest:
                return False
        elif stat.S_IFMT(held.st_mode) != _KINDS[entry.kind] or held.st_rdev != _device(entry):
            return False
        return not self._is_root or self._has_rights(entry, place, held)

    def _has_rights(self, entry: Entry, place: Path, held: os.stat_result) -> bool:
        if (held.st_uid, held.st_gid) != (entry.uid, entry.gid):
            return False
        found = {name: os.getxattr(place, name, follow_symlinks=False) for name in _attributes(place)}
        return all(found.get(os.fsdecode(name)) == value for name, value in entry.xattrs)

    def _demand_no_strangers(self, seen: set[str]) -> None:
        for place in _walked(self._root):
            path = place.relative_to(self._root).as_posix()
            if _is_temporary(place.name) and path not in seen and _is_of_cosmos(place):
                _remove_temporary(place)
            elif path not in seen and path not in _OWN:
                raise WorldFailed(
                    str(place),
                    "is no part of the system, and cosmos removes only what it made",
                    hint="move it away, and run the same command again",
                )


_KINDS: Final = {"fifo": stat.S_IFIFO, "char": stat.S_IFCHR, "block": stat.S_IFBLK}


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def _is_of_cosmos(place: Path) -> bool:
    """Return whether a killed run left what is at `place`: an unfinished document, or the empty folder of a trial."""
    return place.is_symlink() or not place.is_dir() or not any(place.iterdir())


def _remove_temporary(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    else:
        place.unlink()


def _device(entry: Entry) -> int:
    return os.makedev(*entry.rdev) if entry.rdev is not None else 0


def _attributes(place: Path) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=False)
    except OSError:  # the file system has none
        return []


def _walked(root: Path) -> Iterator[Path]:
    for place in sorted(root.iterdir()):
        yield place
        if place.is_dir() and not place.is_symlink():
            yield from _walked(place)


def _for_me(path: str, flags: int) -> int:
    """Open a new file that nobody else may read: it gets its own mode when it is written."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
