"""The canonical manifest of a tree, and its digest, the content root. Neither depends on the packer.

One line an entry, sorted by the path's bytes, fields separated by single spaces, each line ended by a newline:

    kind mode uid gid size digest rdev xattrs path target

    kind    file dir symlink hardlink char block fifo
    mode    four octal digits
    size    bytes of a file's content; 0 for other kinds
    digest  sha256:… of a file's content; `-` otherwise
    rdev    major:minor of a device; `-` otherwise
    xattrs  name=hex, joined by commas, sorted by name; `-` if it has no attributes
    path    the path's text form (see treepath) with a space written `\\x20`
    target  a symlink's text or a hard link's path, in the same form; `-` otherwise

Times are not part of it: packing clamps them, and they prove nothing. The content root is the manifest's SHA-256.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import field as data_field
from operator import attrgetter
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_MANIFEST_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_COMPONENTS, demand_within
from cosmos.model.line_fields import (
    MAX_ID,
    MAX_MODE,
    MAX_SIZE,
    device_field,
    field,
    read_device,
    read_number,
    read_xattrs,
    unfield,
    xattrs_field,
)
from cosmos.records import dataclass, quick
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath

_FIELDS = ("kind", "mode", "uid", "gid", "size", "digest", "rdev", "xattrs", "path", "target")
# A line of the usual form, written in the one way that a manifest has: of a file, a folder or a symlink without
# attributes, whose names are printed ASCII without a backslash. Any other line is compared with what would be written.
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_TARGET = r"([!-\[\]-~]+)"
_PART = rf"(?!\.\.?[/ ])[!-.0-\[\]-~]{{1,{MAX_NAME_BYTES}}}"
_PATH = rf"({_PART}(?:/{_PART}){{0,{MAX_PATH_COMPONENTS - 1}}})"
_USUAL: Final = re.compile(
    rf"(?:(file) ([0-7]{{4}}) {_NUMBER} {_NUMBER} (0|[1-9][0-9]{{0,17}}) (sha256:[0-9a-f]{{64}}) - - {_PATH} -"
    rf"|(dir) ([0-7]{{4}}) {_NUMBER} {_NUMBER} 0 - - - {_PATH} -"
    rf"|(symlink) ([0-7]{{4}}) {_NUMBER} {_NUMBER} 0 - - - {_PATH} {_TARGET})"
)
_path: Final = attrgetter("path")
_put: Final = object.__setattr__
_KINDS: dict[str, Kind] = {
    "file": "file",
    "dir": "dir",
    "symlink": "symlink",
    "hardlink": "hardlink",
    "char": "char",
    "block": "block",
    "fifo": "fifo",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestLine:
    """One line of a manifest: an `Entry` with the digest of its bytes. Its text is made once."""

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
    _text: str = data_field(init=False, default="", repr=False, compare=False)

    @classmethod
    def of(cls, entry: Entry) -> ManifestLine:
        """Return the line of `entry`; hashes its content. Nothing of an entry changes, so its line is made once."""
        if entry.line is not None:
            return entry.line
        is_file = entry.kind == "file"
        line = cls(
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
        if entry.has_fixed_content:
            _put(entry, "line", line)
        return line

    @classmethod
    def parse(cls, text: str) -> ManifestLine:
        """Return the line written as `text`, without its newline, or raise `ValueError`."""
        usual = _USUAL.fullmatch(text)
        if usual is not None:
            return cls._usual(usual)
        parts = text.split(" ")
        if len(parts) != len(_FIELDS):
            raise ValueError(f"want the {len(_FIELDS)} fields {' '.join(_FIELDS)}, got {len(parts)}")
        kind, mode, uid, gid, size, digest, rdev, xattrs, path, target = parts
        line = cls(
            path=TreePath.parse(unfield(path)),
            kind=_kind(kind),
            mode=read_number(mode, MAX_MODE, 8),
            uid=read_number(uid, MAX_ID),
            gid=read_number(gid, MAX_ID),
            size=read_number(size, MAX_SIZE),
            digest=None if digest == "-" else Digest.parse(digest),
            rdev=read_device(rdev),
            xattrs=read_xattrs(xattrs),
            target=b"" if target == "-" and kind not in ("symlink", "hardlink") else unfield(target),
        )
        is_file, is_device = line.kind == "file", line.kind in ("char", "block")
        if is_file != (line.digest is not None) or is_device != (line.rdev is not None) or (line.size and not is_file):
            raise ValueError(f"has a size, digest or device number that a {line.kind} does not have")
        if str(line) != text:
            raise ValueError("is not written as a manifest writes it")
        return line

    @classmethod
    def _usual(cls, match: re.Match[str]) -> ManifestLine:
        """Return a line of the usual form, or raise `ValueError`. What its text cannot state is not asked for."""
        kind: Kind
        if match[1]:
            kind, (mode, uid, gid, number, text, path) = "file", match.group(2, 3, 4, 5, 6, 7)
            size, digest, target = int(number), Digest(text), b""
        else:
            is_folder = match[8]
            kind = "dir" if is_folder else "symlink"
            mode, uid, gid, path = match.group(9, 10, 11, 12) if is_folder else match.group(14, 15, 16, 17)
            size, digest, target = 0, None, b"" if is_folder else match[18].encode()
        checked = TreePath(path.encode()) if len(path) <= MAX_PATH_BYTES else TreePath.parse(path)
        return _line(checked, kind, int(mode, 8), int(uid), int(gid), size, digest, None, (), target, match.string)

    def __str__(self) -> str:
        if not self._text:
            _put(self, "_text", self._written())
        return self._text

    def _written(self) -> str:
        target = field(self.target) if self.kind in ("symlink", "hardlink") else "-"
        return (
            f"{self.kind} {self.mode:04o} {self.uid} {self.gid} {self.size} {self.digest or '-'} "
            f"{device_field(self.rdev)} {xattrs_field(self.xattrs)} {field(self.path)} {target}"
        )


_line: Final = quick(ManifestLine)


def manifest(lines: Iterable[ManifestLine]) -> bytes:
    """Return the manifest of `lines`, in any order, as bytes."""
    return "".join([f"{line._text or line}\n" for line in sorted(lines, key=_path)]).encode()


def bounded_manifest(lines: Iterable[ManifestLine], source: str) -> bytes:
    """Return the manifest of `lines` as a document; raises `Refused` if it is larger than its readers accept."""
    data = manifest(lines)
    demand_within(len(data), MAX_MANIFEST_BYTES, source, hint="make two images of it")
    return data


def parse_manifest(data: bytes, source: str) -> tuple[ManifestLine, ...]:
    """Return the lines of a manifest; raises `Malformed` naming the line, also for a doubled or unsorted path."""
    return tuple(manifest_lines(io.BytesIO(data), source))


def manifest_lines(rows: Iterable[bytes], source: str) -> Iterator[ManifestLine]:
    """Yield the lines of a manifest from its text lines, for example an open file; raises as `parse_manifest`."""
    before: TreePath | None = None
    for number, row in enumerate(rows, start=1):
        if not row.endswith(b"\n"):
            raise Malformed(source, "does not end with a newline")
        try:
            line = ManifestLine.parse(row[:-1].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Malformed(f"{source}:{number}", f"is not UTF-8 at byte {error.start}") from error
        except ValueError as error:
            raise Malformed(f"{source}:{number}", str(error)) from error
        if before is not None and line.path <= before:
            raise Malformed(f"{source}:{number}", f"/{line.path.text} does not come after the path before it")
        before = line.path
        yield line


def content_root(lines: Iterable[ManifestLine]) -> Digest:
    """Return the digest of the manifest: the tree's identity."""
    return Digest.of(manifest(lines))


def _kind(text: str) -> Kind:
    kind = _KINDS.get(text)
    if kind is None:
        raise ValueError(f"want one of {', '.join(_KINDS)}, got {text[:20]!r}")
    return kind
