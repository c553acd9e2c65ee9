"""Entries of a packed layer whose bytes nobody has read: the layer has them."""

from __future__ import annotations

from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine


class Unread(bytes):
    """A placeholder for the bytes of a file in a packed layer. The bytes are read from the layer when needed.

    It equals no bytes, and no empty ones either: a script that empties a file changes it.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unread)

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, Unread)

    __hash__ = bytes.__hash__


UNREAD = Unread()


def entry_without_bytes(line: ManifestLine) -> Entry:
    """Return the entry of `line`, with `UNREAD` in place of a file's bytes."""
    return Entry(
        path=line.path,
        kind=line.kind,
        mode=line.mode,
        uid=line.uid,
        gid=line.gid,
        content=UNREAD,
        target=line.target,
        rdev=line.rdev,
        xattrs=line.xattrs,
    )
