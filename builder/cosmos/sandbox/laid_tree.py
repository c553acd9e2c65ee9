"""Lay a tree into a folder of memory for programs in bubblewrap, and read it back, each entry as it is.

A program sees kind, bytes, mode, links (hard links, too), time and `user.` attributes of every entry, and owner 0:0.
The folder cannot hold other owners, devices, and attributes of other kinds (file capabilities, `trusted.`): these are
kept beside it. They belong to a file, not to a path: they stay when a program changes its mode or time, moves it, makes
a further hard link to it, or puts a file with the same bytes in its place. Attributes that were kept beside are lost
with the first other byte, as the kernel does it with file capabilities.

The clock of the machine does not come back: a time that is later than the epoch, or not earlier than the program's own
start, becomes the epoch. A folder that no entry names stays without an entry, unless a program changed its mode or left
it empty.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias

from cosmos.content import pieces
from cosmos.errors import Malformed
from cosmos.records import dataclass
from cosmos.sandbox.circumstances import Order
from cosmos.sandbox.on_disk import Room, child_path, forced_open, strange
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import ROOT, TreePath

Xattrs: TypeAlias = "tuple[tuple[bytes, bytes], ...]"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: Final[Mapping[int, Kind]] = {
    stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"
}  # fmt: skip
_DEVICES: Final = ("char", "block")
_IMPLIED_MODE: Final = 0o755  # of a folder that no entry names
_SHOWN: Final = b"user."  # the attributes that a program may see, and may change
_BILLION: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One file, folder, symlink or pipe of the folder: the entry that it was made of, and what the kernel shows."""

    entry: Entry
    mode: int
    mtime_ns: int
    xattrs: Xattrs

    @property
    def beside(self) -> Xattrs:
        """The attributes that the folder cannot hold."""
        return tuple(pair for pair in self.entry.xattrs if pair not in self.xattrs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """A tree that lies in a folder. `written` is by inode number, `places` says which number is at a path.

    `done_ns` is the kernel's time when all was written: what a program makes is not older.
    """

    tree: Mapping[TreePath, Entry]
    epoch: int
    written: Mapping[int, Written]
    places: Mapping[TreePath, int]
    done_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One path of the folder, as a program left it."""

    path: TreePath
    kind: Kind
    mode: int
    inode: int
    mtime_ns: int
    content: bytes = b""
    target: bytes = b""
    xattrs: Xattrs = ()


def laid_out(tree: Mapping[TreePath, Entry], folder: int, epoch: int, order: Order = "forward") -> Laid:
    """Lay `tree` into the empty `folder`. Raises `Malformed` for a tree that no folder can hold.

    It never writes through a link: it refuses a tree in which an entry lies below any other entry than a folder.
    Folders that no entry names, and `folder` itself, have mode 0755 and the time `epoch`. `order` decides what a
    program can see of the order in which entries were made: their order in a folder, and inode numbers.
    """
    made: dict[TreePath, Entry] = {}
    for path in sorted(tree, reverse=order == "backward"):
        wrong = next((above for above in path.parents if above in tree and tree[above].kind != "dir"), None)
        if wrong is not None:
            raise Malformed(f"/{path.text}", f"lies below /{wrong.text}, which is no folder")
        for place in path.parents:
            if place not in made:
                _make_folder(place, folder)
                made[place] = tree.get(place) or Entry(path=place, kind="dir", mode=_IMPLIED_MODE, mtime=epoch)
        entry = tree[path]
        if path not in made and entry.kind not in (*_DEVICES, "hardlink"):
            _make(entry, folder)
            made[path] = entry
    links = {path: _shared(tree, entry) for path, entry in tree.items() if entry.kind == "hardlink"}
    for path, first in sorted(links.items()):
        os.link(first, path, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    written: dict[int, Written] = {}
    places: dict[TreePath, int] = {}
    for path in sorted(made, reverse=True):  # a folder last: what is made in it changes its time
        places[path], written_one = _finished(made[path], folder)
        written[places[path]] = written_one
    places |= {path: places[first] for path, first in links.items()}
    os.chmod(folder, _IMPLIED_MODE)
    os.utime(folder, ns=(epoch * _BILLION,) * 2)
    return Laid(tree=tree, epoch=epoch, written=written, places=places, done_ns=os.fstat(folder).st_ctime_ns)


def read_back(folder: int, laid: Laid, room: Room) -> dict[TreePath, Entry]:
    """Return the tree in `folder` now, in byte order, whatever its modes.

    A device is as before, unless another entry took its place or the folder that held it is gone. No other process may
    use the folder any more. Raises `Malformed` for a socket, and for more than `room` holds.
    """
    os.fchmod(folder, _IMPLIED_MODE)
    found = {item.path: item for item in _below(folder, b"", room, {})}
    names: dict[int, list[TreePath]] = {}
    for path, item in found.items():
        if item.kind == "file":
            names.setdefault(item.inode, []).append(path)
    first = {inode: _first(paths, laid.written.get(inode)) for inode, paths in names.items()}
    after: dict[TreePath, Entry] = {}
    implied: list[Entry] = []
    for path, item in found.items():
        entry = _entry(item, first.get(item.inode, path), laid)
        if path in laid.places and path not in laid.tree and item.kind == "dir" and item.mode == _IMPLIED_MODE:
            implied.append(entry)
        else:
            after[path] = entry
    for path, entry in laid.tree.items():
        if entry.kind in _DEVICES and path not in found and all(_is_folder(found, above) for above in path.parents):
            after[path] = entry
    holders = {above for path in after for above in path.parents}
    for entry in sorted(implied, key=lambda entry: entry.path, reverse=True):
        if entry.path not in holders:
            after[entry.path] = entry
            holders.update(entry.path.parents)
    return {path: after[path] for path in sorted(after)}


def _make(entry: Entry, folder: int) -> None:
    if entry.kind == "dir":
        _make_folder(entry.path, folder)
    elif entry.kind == "symlink":
        os.symlink(entry.target, entry.path, dir_fd=folder)
    elif entry.kind == "fifo":
        os.mkfifo(entry.path, 0o600, dir_fd=folder)
    else:
        with os.fdopen(os.open(entry.path, _NEW, 0o600, dir_fd=folder), "wb") as stream:
            stream.writelines(pieces(entry.content))


def _make_folder(path: TreePath, folder: int) -> None:
    """Make a folder that is its owner's alone, until `_finished` gives it its mode."""
    os.mkdir(path, dir_fd=folder)
    os.chmod(path, 0o700, dir_fd=folder)  # whatever the umask


def _shared(tree: Mapping[TreePath, Entry], link: Entry) -> TreePath:
    """Return the path of the file that a hard link shares; raises `Malformed`."""
    first = tree.get(TreePath(link.target))
    if first is None or first.kind != "file":
        raise Malformed(f"/{link.path.text}", f"is a hard link to /{TreePath(link.target).text}, which is no file")
    return first.path


def _finished(entry: Entry, folder: int) -> tuple[int, Written]:
    """Set attributes, mode and time of what was made; return its inode number and what the kernel shows."""
    shown = _set_shown(entry, folder) if any(name.startswith(_SHOWN) for name, _ in entry.xattrs) else ()
    if entry.kind != "symlink":
        os.chmod(entry.path, entry.mode, dir_fd=folder)
    os.utime(entry.path, ns=(entry.mtime * _BILLION,) * 2, dir_fd=folder, follow_symlinks=False)
    status = os.stat(entry.path, dir_fd=folder, follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    return status.st_ino, Written(entry=entry, mode=mode, mtime_ns=status.st_mtime_ns, xattrs=shown)


def _set_shown(entry: Entry, folder: int) -> Xattrs:
    """Set the attributes that a program may see, as far as the kernel takes them, and return those."""
    if entry.kind not in ("file", "dir"):
        return ()  # the kernel has none on links and pipes
    shown: list[tuple[bytes, bytes]] = []
    os.chmod(entry.path, 0o700, dir_fd=folder)  # whatever the umask; not its last mode
    number = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for name, value in entry.xattrs:
            if name.startswith(_SHOWN):
                with suppress(OSError):  # before Linux 6.6 memory has none
                    os.setxattr(number, name, value)
                    shown.append((name, value))
    finally:
        os.close(number)
    return tuple(shown)


def _below(folder: int, above: bytes, room: Room, seen: dict[int, Found]) -> Iterator[Found]:
    """Yield what lies in `folder`. A file is read by the first of its names; `seen` has the files that were read."""
    for name in sorted(os.listdir(folder), key=os.fsencode):
        path = child_path(above, name, room)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            raise strange(room, path)
        item = Found(
            path=path,
            kind=kind,
            mode=0o777 if kind == "symlink" else stat.S_IMODE(status.st_mode),
            inode=status.st_ino,
            mtime_ns=status.st_mtime_ns,
        )
        if kind == "file" and item.inode in seen:
            room.take(path, 0)
            yield replace(seen[item.inode], path=path)
            continue
        room.take(path, status.st_size if kind == "file" else 0)  # before it is read: a file of holes takes no space
        if kind == "dir":
            child = forced_open(name, _FOLDER, folder)
            try:
                yield replace(item, xattrs=_shown(child, path, room))
                yield from _below(child, path + b"/", room, seen)
            finally:
                os.close(child)
        elif kind == "symlink":
            yield replace(item, target=os.fsencode(os.readlink(name, dir_fd=folder)))
        elif kind == "file":
            with os.fdopen(forced_open(name, _FILE, folder), "rb") as stream:
                xattrs = _shown(stream.fileno(), path, room)
                seen[item.inode] = replace(item, content=stream.read(status.st_size), xattrs=xattrs)
            yield seen[item.inode]
        else:
            yield item


def _shown(number: int, path: TreePath, room: Room) -> Xattrs:
    """Return the attributes that a program may set; `room` bounds them, because they take no space of /stage."""
    try:
        names = [name for name in os.listxattr(number) if name.startswith(_SHOWN.decode())]
    except OSError:  # a kernel without them
        return ()
    pairs: list[tuple[bytes, bytes]] = []
    for name in names:
        pairs.append((os.fsencode(name), os.getxattr(number, name)))
        room.grow(path, sum(map(len, pairs[-1])))
    return tuple(sorted(pairs))


def _first(paths: list[TreePath], was: Written | None) -> TreePath:
    """Return the name of a file that is its entry; the others are hard links to it."""
    return was.entry.path if was is not None and was.entry.path in paths else min(paths)


def _is_folder(found: Mapping[TreePath, Found], path: TreePath) -> bool:
    return path == ROOT or (path in found and found[path].kind == "dir")


def _entry(item: Found, first: TreePath, laid: Laid) -> Entry:
    """Return the entry of `item`, whose file has the name `first`."""
    was, old = _made_of(item, laid), laid.tree.get(item.path)
    if was is None:
        entry = Entry(path=item.path, kind=item.kind, mode=item.mode, target=item.target, xattrs=item.xattrs)
        entry = replace(entry, content=item.content, mtime=_time(item, laid))
    else:
        is_same = _is_same(item, was.entry)
        is_untouched = (item.mode, item.mtime_ns, item.xattrs) == (was.mode, was.mtime_ns, was.xattrs)
        is_there = laid.places.get(item.path) == item.inode
        if old is not None and is_same and is_untouched and is_there and first == _first_name(old):
            return old
        entry = replace(
            was.entry,
            path=item.path,
            mode=was.entry.mode if item.mode == was.mode else item.mode,
            mtime=was.entry.mtime if item.mtime_ns == was.mtime_ns else _time(item, laid),
            content=was.entry.content if is_same else item.content,
            xattrs=tuple(sorted((*item.xattrs, *(was.beside if is_same else ())))),
        )
    return entry if item.kind != "file" or first == item.path else _hard_link(entry, first)


def _first_name(entry: Entry) -> TreePath:
    return TreePath(entry.target) if entry.kind == "hardlink" else entry.path


def _hard_link(entry: Entry, first: TreePath) -> Entry:
    return replace(entry, kind="hardlink", content=b"", target=bytes(first))


def _made_of(item: Found, laid: Laid) -> Written | None:
    """Return what `item` was before: the same file, or one with the same bytes at the same path."""
    was = laid.written.get(item.inode)
    if was is not None and was.entry.kind == item.kind:
        return was
    replaced = laid.written.get(laid.places.get(item.path, -1))
    if replaced is None or item.kind == "dir" or not _is_same(item, replaced.entry):
        return None
    return replaced


def _is_same(item: Found, entry: Entry) -> bool:
    return item.kind == entry.kind and item.target == entry.target and item.content == entry.content


def _time(item: Found, laid: Laid) -> int:
    seconds = item.mtime_ns // _BILLION
    return laid.epoch if item.mtime_ns >= laid.done_ns or seconds > laid.epoch else max(seconds, 0)
