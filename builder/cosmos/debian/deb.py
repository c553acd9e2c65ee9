"""Reading a Debian package, `NAME_VERSION_ARCH.deb` (deb(5), ar(5)); nothing in it is run.

    !<arch>\\n                  then members, each a header of 60 bytes and its content, padded to an even length:
    debian-binary              "2.0\\n" (a later minor version will do, and more lines after it)
    control.tar[.gz|.xz|.zst]  the control file, checksums, maintainer scripts
    data.tar[.gz|.xz|.zst|.bz2|.lzma]
                               what the package ships, owners and modes as they will be installed
    _…                         (skipped: a name that begins with an underscore, and any member after data.tar)

    offset  0  16 name     28  6 uid, gid (6 each)   48  10 size
           16  12 mtime    40  8 mode                58   2 "`\\n"

The reader is strict: the members in that order, each once, numbers in decimal, no long-name tables, nothing after the
end. A package does not state its unpacked size, so both tar archives draw from one budget, which follows from the
package's size (cosmos.limits). They go through cosmos.pack.untar, by the rules of dpkg. docs/formats/deb.md lists what
dpkg-deb accepts and this reader refuses, with the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cosmos.debian.deb822 import paragraph
from cosmos.errors import Refused
from cosmos.limits import Budget
from cosmos.pack.packed_tar import read_packed_tar
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

MAINTAINER_SCRIPTS: Final = ("preinst", "postinst", "prerm", "postrm", "config")

_MAGIC: Final = b"!<arch>\n"
_HEADER_BYTES: Final = 60
_MAX_MEMBERS: Final = 16
_VERSION: Final = re.compile(rb"2\.[0-9]{1,4}\n")
_SUFFIXES: Final = {"control.tar": ("", ".gz", ".xz", ".zst"), "data.tar": ("", ".gz", ".xz", ".zst", ".bz2", ".lzma")}
_DECIMAL: Final = re.compile(rb"[0-9]+ *")


@dataclass(frozen=True, kw_only=True, slots=True)
class DebPackage:
    """A package, read. `control` has its fields by lower-case name; contents of `entries` are slices of one buffer.

    `budget` is what readers of its files may still unpack.
    """

    control: Mapping[str, str]
    scripts: tuple[str, ...]
    entries: tuple[Entry, ...]
    budget: Budget

    @property
    def name(self) -> str:
        """The package's name."""
        return self.control["package"]


def read_deb(data: bytes | memoryview, source: str) -> DebPackage:
    """Return the package in `data`; `source` is its file name, for errors. Raises `Refused` or `Malformed`."""
    budget = Budget.of(len(data))
    members = [(name, body) for name, body in ar_members(data, source) if not name.startswith("_")]
    names = [name for name, _ in members]
    if len(members) < 3 or names[0] != "debian-binary" or any(map(_is_tar, names[3:])):
        raise Refused(
            source, f"want debian-binary, control.tar and data.tar, got {', '.join(names)[:200] or 'nothing'}"
        )
    if not _VERSION.match(bytes(members[0][1][:16])):
        raise Refused(source, "debian-binary: want format 2.0")
    control = _unpacked(*members[1], "control.tar", source, budget)
    by_path = {entry.path: entry for entry in control}
    about = by_path.get(TreePath(b"control"))
    if about is None or about.kind != "file":
        raise Refused(source, "has no control file")
    fields = paragraph(bytes(about.content).decode("utf-8", "replace"), f"{source}: control")
    for wanted in ("package", "version", "architecture"):
        if not fields.get(wanted):
            raise Refused(source, f"its control file has no {wanted.capitalize()}")
    return DebPackage(
        control=fields,
        scripts=tuple(name for name in MAINTAINER_SCRIPTS if TreePath(name.encode()) in by_path),
        entries=tuple(_unpacked(*members[2], "data.tar", source, budget)),
        budget=budget,
    )


def ar_members(data: bytes | memoryview, source: str) -> Iterator[tuple[str, memoryview]]:
    """Yield each member's name and content; raises `Refused` for anything that ar(5) would not write."""
    view = memoryview(data)
    if bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise Refused(source, "is not a Debian package: it does not begin with !<arch>")
    place, seen = len(_MAGIC), set[str]()
    while place < len(view):
        header = bytes(view[place : place + _HEADER_BYTES])
        if len(header) != _HEADER_BYTES or header[58:] != b"`\n" or not _DECIMAL.fullmatch(header[48:58]):
            raise Refused(source, f"is damaged at byte {place}: want a member's header")
        name, size = header[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/"), int(header[48:58])
        place += _HEADER_BYTES
        padding = bytes(view[place + size : place + size + size % 2])
        if place + size + size % 2 > len(view):
            raise Refused(source, f"{name}: is cut off: it has {len(view) - place} bytes of {size}")
        if (
            not name
            or not name.isprintable()
            or name in seen
            or len(seen) >= _MAX_MEMBERS
            or padding not in (b"", b"\n")
        ):
            raise Refused(source, f"{name!r}: is there twice, has no name, or is one of too many")
        seen.add(name)
        yield name, view[place : place + size]
        place += size + size % 2


def _is_tar(name: str) -> bool:
    """Return whether another reader could take a member for one of the two archives by its name."""
    return name.startswith(tuple(_SUFFIXES))


def _unpacked(name: str, body: memoryview, wanted: str, source: str, budget: Budget) -> list[Entry]:
    """Return the entries of the tar archive in the member `name`, which must be `wanted` and a suffix that is known."""
    suffix = name.removeprefix(wanted)
    if not name.startswith(wanted) or suffix not in _SUFFIXES[wanted]:
        known = ", ".join(_SUFFIXES[wanted][1:])
        raise Refused(source, f"want {wanted} or {wanted}{known}, got {name[:80]!r}")
    return read_packed_tar(body, suffix, f"{source}: {name}", budget, rules="dpkg")
