"""Write a tree to a folder for programs in bubblewrap, and read it back. Folders are open descriptors.

Without root a folder cannot hold owners, times, devices and set-user-ID bits, so they are not written. A file that is
read back is 0644, or 0755 if its owner may run it, and root owns all files. An unchanged entry keeps its old fields.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.content import Content, FileRange, HeldFile, pieces
from cosmos.errors import Malformed
from cosmos.limits import MAX_STAR_ENTRIES, MAX_STAR_UNPACKED_BYTES, MIB
from cosmos.reading import read_pieces
from cosmos.spool import Spool
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NOBODY: Final = 65534
_HELD_OPEN_BYTES: Final = 64 * MIB
Opened: TypeAlias = Callable[[str, int, int], int]  # a name, open(2)'s flags, the folder that it lies in
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_libc: Final = ctypes.CDLL(None)


def as_its_owner() -> AbstractContextManager[None]:
    """Return the context in which a stage is written and read: if cosmos runs as root, user nobody owns the stage.

    In a sandbox there is no root: a file that root owns cannot be made there (EOVERFLOW).
    """
    return _as_nobody() if os.geteuid() == 0 else nullcontext()


def written_out(tree: Mapping[TreePath, Entry], folder: int) -> None:
    """Write `tree` into the empty `folder`, without owners, times and devices. Raises `Malformed`.

    Every user may read it. It never writes through a link: it refuses a tree in which an entry lies below any other
    entry than a folder.
    """
    made: set[TreePath] = set()
    for path in sorted(tree):
        wrong = next((above for above in path.parents if above in tree and tree[above].kind != "dir"), None)
        if wrong is not None:
            raise Malformed(f"/{path.text}", f"lies below /{wrong.text}, which is no folder")
        entry = tree[path]
        for place in (*path.parents, *((path,) if entry.kind == "dir" else ())):
            if place not in made:
                os.mkdir(place, dir_fd=folder)
                os.chmod(place, 0o755, dir_fd=folder)  # noqa: S103 - whatever the umask; it holds data
                made.add(place)
        if entry.kind == "symlink":
            os.symlink(entry.target, path, dir_fd=folder)
        elif entry.kind in ("file", "hardlink"):
            content = tree[TreePath(entry.target)].content if entry.kind == "hardlink" else entry.content
            with os.fdopen(os.open(path, _NEW, 0o600, dir_fd=folder), "wb") as stream:
                stream.writelines(pieces(content))
                os.fchmod(stream.fileno(), 0o755 if entry.mode & 0o100 else 0o644)


def read_back(
    folder: int, before: Mapping[TreePath, Entry], epoch: int, room: Room
) -> Iterator[tuple[TreePath, Entry]]:
    """Yield the entries in `folder` now, whatever their modes; an unchanged entry keeps its owner, mode and time.

    Devices and pipes were not written: they are as before, unless another entry took their place. No other process may
    use the folder any more.
    """
    os.fchmod(folder, 0o755)
    found: set[TreePath] = set()
    for entry in _below(folder, b"", room, epoch, _forced_open):
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
    """Yield the entries below the folder `root`, in byte order; raises `Malformed` for one that no star may ship.

    It follows no link, even if a process puts a link there while it reads.
    """
    folder = os.open(root, _FOLDER)
    try:
        yield from _below(folder, b"", Room(where=str(root)), mtime, _plain_open)
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
        self.size_bytes -= size_bytes
        self.entries -= 1
        if self.size_bytes < 0 or self.entries < 0:
            raise Malformed(self.where, f"is larger than a star may be, at {path.text}")


def _below(folder: int, above: bytes, room: Room, mtime: int, opened: Opened) -> Iterator[Entry]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        try:
            path = TreePath.parse(above + os.fsencode(name))
        except ValueError as error:
            raise Malformed(room.where, str(error)) from error
        kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if kind == stat.S_IFDIR:
            room.take(path, 0)
            yield Entry(path=path, kind="dir", mode=0o755, mtime=mtime)
            child = opened(name, _FOLDER, folder)
            try:
                yield from _below(child, path + b"/", room, mtime, opened)
            finally:
                os.close(child)
        elif kind == stat.S_IFLNK:
            room.take(path, 0)
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            yield Entry(path=path, kind="symlink", mode=0o777, mtime=mtime, target=target)
        elif kind == stat.S_IFREG:
            yield _file(opened(name, _FILE, folder), path, room, mtime)
        else:
            raise _strange(room, path)


def _file(number: int, path: TreePath, room: Room, mtime: int) -> Entry:
    with os.fdopen(number, "rb"):
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise _strange(room, path)
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


def _strange(room: Room, path: TreePath) -> Malformed:
    return Malformed(f"{room.where}/{path.text}", "is not a file, folder or symlink; a Nova script makes other kinds")


def _plain_open(name: str, flags: int, folder: int) -> int:
    return os.open(name, flags, dir_fd=folder)


def _forced_open(name: str, flags: int, folder: int) -> int:
    """Open a file that cosmos owns, whatever its mode."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except PermissionError:
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
    """Let this thread make and open files as user nobody, without root's rights (setfsuid(2), setfsgid(2))."""
    try:
        for change in (_libc.setfsgid, _libc.setfsuid):
            change(ctypes.c_uint(NOBODY))
            if change(ctypes.c_uint(-1)) != NOBODY:  # answers who it is, and changes nothing
                raise PermissionError(errno.EPERM, "cannot make files as nobody")
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(os.geteuid()))
        _libc.setfsgid(ctypes.c_uint(os.getegid()))
