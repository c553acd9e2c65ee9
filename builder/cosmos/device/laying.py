"""Put a star's entries on the disk: everything under temporary names first, then each renamed into place.

Nothing is ever written over. A temporary is made with O_EXCL | O_NOFOLLOW; a rename that finds its name taken fails.
All contents are on the disk before the first name appears, and all names before universe.toml says so: a full disk is
noticed while no file of the star can be seen yet.

Owners and capabilities are set by root alone. An ordinary user who lays a system below a folder of his own gets
everything else, and is told (`unowned`); a device node he cannot make at all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from cosmos.device.journal import Journal, Placement
from cosmos.device.root import LiveRoot, naming
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, caseless

_PRIVATE: Final = 0o600  # until its owner is set, nobody else reads what may become a setuid file or a secret
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What one star puts where: folders that are not there yet, outermost first, then everything else in byte order."""

    star: str
    folders: Sequence[Entry]
    entries: Sequence[Entry]


class Laying:
    """The laying of one installation, all of its stars together."""

    def __init__(self, root: LiveRoot, journal: Journal, *, tag: str) -> None:
        self._root = root
        self._journal = journal
        self._tag = tag
        self._placements: list[Placement] = []
        self._folders: list[Entry] = []
        self.unowned = 0  # entries whose owner or capability only root could have set

    def prepare(self, layout: Layout) -> None:
        """Write everything of `layout` under temporary names, after the journal knows of it."""
        placements = self._placed(layout.entries)
        self._journal.record(layout.star, [folder.path for folder in layout.folders], placements)
        for folder in layout.folders:
            self._make_folder(folder)
        temporaries = {placement.path: placement.temporary for placement in placements}
        for entry in layout.entries:
            self._make(entry, temporaries)
        self._placements += placements
        self._folders += layout.folders

    def publish(self) -> None:
        """Give everything its name. Raises `NoSolution` where a name was taken since the installation was planned."""
        self._sync()
        for placement in self._placements:
            with self._root.folder(placement.path.parent) as folder, naming(placement.path):
                try:
                    self._root.kernel.rename_new(folder, placement.temporary, placement.path.name)
                except FileExistsError as error:
                    raise NoSolution(f"/{placement.path.text}", self._in_its_way(placement.path)) from error
        for entry in reversed(self._folders):
            with self._root.folder(entry.path) as made, naming(entry.path):
                os.utime(made, ns=(entry.mtime * _NANOSECONDS,) * 2)  # now that nothing more is made in it
        self._sync()

    def _in_its_way(self, path: TreePath) -> str:
        """Return why a name is taken that was free when the installation was planned."""
        for other in (placement.path for placement in self._placements):
            if other != path and caseless(other) == caseless(path):
                return f"this file system does not tell it from /{other.text}: the two differ by case alone"
        return "somebody made it while cosmos was at work"

    def _placed(self, entries: Iterable[Entry]) -> list[Placement]:
        digests: dict[bytes, Digest] = {}
        placements = list[Placement]()
        for number, entry in enumerate(entries, len(self._placements)):
            shared = digests[entry.target] if entry.kind == "hardlink" else None
            placement = Placement.of(entry, f".cosmos-{self._tag}-{number}".encode(), shared)
            digests[bytes(entry.path)] = placement.identity
            placements.append(placement)
        return placements

    def _make_folder(self, entry: Entry) -> None:
        self._root.make_folder(entry.path, entry.mode)
        if self._is_owned(entry):
            with self._root.folder(entry.path) as made, naming(entry.path):
                os.fchown(made, entry.uid, entry.gid)
                os.fchmod(made, entry.mode)

    def _make(self, entry: Entry, temporaries: Mapping[TreePath, bytes]) -> None:
        name = temporaries[entry.path]
        with self._root.folder(entry.path.parent) as folder, naming(entry.path):
            match entry.kind:
                case "file":
                    self._make_file(folder, name, entry)
                case "symlink":
                    os.symlink(bytes(entry.target), name, dir_fd=folder)
                    self._dress(folder, name, entry)
                case "hardlink":
                    target = TreePath(entry.target)
                    with self._root.folder(target.parent) as source:
                        os.link(temporaries[target], name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
                case "char" | "block" | "fifo":
                    _make_node(folder, name, entry)
                    self._dress(folder, name, entry)
                case "dir":
                    raise AssertionError(f"{entry.path.text}: folders are made first")
                case _:
                    assert_never(entry.kind)

    def _make_file(self, folder: int, name: bytes, entry: Entry) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, _PRIVATE, dir_fd=folder)
        try:
            data = memoryview(entry.content)
            while data:
                data = data[os.write(descriptor, data) :]
            if self._is_owned(entry):
                os.fchown(descriptor, entry.uid, entry.gid)  # before the mode: it clears setuid
            os.fchmod(descriptor, entry.mode)
            for attribute, value in entry.xattrs:
                self._set_attribute(descriptor, attribute, value)
            os.utime(descriptor, ns=(entry.mtime * _NANOSECONDS,) * 2)
        finally:
            os.close(descriptor)

    def _set_attribute(self, descriptor: int, name: bytes, value: bytes) -> None:
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if error.errno != errno.EPERM or self._root.may_chown:
                raise
            self.unowned += 1

    def _dress(self, folder: int, name: bytes, entry: Entry) -> None:
        if self._is_owned(entry):
            os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime * _NANOSECONDS,) * 2, dir_fd=folder, follow_symlinks=False)

    def _is_owned(self, entry: Entry) -> bool:
        if not self._root.may_chown and (entry.uid, entry.gid) != (os.geteuid(), os.getegid()):
            self.unowned += 1
        return self._root.may_chown

    def _sync(self) -> None:
        """Bring every file system that was written to to its disk, each once."""
        seen = set[int]()
        for parent in sorted({placement.path.parent for placement in self._placements}):
            with self._root.folder(parent) as folder, naming(parent):
                device = os.fstat(folder).st_dev
                if device not in seen:
                    seen.add(device)
                    self._root.kernel.sync_file_system(folder)


def _make_node(folder: int, name: bytes, entry: Entry) -> None:
    """Make a device or fifo with exactly its mode. Before fchmodat2 (Linux 6.6) only /proc follows no link."""
    kind = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}[entry.kind]
    os.mknod(name, kind | entry.mode, os.makedev(*(entry.rdev or (0, 0))), dir_fd=folder)
    made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_IMODE(os.fstat(made).st_mode) != entry.mode:  # the process's umask took bits away
            Path(f"/proc/self/fd/{made}").chmod(entry.mode)
    finally:
        os.close(made)
