"""Write cpio in the form that a Linux kernel reads as its initramfs (newc; Documentation/driver-api/early-userspace/
buffer-format.rst).

An entry is a header of 110 ASCII characters (the magic `070701` and 13 numbers of 8 hex digits: inode, mode, uid, gid,
links, time, size, device major and minor, rdev major and minor, length of the name with its NUL, 0), the name with a
NUL, and the content (a symlink's is its target). Header with name, and content, are padded with zeros to 4 bytes. The
archive ends with an entry named `TRAILER!!!` and is padded to 512 bytes.

Inodes are numbered from 1 in the order of the entries. Hard links are entries with one inode and the number of links;
the content stands in the last of them, as cpio and the kernel expect.

The archive does not keep extended attributes (`xattr_losses` names the entries). The same entries give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cosmos.content import Content
from cosmos.errors import Malformed
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath, escaped

MAX_FILE_BYTES: Final = (1 << 32) - 1  # a number has 8 hex digits

_TYPE_BITS: dict[Kind, int] = {
    "file": 0o100000,
    "hardlink": 0o100000,
    "dir": 0o040000,
    "symlink": 0o120000,
    "char": 0o020000,
    "block": 0o060000,
    "fifo": 0o010000,
}
_MOST = (1 << 32) - 1
_FIELDS = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
)
_TRAILER = b"TRAILER!!!"
_BLOCK = 512


def cpio_pieces(entries: Iterable[Entry]) -> Iterator[Content]:
    """Yield the archive of `entries`, in their order: a folder must come before its entries.

    Raises `Malformed` for entries that newc cannot hold: files of 4 GiB, times before 1970 or after 2106, dead links.
    """
    ordered = list(entries)
    tree = {entry.path: entry for entry in ordered}
    links = Counter(_file_of(entry, tree).path for entry in ordered)
    left = Counter(links)
    inodes: dict[TreePath, int] = {}
    length = 0
    for entry in ordered:
        file = _file_of(entry, tree)
        inode = inodes.setdefault(file.path, len(inodes) + 1)
        left[file.path] -= 1
        content = _content(file) if not left[file.path] else b""
        for piece in _member(entry.path, file, inode, links[file.path], content):
            length += len(piece)
            yield piece
    trailer = _padded(_header(_TRAILER, nlink=1))
    yield trailer + bytes(-(length + len(trailer)) % _BLOCK)


def xattr_losses(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries whose extended attributes the archive would lose."""
    return [entry for entry in entries if entry.xattrs]


def _file_of(entry: Entry, tree: Mapping[TreePath, Entry]) -> Entry:
    """Return the file of a hard link, and any other entry itself."""
    if entry.kind != "hardlink":
        return entry
    file = tree.get(TreePath(entry.target))
    if file is None or file.kind != "file":
        raise Malformed(f"/{entry.path.text}", f"is a hard link to /{escaped(entry.target)}, which is not beside it")
    return file


def _content(entry: Entry) -> Content:
    match entry.kind:
        case "file":
            return entry.content
        case "symlink":
            return entry.target
        case _:
            return b""


def _member(path: TreePath, file: Entry, inode: int, links: int, content: Content) -> Iterator[Content]:
    if len(content) > MAX_FILE_BYTES:
        raise Malformed(f"/{path.text}", f"has {len(content)} bytes, one file of a cpio can have {MAX_FILE_BYTES}")
    if path == _TRAILER or not 0 <= file.mtime <= _MOST or max(file.uid, file.gid) > _MOST:
        raise Malformed(
            f"/{path.text}", f"cpio cannot keep its name, owner or time ({file.uid} {file.gid} {file.mtime})"
        )
    major, minor = file.rdev or (0, 0)
    yield _padded(
        _header(
            path,
            ino=inode,
            mode=_TYPE_BITS[file.kind] | file.mode,
            uid=file.uid,
            gid=file.gid,
            nlink=2 if file.kind == "dir" else links,
            mtime=file.mtime,
            filesize=len(content),
            rdevmajor=major,
            rdevminor=minor,
        )
    )
    if content:
        yield content
        if len(content) % 4:
            yield bytes(-len(content) % 4)


def _header(name: bytes, **numbers: int) -> bytes:
    fields = {**dict.fromkeys(_FIELDS, 0), **numbers, "namesize": len(name) + 1}
    return b"070701" + "".join(f"{fields[field]:08x}" for field in _FIELDS).encode() + name + b"\0"


def _padded(piece: bytes) -> bytes:
    return piece + bytes(-len(piece) % 4)
