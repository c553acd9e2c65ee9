"""`universe.toml`: the stars installed on one system (upstream's format, and our own fields).

The file is `/var/lib/cosmos/universe.toml` of the system.

    [system]
    arch = "x86_64"
    version = "1.0.0"                  # of the image, or as given to `cosmos init`
    image = "rescue"                   # ours; "" if no image made the system
    content-root = "sha256:…"          # ours; of the base system as built without this file; "" if unknown

    [installed.zlib]
    version = "1.3.1"
    version-scheme = "debian"          # ours; left out if it is "semver"
    files = ["/usr/lib/libz.so.1"]     # upstream's list; the text form of each path (see treepath)
    galaxy = "core"                    # ours, from here on
    archive = "sha256:…"
    arch = "x86_64"
    type = "normal"
    dependencies = ["glibc-runtime"]
    wanted-by = ["image"]              # image, user, constellation:NAME, or stars (names.reason_of)

    [[installed.zlib.entry]]           # ours: one for each file, in the order of `files`
    path = "/usr/lib/libz.so.1"
    kind = "symlink"                   # file dir symlink hardlink char block fifo
    mode = "0777"
    uid = 0
    gid = 0
    digest = "sha256:…"                # of a file's bytes, or of a link's target text; "" for other kinds
    rdev = "1:3"                       # of a device, major:minor; absent for other kinds
    xattrs = { "security.capability" = "0100…" }   # hex; absent if the path has no attributes

Upstream's universes have neither `entry` nor galaxy. Such a star is listed as installed, and `verify` says that it
cannot judge it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cosmos.digest import Digest
from cosmos.limits import MAX_UNIVERSE_BYTES, MAX_UNIVERSE_RATIO
from cosmos.model.names import ANY_ARCH, Arch, StarName
from cosmos.model.version import Version, read_version, version_rows
from cosmos.tables import Table
from cosmos.treepath import TreePath, escaped, unescaped

UNIVERSE_PATH = TreePath(b"var/lib/cosmos/universe.toml")
KINDS = ("file", "dir", "symlink", "hardlink", "char", "block", "fifo")
_MODE = re.compile(r"[0-7]{4}")
_RDEV = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledEntry:
    """One path that a star installed, with the kind, content and attributes that it must still have."""

    path: TreePath
    kind: str
    mode: int
    uid: int
    gid: int
    digest: Digest | None
    rdev: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[[installed.NAME.entry]]` table."""
        entry = cls(
            path=table.read("path", slashed),
            kind=table.choice("kind", KINDS),
            mode=table.read("mode", _octal),
            uid=table.count("uid", most=(1 << 32) - 1),
            gid=table.count("gid", most=(1 << 32) - 1),
            digest=table.read("digest", lambda text: Digest.parse(text) if text else None),
            rdev=table.take_read("rdev", _device_number),
            xattrs=tuple(sorted(table.parsed_map("xattrs", unescaped, bytes.fromhex).items())),
        )
        table.end()
        return entry

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        rows: dict[str, object] = {
            "path": f"/{self.path.text}",
            "kind": self.kind,
            "mode": f"{self.mode:04o}",
            "uid": self.uid,
            "gid": self.gid,
            "digest": str(self.digest or ""),
        }
        if self.rdev is not None:
            rows["rdev"] = f"{self.rdev[0]}:{self.rdev[1]}"
        if self.xattrs:
            rows["xattrs"] = {escaped(name): value.hex() for name, value in self.xattrs}
        return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """One installed star. `galaxy` and `archive` are None if upstream's program recorded it."""

    version: Version
    files: tuple[TreePath, ...]
    galaxy: str | None = None
    archive: Digest | None = None
    arch: Arch = ANY_ARCH
    type: str = "normal"
    dependencies: tuple[StarName, ...] = ()
    wanted_by: tuple[str, ...] = ()
    entries: tuple[InstalledEntry, ...] = ()

    @property
    def own_paths(self) -> tuple[TreePath, ...]:
        """Every path but the folders, which stars share: what people count as its files. Upstream lists no folder."""
        folders = {entry.path for entry in self.entries if entry.kind == "dir"}
        return tuple(path for path in self.files if path not in folders)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[installed.NAME]` table."""
        installed = cls(
            version=read_version(table),
            files=table.parsed_strings("files", slashed),
            galaxy=table.take("galaxy", str),
            archive=table.take_read("archive", Digest.parse),
            arch=table.take_read("arch", Arch.parse, ANY_ARCH),
            type=table.take("type", str, "normal"),
            dependencies=table.parsed_strings("dependencies", StarName.parse),
            wanted_by=table.strings("wanted-by"),
            entries=tuple(InstalledEntry.read(row) for row in table.tables("entry")),
        )
        table.end()
        return installed

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        rows: dict[str, object] = {**version_rows(self.version), "files": [f"/{path.text}" for path in self.files]}
        if self.galaxy is not None and self.archive is not None:
            rows |= {"galaxy": self.galaxy, "archive": str(self.archive)}
        return rows | {
            "arch": str(self.arch),
            "type": self.type,
            "dependencies": [str(name) for name in self.dependencies],
            "wanted-by": list(self.wanted_by),
            "entry": [entry.to_toml() for entry in self.entries],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Universe:
    """Everything that is installed on one system."""

    arch: Arch
    version: str
    image: str = ""
    content_root: Digest | None = None
    installed: Mapping[StarName, Installed] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the universe in `data`; raises `Malformed`."""
        table = Table.parse(data, source, max_bytes=MAX_UNIVERSE_BYTES, ratio=MAX_UNIVERSE_RATIO)
        system, rows = table.table("system"), table.take_table("installed")
        universe = cls(
            arch=system.read("arch", Arch.parse),
            version=system.need("version", str),
            image=system.take("image", str, ""),
            content_root=system.take_read("content-root", lambda text: Digest.parse(text) if text else None),
            installed={}
            if rows is None
            else {_star_name(rows, name): Installed.read(rows.table(name)) for name in rows.keys()},
        )
        system.end()
        table.end()
        return universe

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        return {
            "system": {
                "arch": str(self.arch),
                "version": self.version,
                "image": self.image,
                "content-root": str(self.content_root or ""),
            },
            "installed": {str(name): star.to_toml() for name, star in sorted(self.installed.items())},
        }


def slashed(text: str) -> TreePath:
    """Return the path that `text`, with its leading slash, stands for, or raise `ValueError`."""
    if not text.startswith("/"):
        raise ValueError(f"want a path that starts with a slash, got {text[:80]!r}")
    return TreePath.from_text(text[1:])


def _octal(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise ValueError(f"want four octal digits, got {text[:80]!r}")
    return int(text, 8)


def _device_number(text: str) -> tuple[int, int]:
    match = _RDEV.fullmatch(text)
    if match is None:
        raise ValueError(f"want MAJOR:MINOR, got {text[:80]!r}")
    return int(match[1]), int(match[2])


def _star_name(table: Table, name: str) -> StarName:
    try:
        return StarName.parse(name)
    except ValueError as error:
        table.fail(name, str(error))
