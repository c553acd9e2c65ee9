"""The canonical manifest and its digest, the content root: what is in a tree, whatever packed it.

One line an entry, sorted by the path's bytes, fields parted by single spaces, each line ended by a newline:

    kind mode uid gid size digest rdev xattrs path target

    kind    file dir symlink hardlink char block fifo
    mode    four octal digits
    size    bytes of a file's content; 0 for everything else
    digest  sha256:… of a file's content; `-` otherwise
    rdev    major:minor of a device; `-` otherwise
    xattrs  name=hex, joined by commas, sorted by name; `-` where there are none
    path    the path's text form (see treepath) with a space written `\\x20`
    target  a symlink's text or a hard link's path, in the same form; `-` otherwise

Times are not part of it: they are clamped when packed and prove nothing. The content root is the SHA-256 of these bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cosmos.digest import Digest
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath, escaped


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestLine:
    """One entry as the manifest states it: an `Entry` whose bytes are known by digest."""

    path: TreePath
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    digest: Digest | None
    rdev: tuple[int, int] | None
    xattrs: tuple[tuple[bytes, bytes], ...]
    target: bytes

    @classmethod
    def of(cls, entry: Entry) -> ManifestLine:
        """Return the line of `entry`; hashes its content."""
        is_file = entry.kind == "file"
        return cls(
            path=entry.path,
            kind=entry.kind,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            size=entry.size if is_file else 0,
            digest=entry.digest,
            rdev=entry.rdev,
            xattrs=entry.xattrs,
            target=entry.target,
        )

    def __str__(self) -> str:
        rdev = f"{self.rdev[0]}:{self.rdev[1]}" if self.rdev is not None else "-"
        xattrs = ",".join(f"{escaped(name)}={value.hex()}" for name, value in self.xattrs) or "-"
        target = _field(self.target) if self.target else "-"
        return (
            f"{self.kind} {self.mode:04o} {self.uid} {self.gid} {self.size} {self.digest or '-'} "
            f"{rdev} {xattrs} {_field(self.path)} {target}"
        )


def manifest(lines: Iterable[ManifestLine]) -> bytes:
    """Return the manifest of `lines`, in any order, as bytes."""
    return "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line.path)).encode()


def content_root(lines: Iterable[ManifestLine]) -> Digest:
    """Return the digest of the manifest: the tree's identity."""
    return Digest.of(manifest(lines))


def _field(raw: bytes) -> str:
    return escaped(raw).replace(" ", "\\x20")
