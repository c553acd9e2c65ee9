"""Read a folder of the disk as entries, and what every reader of a folder needs. Folders are open descriptors.

A file of a source folder is 0644, or 0755 if its owner may run it, and root owns it: the maintainer's own user, umask
and clock are not part of a star.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.child import die_with, parent_to_die_with
from cosmos.content import Content, FileRange, HeldFile
from cosmos.errors import Malformed
from cosmos.limits import MAX_STAR_ENTRIES, MAX_STAR_UNPACKED_BYTES, MIB
from cosmos.reading import read_pieces
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NOBODY: Final = 65534
_HELD_OPEN_BYTES: Final = 64 * MIB
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_libc: Final = ctypes.CDLL(None)


def as_its_owner() -> AbstractContextManager[None]:
    """Return the context in which a stage is written and read: if cosmos runs as root, user nobody owns the stage.

    In a sandbox there is no root: a file that root owns cannot be made there (EOVERFLOW).
    """
    return _as_nobody() if os.geteuid() == 0 else nullcontext()


def folder_entries(root: Path, *, mtime: int = 0) -> Iterator[Entry]:
    """Yield the entries below the folder `root`, in byte order; raises `Malformed` for one that no star may ship.

    It follows no link, even if a process puts a link there while it reads.
    """
    folder = os.open(root, _FOLDER)
    try:
        yield from _below(folder, b"", Room(where=str(root)), mtime)
    finally:
        os.close(folder)


@dataclass(kw_only=True, slots=True)
class Room:
    """The number and the size of entries that the folder may still hold; errors call the folder `where`."""

    where: str
    size_bytes: int = MAX_STAR_UNPACKED_BYTES
    entries: int = MAX_STAR_ENTRIES
    spool: Spool = field(default_factory=Spool)

    def take(self, path: TreePath, size_bytes: int) -> None:
        """Count one entry; raises `Malformed`."""
        self.entries -= 1
        self.grow(path, size_bytes)

    def grow(self, path: TreePath, size_bytes: int) -> None:
        """Count more bytes of an entry; raises `Malformed`."""
        self.size_bytes -= size_bytes
        if self.size_bytes < 0 or self.entries < 0:
            raise Malformed(self.where, f"is larger than a star may be, at {path.text}")


def _below(folder: int, above: bytes, room: Room, mtime: int) -> Iterator[Entry]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        path = child_path(above, name, room)
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
        elif kind == stat.S_IFREG:
            yield _file(os.open(name, _FILE, dir_fd=folder), path, room, mtime)
        else:
            raise strange(room, path)


def _file(number: int, path: TreePath, room: Room, mtime: int) -> Entry:
    with os.fdopen(number, "rb"):
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise strange(room, path)
        room.take(path, status.st_size)  # before it is read: one that is all holes takes no space where it lies
        content = _content(number, status.st_size, path, room)
    return Entry(
        path=path, kind="file", mode=0o755 if status.st_mode & stat.S_IXUSR else 0o644, mtime=mtime, content=content
    )


def _content(number: int, size_bytes: int, path: TreePath, room: Room) -> Content:
    """Return the bytes of an open file. A very large one stays where it is; a star has room for 128 of them."""
    if size_bytes >= _HELD_OPEN_BYTES:
        return FileRange(HeldFile(os.dup(number), f"{room.where}/{path.text}"), 0, size_bytes)
    return room.spool.add(read_pieces(number, size_bytes))


def child_path(above: bytes, name: str, room: Room) -> TreePath:
    """Return the path of `name` below `above`, which is empty or ends with a slash; raises `Malformed`."""
    try:
        return TreePath.parse(above + os.fsencode(name))
    except ValueError as error:
        raise Malformed(room.where, str(error)) from error


def strange(room: Room, path: TreePath) -> Malformed:
    """Return the error for an entry of a kind that no star may have."""
    return Malformed(f"{room.where}/{path.text}", "is not a file, folder or symlink; a Nova script makes other kinds")


def forced_open(name: str, flags: int, folder: int) -> int:
    """Open a file or folder that cosmos owns, whatever its mode; a folder can then be looked into."""
    try:
        number = os.open(name, flags, dir_fd=folder)
    except PermissionError:
        pass
    else:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode) and mode & 0o500 != 0o500:
            os.fchmod(number, stat.S_IMODE(mode) | 0o700)
        return number
    held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        link = Path(f"/proc/self/fd/{held}")
        mode = os.fstat(held).st_mode
        link.chmod(stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0o400))
        return os.open(link, flags & ~os.O_NOFOLLOW)
    finally:
        os.close(held)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Let this thread make and open files as user nobody, without root's rights (setfsuid(2), setfsgid(2)).

    Either change takes back that this process dies with its parent, so it is asked for again.
    """
    parent = parent_to_die_with()
    try:
        for change in (_libc.setfsgid, _libc.setfsuid):
            change(ctypes.c_uint(NOBODY))
            if change(ctypes.c_uint(-1)) != NOBODY:  # answers who it is, and changes nothing
                raise PermissionError(errno.EPERM, "cannot make files as nobody")
        _die_with(parent)
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(os.geteuid()))
        _libc.setfsgid(ctypes.c_uint(os.getegid()))
        _die_with(parent)


def _die_with(parent: int | None) -> None:
    if parent is not None:
        die_with(parent)
