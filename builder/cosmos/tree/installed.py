"""What a universe records of a star and of its entries: of an image that is built, and of a system that installs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from cosmos.digest import Digest
from cosmos.model.facts import Facts
from cosmos.model.installed_entry import LINKS, InstalledEntry, is_configuration, target_field
from cosmos.model.line_fields import NOTHING
from cosmos.model.lock import LockedStar
from cosmos.model.names import parted
from cosmos.model.read_later import ReadLater
from cosmos.model.star import Star
from cosmos.model.universe import About, Installed, Published
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

_CREDENTIALS: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


class RecordedLine(NamedTuple):
    """An entry of a universe as its line, with its path and kind."""

    path: TreePath
    kind: str
    line: str


def installed(
    star: LockedStar,
    said: Star,
    entries: Iterable[InstalledEntry | RecordedLine],
    published: Published | None = None,
) -> Installed:
    """Return the record of `star`, whose signed manifest is `said`, with `entries` in their order."""
    asked_by, needed_by = parted(star.wanted_by)
    recorded = tuple(entries)
    return Installed(
        version=star.version,
        files=tuple(entry.path for entry in recorded if entry.kind != "dir"),
        galaxy=str(star.galaxy),
        archive=star.archive,
        arch=star.arch,
        type=star.type,
        dependencies=star.dependencies,
        asked_by=asked_by,
        needed_by=needed_by,
        about=About(
            size_bytes=star.size_bytes,
            script=star.script,
            license=said.license,
            origins=said.origins,
            facts=Facts.of(said),
        ),
        published=published,
        entries=ReadLater([entry.line for entry in recorded], InstalledEntry.parse),
    )


def published(star: LockedStar, url: str) -> Published:
    """Return where `star` comes from. `url` is the galaxy's address; credentials in it are left out.

    A universe can be read by everybody on its system.
    """
    return Published(url=_CREDENTIALS.sub(r"\1", url), statement=star.statement, signers=star.signers)


def recorded_line(line: ManifestLine, *, mtime: int, is_shared: bool) -> RecordedLine:
    """Return the line of what `installed_entry` returns for an entry that a star brings.

    The two forms of a line have nearly the same fields, so most are taken over as they are written.
    """
    if line.xattrs:
        text = installed_entry(line, mtime=mtime, is_shared=is_shared).line
        return RecordedLine(line.path, line.kind, text)
    kind, mode, uid, gid, size, digest, rdev, xattrs, path, target = str(line).split(" ")
    flag = NOTHING
    if is_shared:
        flag = "s"
    if kind == "file" and is_configuration(line.path):
        flag = "c"
    to = target_field(target) if kind in LINKS else NOTHING
    text = f"{kind} {mode} {uid} {gid} {size} {max(mtime, 0)} {digest} {rdev} {xattrs} {flag} {path} {to}"
    return RecordedLine(line.path, kind, text)


def installed_entry(
    line: ManifestLine, *, mtime: int | None = None, by_star: bool = True, is_shared: bool = False
) -> InstalledEntry:
    """Return the record of one entry. `by_star`: a star brings it, and not the image itself."""
    return InstalledEntry(
        path=line.path,
        kind=line.kind,
        mode=line.mode,
        uid=line.uid,
        gid=line.gid,
        digest=Digest.of(line.target) if line.kind in LINKS else line.digest,
        rdev=line.rdev,
        xattrs=tuple(sorted(line.xattrs)),
        size_bytes=line.size,
        mtime=None if mtime is None else max(mtime, 0),
        target=line.target if line.kind in LINKS else None,
        is_configuration=by_star and line.kind == "file" and is_configuration(line.path),
        is_shared=is_shared,
    )
