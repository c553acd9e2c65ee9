"""`Entry`: one path of a tree, as data. Owners, modes, devices and capabilities have no effect on the builder's disk.

A file's bytes are a slice of the verified archive (cosmos.content). An entry has no field for the builder's user,
clock or inode order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from cosmos.content import Content, FileRange, content_digest
from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.treepath import TreePath

if TYPE_CHECKING:
    from cosmos.tree.manifest import ManifestLine

Kind: TypeAlias = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]
Tree: TypeAlias = Mapping[TreePath, "Entry"]

CAPABILITY = b"security.capability"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One path. `mode` has the 12 permission bits, `mtime` is in seconds since 1970.

    `content` is a file's bytes; `target` a symlink's text or, for a hard link, the path (in the same tree) of the file
    that it shares. `rdev` is (major, minor) of a device. `xattrs` are sorted by name. `hashed` remembers the digest of
    one content; it counts for that very object alone, so an entry made with another content is hashed again. `line` is
    its line in a manifest, once one was made; `replace` does not pass it on.
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
    hashed: tuple[Content, Digest] | None = field(default=None, repr=False, compare=False)
    line: ManifestLine | None = field(init=False, default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The size of its own content in bytes."""
        return len(self.content)

    @property
    def digest(self) -> Digest | None:
        """The digest of a file's bytes; None for other kinds. Bytes that nobody can change are hashed once."""
        if self.kind != "file":
            return None
        content, hashed = self.content, self.hashed
        if hashed is not None and hashed[0] is content:
            return hashed[1]
        digest = content_digest(content)
        if self.has_fixed_content:
            object.__setattr__(self, "hashed", (content, digest))
        return digest

    @property
    def has_fixed_content(self) -> bool:
        """Whether its content has one digest: bytes, a view of bytes, or a part of a file, which is hashed once.

        Memory that somebody may write to does not.
        """
        content = self.content
        return type(content) in (bytes, FileRange) or (type(content) is memoryview and type(content.obj) is bytes)

    def at(self, path: TreePath) -> Entry:
        """Return the same entry at another path: `replace(self, path=path)`, in a fifth of its time."""
        return Entry(
            path=path,
            kind=self.kind,
            mode=self.mode,
            uid=self.uid,
            gid=self.gid,
            mtime=self.mtime,
            content=self.content,
            target=self.target,
            rdev=self.rdev,
            xattrs=self.xattrs,
            hashed=self.hashed,
        )

    def without_content(self) -> Entry:
        """Return the same entry without the bytes of its file, for a caller that outlives them."""
        return Entry(
            path=self.path,
            kind=self.kind,
            mode=self.mode,
            uid=self.uid,
            gid=self.gid,
            mtime=self.mtime,
            target=self.target,
            rdev=self.rdev,
            xattrs=self.xattrs,
        )


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
