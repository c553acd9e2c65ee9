"""What the universe records of an entry that was placed."""

from __future__ import annotations

from cosmos.digest import Digest
from cosmos.model.universe import InstalledEntry
from cosmos.tree.entry import Entry


def recorded(entry: Entry) -> InstalledEntry:
    """Return the record of `entry`: for a link of either kind, the digest is of its target's text."""
    linked = Digest.of(entry.target) if entry.kind in ("symlink", "hardlink") else None
    return InstalledEntry(
        path=entry.path,
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        digest=entry.digest or linked,
        rdev=entry.rdev,
        xattrs=tuple(sorted(entry.xattrs)),
    )
