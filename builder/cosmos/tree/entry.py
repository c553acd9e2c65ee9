"""`Entry`: one path of a tree, as data. Owners, modes, devices and capabilities have no effect on the builder's disk.

A file's bytes are a slice of the verified archive (cosmos.content). An entry has no field for the builder's user,
clock or inode order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cosmos.content import Content, content_digest
from cosmos.digest import Digest
from cosmos.treepath import TreePath

Kind: TypeAlias = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]
Tree: TypeAlias = Mapping[TreePath, "Entry"]

CAPABILITY = b"security.capability"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One path. `mode` has the 12 permission bits, `mtime` is in seconds since 1970.

    `content` is a file's bytes; `target` a symlink's text or, for a hard link, the path (in the same tree) of the file
    that it shares. `rdev` is (major, minor) of a device. `xattrs` are sorted by name.
    """

    path: TreePath
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    content: Content = b""
    target: bytes = b""
    rdev: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def size(self) -> int:
        """The size of its own content in bytes."""
        return len(self.content)

    @property
    def digest(self) -> Digest | None:
        """The digest of a file's bytes; None for other kinds. Computed at each call, for large files once."""
        return content_digest(self.content) if self.kind == "file" else None


def tree_of(entries: Iterable[Entry]) -> dict[TreePath, Entry]:
    """Return entries by path, in byte order of path; a doubled path is a `ValueError`."""
    tree: dict[TreePath, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.path):
        if entry.path in tree:
            raise ValueError(f"{entry.path.text} is there twice")
        tree[entry.path] = entry
    return tree


def normalised(entries: Iterable[Entry], epoch: int) -> list[Entry]:
    """Return `entries` in byte order of path, none newer than `epoch`.

    >>> late = Entry(path=TreePath(b"b"), kind="file", mode=0o644, mtime=99)
    >>> [(e.path, e.mtime) for e in normalised([late, replace(late, path=TreePath(b"a"), mtime=3)], 50)]
    [(TreePath(b'a'), 3), (TreePath(b'b'), 50)]
    """
    clamped = (entry if entry.mtime <= epoch else replace(entry, mtime=epoch) for entry in entries)
    return sorted(clamped, key=lambda entry: entry.path)
