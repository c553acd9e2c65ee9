"""A folder as a side: a tree on a disk, a system's root, or a system that was unpacked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import MAX_UNIVERSE_BYTES
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.reading import read_bounded
from cosmos.release.diff.owners import owners_of, versions
from cosmos.release.diff.side import LOOK_BYTES, Nodes, NoLayers, nodes_of
from cosmos.tree.entry import Kind
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS: Final[Mapping[int, Kind]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


class FolderSide(NoLayers):
    """The tree below `folder`. It follows no link and leaves out sockets. What is mounted below is `hidden`.

    If a universe lies in it, its stars own their paths.
    """

    def __init__(self, folder: Path, label: str) -> None:
        universe = _universe(folder)
        super().__init__({} if universe is None else versions(universe))
        self.label = label
        self._folder = folder
        self._universe = universe

    @cached_property
    def nodes(self) -> Nodes:
        """Every path. Files are not read before somebody asks for their digests. Raises `WorldFailed`."""
        owners, found = owners_of(self._universe), self._walked[0]
        times = {line.path: mtime for line, mtime in found}
        return nodes_of(((line, owners.get(line.path, "")) for line, _ in found), times.get)

    @property
    def hidden(self) -> frozenset[TreePath]:
        """The paths on which another file system is mounted."""
        return self._walked[1]

    def digest(self, path: TreePath) -> Digest:
        """Return the digest of the file at `path`. Raises `WorldFailed`."""
        place = self._place(path)
        try:
            with os.fdopen(os.open(place, _FLAGS), "rb") as stream:
                return Digest.of_stream(stream)
        except OSError as error:
            raise _unreadable(place, error) from error

    def contents(self, paths: Iterable[TreePath]) -> Iterator[tuple[TreePath, bytes]]:
        """Yield the bytes of the files at `paths` that have at most `LOOK_BYTES`. Raises `WorldFailed`."""
        for path in paths:
            if self.nodes[path].size <= LOOK_BYTES:
                place = self._place(path)
                try:
                    with os.fdopen(os.open(place, _FLAGS), "rb") as stream:
                        yield path, stream.read(LOOK_BYTES)
                except OSError as error:
                    raise _unreadable(place, error) from error

    def _place(self, path: TreePath) -> Path:
        return self._folder / os.fsdecode(bytes(path))

    @cached_property
    def _walked(self) -> tuple[list[tuple[ManifestLine, int]], frozenset[TreePath]]:
        """The line of every path below the folder with its time, and the hidden paths.

        Hard links name the first of their paths.
        """
        found: list[tuple[ManifestLine, int]] = []
        hidden: list[TreePath] = []
        device = self._folder.stat().st_dev
        inodes: dict[int, TreePath] = {}
        todo = [self._folder]
        while todo:
            above = todo.pop()
            try:
                places = sorted(above.iterdir())
            except OSError as error:
                raise _unreadable(above, error) from error
            for place in places:
                status = place.lstat()
                path = _tree_path(place, self._folder)
                kind = _KINDS.get(stat.S_IFMT(status.st_mode))
                if status.st_dev != device:
                    hidden.append(path)
                elif kind is not None:
                    found.append((_line(place, path, kind, status, inodes), int(status.st_mtime)))
                    todo += [place] if kind == "dir" else []
        return found, frozenset(hidden)


def _tree_path(place: Path, folder: Path) -> TreePath:
    try:
        return TreePath.parse(os.fsencode(place.relative_to(folder)))
    except ValueError as error:
        raise Malformed(str(folder), str(error)) from error


def _line(place: Path, path: TreePath, kind: Kind, status: os.stat_result, inodes: dict[int, TreePath]) -> ManifestLine:
    target = b""
    if kind == "symlink":
        target = os.fsencode(place.readlink())
    elif kind == "file" and status.st_nlink > 1 and inodes.setdefault(status.st_ino, path) != path:
        kind, target = "hardlink", bytes(inodes[status.st_ino])
    special = kind in ("char", "block")
    return ManifestLine(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == "file" else 0,
        digest=None,
        rdev=(os.major(status.st_rdev), os.minor(status.st_rdev)) if special else None,
        xattrs=() if kind == "hardlink" else _xattrs(place),
        target=target,
    )


def _xattrs(place: Path) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes, sorted; nothing where the file system has none."""
    try:
        names = os.listxattr(place, follow_symlinks=False)
        return tuple(sorted((os.fsencode(name), os.getxattr(place, name, follow_symlinks=False)) for name in names))
    except OSError:
        return ()


def _universe(folder: Path) -> Universe | None:
    file = folder / os.fsdecode(bytes(UNIVERSE_PATH))
    if not file.is_file() or file.is_symlink():
        return None
    return Universe.parse(read_bounded(file, MAX_UNIVERSE_BYTES), str(file))


def _unreadable(place: Path, error: OSError) -> WorldFailed:
    return WorldFailed(
        str(place),
        f"cannot be read: {(error.strerror or str(error)).lower()}",
        hint="compare as the user who may read it, most often root" if isinstance(error, PermissionError) else None,
    )
