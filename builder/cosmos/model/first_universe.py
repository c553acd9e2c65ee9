"""Format 1 of `universe.toml`: upstream's program and Cosmos 0.1 wrote it. It is read here, and never written again.

It has no `universe-version`. `[system]` is the same as in format 2, and a star has

    [installed.zlib]
    version = "1.3.1"
    version-scheme = "debian"          # left out if it is "semver"
    files = ["/usr/lib/libz.so.1"]     # Cosmos 0.1 listed folders as well, if the star had made them
    galaxy = "core"                    # not upstream's, from here on
    archive = "sha256:…"
    arch = "x86_64"
    type = "normal"
    dependencies = ["glibc-runtime"]
    wanted-by = ["image"]              # image, user, constellation:NAME, or stars (names.reason_of)

    [[installed.zlib.entry]]           # one for each path, in the order of `files`
    path = "/usr/lib/libz.so.1"
    kind = "symlink"                   # file dir symlink hardlink char block fifo
    mode = "0777"
    uid = 0
    gid = 0
    digest = "sha256:…"                # of a file's bytes, or of a link's target text; "" for other kinds
    rdev = "1:3"                       # of a device, major:minor; absent for other kinds
    xattrs = { "security.capability" = "0100…" }   # hex; absent if the path has no attributes
"""

from __future__ import annotations

from typing import Self

from cosmos.digest import Digest
from cosmos.model.installed_entry import InstalledEntry, slashed
from cosmos.model.names import ANY_ARCH, Arch, StarName, parted
from cosmos.model.version import Version, read_version
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStar:
    """One star of a universe of format 1. `files` has no folders."""

    version: Version
    files: tuple[TreePath, ...]
    galaxy: str | None
    archive: Digest | None
    arch: Arch
    type: str
    dependencies: tuple[StarName, ...]
    asked_by: tuple[str, ...]
    needed_by: tuple[StarName, ...]
    entries: tuple[InstalledEntry, ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[installed.NAME]` table."""
        entries = tuple(InstalledEntry.read(row) for row in table.tables("entry"))
        folders = {entry.path for entry in entries if entry.kind == "dir"}
        listed = table.parsed_strings("files", slashed)
        asked_by, needed_by = parted(table.strings("wanted-by"))
        star = cls(
            version=read_version(table),
            files=tuple(path for path in listed if path not in folders),
            galaxy=table.take("galaxy", str),
            archive=table.take_read("archive", Digest.parse),
            arch=table.take_read("arch", Arch.parse, ANY_ARCH),
            type=table.take("type", str, "normal"),
            dependencies=table.parsed_strings("dependencies", StarName.parse),
            asked_by=asked_by,
            needed_by=needed_by,
            entries=entries,
        )
        table.end()
        return star
