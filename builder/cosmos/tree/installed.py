"""What a universe records of a star and of its entries: of an image that is built, and of a system that installs."""

from __future__ import annotations

from collections.abc import Iterable

from cosmos.digest import Digest
from cosmos.model.lock import LockedStar
from cosmos.model.universe import Installed, InstalledEntry
from cosmos.tree.manifest import ManifestLine


def installed(star: LockedStar, lines: Iterable[ManifestLine]) -> Installed:
    """Return the record of `star` with the entries `lines`, in their order."""
    entries = tuple(map(installed_entry, lines))
    return Installed(
        version=star.version,
        files=tuple(entry.path for entry in entries),
        galaxy=str(star.galaxy),
        archive=star.archive,
        arch=star.arch,
        type=star.type,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
        entries=entries,
    )


def installed_entry(line: ManifestLine) -> InstalledEntry:
    """Return the record of one entry. The digest of a symlink or a hard link is that of its target's text."""
    linked = Digest.of(line.target) if line.kind in ("symlink", "hardlink") else None
    return InstalledEntry(
        path=line.path,
        kind=line.kind,
        mode=line.mode,
        uid=line.uid,
        gid=line.gid,
        digest=line.digest or linked,
        rdev=line.rdev,
        xattrs=tuple(sorted(line.xattrs)),
    )
