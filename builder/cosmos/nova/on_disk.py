"""A tree of data as a folder on the disk, and back: what programs that `run()` starts can work on.

What a folder cannot hold without root is not written: owners, times, devices, set-user-ID. Read back, a file is 0644,
or 0755 where its owner may run it, and root owns all; what was left alone keeps what it had.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cosmos.errors import Malformed
from cosmos.limits import MAX_STAR_ENTRIES, MAX_STAR_UNPACKED_BYTES
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def written_out(tree: Mapping[TreePath, Entry], root: Path) -> None:
    """Write `tree` below the empty folder `root`; owners, times and devices are not. Raises `Malformed`.

    Nothing is written through a link, whatever the tree says: nothing may lie below anything but a folder.
    """
    for path in sorted(tree):
        wrong = next((above for above in path.parents if above in tree and tree[above].kind != "dir"), None)
        if wrong is not None:
            raise Malformed(f"/{path.text}", f"lies below /{wrong.text}, which is no folder")
        entry, place = tree[path], root / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "dir":
            place.mkdir(exist_ok=True)
        elif entry.kind == "symlink":
            place.symlink_to(os.fsdecode(entry.target))
        elif entry.kind in ("file", "hardlink"):
            content = tree[TreePath(entry.target)].content if entry.kind == "hardlink" else entry.content
            place.write_bytes(content)
            place.chmod(0o755 if entry.mode & 0o100 else 0o644)


def open_to_all(root: Path) -> None:
    """Let every user read what is below `root`, and enter its folders; the files' modes are data already."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)


def given_to(root: Path, user: int) -> None:
    """Make `user` the owner of `root` and all that is below it."""
    for folder, folders, files in os.walk(root):
        for path in (folder, *(f"{folder}/{name}" for name in (*folders, *files))):
            os.chown(path, user, user, follow_symlinks=False)


def read_back(root: Path, before: Mapping[TreePath, Entry], epoch: int) -> Iterator[tuple[TreePath, Entry]]:
    """Yield what is below `root` now; what the program left alone keeps its owner, mode and time.

    Devices and pipes, which were not written, are as before, unless something else took their place.
    """
    found: set[TreePath] = set()
    for entry in folder_entries(root, mtime=epoch):
        found.add(entry.path)
        old = before.get(entry.path)
        if old is None or old.kind != entry.kind or old.target != entry.target or old.content != entry.content:
            yield entry.path, entry
        else:
            mode = old.mode if bool(old.mode & 0o100) == bool(entry.mode & 0o100) or old.kind == "dir" else entry.mode
            yield entry.path, replace(old, mode=mode)
    for path, entry in before.items():
        if entry.kind in ("char", "block", "fifo") and path not in found:
            yield path, entry


def folder_entries(root: Path, *, mtime: int = 0) -> Iterator[Entry]:
    """Yield what lies below the folder `root` as data, in byte order; raises `Malformed` for what no star may ship.

    No link is followed, even where someone puts one in place while this reads.
    """
    room = Room(root=root)
    folder = os.open(root, _FOLDER)
    try:
        yield from _below(folder, b"", room, mtime)
    finally:
        os.close(folder)


@dataclass(kw_only=True, slots=True)
class Room:
    """How much more there may be."""

    root: Path
    size_bytes: int = MAX_STAR_UNPACKED_BYTES
    entries: int = MAX_STAR_ENTRIES

    def take(self, path: TreePath, size_bytes: int) -> None:
        """Count one entry; raises `Malformed`."""
        self.size_bytes -= size_bytes
        self.entries -= 1
        if self.size_bytes < 0 or self.entries < 0:
            raise Malformed(str(self.root), f"is larger than a star may be, at {path.text}")


def _below(folder: int, above: bytes, room: Room, mtime: int) -> Iterator[Entry]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        try:
            path = TreePath.parse(above + os.fsencode(name))
        except ValueError as error:
            raise Malformed(str(room.root), str(error)) from error
        kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if kind == stat.S_IFDIR:
            room.take(path, 0)
            yield Entry(path=path, kind="dir", mode=0o755, mtime=mtime)
            child = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield from _below(child, path + b"/", room, mtime)
            finally:
                os.close(child)
        elif kind == stat.S_IFLNK:
            room.take(path, 0)
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            yield Entry(path=path, kind="symlink", mode=0o777, mtime=mtime, target=target)
        else:
            yield _file(folder, name, path, room, mtime, is_regular=kind == stat.S_IFREG)


def _file(folder: int, name: str, path: TreePath, room: Room, mtime: int, *, is_regular: bool) -> Entry:
    strange = Malformed(f"{room.root}/{path.text}", "is no file, folder or symlink; a Nova script makes other things")
    if not is_regular:
        raise strange
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise strange
        content = stream.read(room.size_bytes + 1)
    room.take(path, len(content))
    return Entry(
        path=path, kind="file", mode=0o755 if status.st_mode & stat.S_IXUSR else 0o644, mtime=mtime, content=content
    )
