"""`InstalledEntry`: one path that a star or the image itself put on a system, and its line in `universe.toml`.

A line has twelve fields, separated by single spaces; `-` is no value (see line_fields):

    kind mode uid gid size mtime digest rdev xattrs flags path target

    kind    file dir symlink hardlink char block fifo
    mode    four octal digits
    size    bytes of a file as installed; 0 for other kinds; `-` if it was not recorded
    mtime   seconds since 1970 as installed; `-` if it was not recorded
    digest  sha256:… of a file's bytes as installed. Of a link whose target was not recorded: of the target's text
    rdev    major:minor of a device
    xattrs  name=hex, joined by commas, sorted by name
    flags   letters, in this order: `c` configuration, `s` a shared folder; `-` if neither holds
    path    the path without its leading slash
    target  `>` and a symlink's text or a hard link's path; `-` if it was not recorded, and for other kinds

**Configuration** is a regular file below /etc (`is_configuration`). The flag is written into each line, so that a later
cosmos can have another rule, and the files that are installed keep theirs. Its digest as installed is the base by which
an update tells whether the operator has changed the file.

A **shared folder** was there when its star came: another star, the image or the operator had made it. The line has the
mode and owner that the star wants. The folder goes when the last star that names it goes, if a star made it.

Facts that a universe of format 1 did not record are None here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, Self, TypeVar

from cosmos.digest import Digest
from cosmos.model.line_fields import (
    MAX_ID,
    MAX_SIZE,
    NOTHING,
    device_field,
    field,
    read_device,
    read_number,
    read_xattrs,
    unfield,
    xattrs_field,
)
from cosmos.model.read_later import ReadLater, texts_of
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath, unescaped

T = TypeVar("T")
KINDS: Final = ("file", "dir", "symlink", "hardlink", "char", "block", "fifo")
LINKS: Final = ("symlink", "hardlink")
DEVICES: Final = ("char", "block")
_FIELDS: Final = ("kind", "mode", "uid", "gid", "size", "mtime", "digest", "rdev", "xattrs", "flags", "path", "target")
_SIZE_AT: Final = _FIELDS.index("size")
_MTIME_AT: Final = _FIELDS.index("mtime")
_FLAGS_AT: Final = _FIELDS.index("flags")
_PATH_AT: Final = _FIELDS.index("path")
_SIZE_DIGITS: Final = 19  # of the largest size
_CONFIGURATION: Final = b"etc/"
_TARGET: Final = ">"
_FLAGS: Final = ("-", "c", "s")
_MODE = re.compile(r"[0-7]{4}")
_ID_FORM: Final = r"(?:0|[1-9][0-9]{0,8})"  # below MAX_ID
_COUNT_FORM: Final = r"(?:0|[1-9][0-9]{0,17})"  # below MAX_SIZE
_PLAIN: Final = re.compile(
    rf"(?:(?P<dir>dir)|file) (?P<mode>[0-7]{{4}}) (?P<uid>{_ID_FORM}) (?P<gid>{_ID_FORM}) "
    rf"(?P<size>(?(dir)0|{_COUNT_FORM})) (?P<mtime>{_COUNT_FORM}) "
    r"(?(dir)-|(?P<digest>sha256:[0-9a-f]{64})) - - (?P<flag>-|(?(dir)s|c)) (?P<path>[!-\[\]-~]+) -"
)
_RDEV = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledEntry:
    """One path with the kind, content and attributes that it must still have.

    `digest` is that of a file's bytes or of a link's target. `size_bytes`, `mtime` and `target` are None if they were
    not recorded.
    """

    path: TreePath
    kind: str
    mode: int
    uid: int
    gid: int
    digest: Digest | None
    rdev: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    size_bytes: int | None = None
    mtime: int | None = None
    target: bytes | None = None
    is_configuration: bool = False
    is_shared: bool = False

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the entry of a line, or raise `ValueError` that names the field."""
        plain = _PLAIN.fullmatch(line)
        if plain is not None:
            return cls._plain(plain)
        parts = line.split(" ")
        if len(parts) != len(_FIELDS):
            raise ValueError(f"want the {len(_FIELDS)} fields {' '.join(_FIELDS)}, got {len(parts)}")
        kind, mode, uid, gid, size, mtime, digest, rdev, xattrs, flags, path, target = parts
        flag, to = _at("flags", _flags, flags), _at("target", _target, target)
        text_digest = _at("digest", _digest, digest)
        entry = cls(
            path=_at("path", _path, path),
            kind=_at("kind", _kind, kind),
            mode=_at("mode", read_octal, mode),
            uid=_at("uid", _id, uid),
            gid=_at("gid", _id, gid),
            digest=text_digest if to is None else Digest.of(to),
            rdev=_at("rdev", read_device, rdev),
            xattrs=_at("xattrs", read_xattrs, xattrs),
            size_bytes=_at("size", _count, size),
            mtime=_at("mtime", _count, mtime),
            target=to,
            is_configuration=flag == "c",
            is_shared=flag == "s",
        )
        entry.demand_consistent()
        if entry.line != line:
            raise ValueError("is not written as cosmos writes it")
        return entry

    @classmethod
    def _plain(cls, fields: re.Match[str]) -> Self:
        """Return the entry of a file's or folder's line that has nothing to be unescaped: nearly all have this form."""
        is_file = fields["dir"] is None
        return cls(
            path=_at("path", TreePath.parse, fields["path"]),
            kind="file" if is_file else "dir",
            mode=int(fields["mode"], 8),
            uid=int(fields["uid"]),
            gid=int(fields["gid"]),
            digest=Digest(fields["digest"]) if is_file else None,
            size_bytes=int(fields["size"]),
            mtime=int(fields["mtime"]),
            is_configuration=fields["flag"] == "c",
            is_shared=fields["flag"] == "s",
        )

    @property
    def line(self) -> str:
        """The entry's line."""
        size = NOTHING if self.size_bytes is None else self.size_bytes
        mtime = NOTHING if self.mtime is None else self.mtime
        digest = self.digest if self.digest is not None and self.target is None else NOTHING
        flags = "c" if self.is_configuration else "s" if self.is_shared else NOTHING
        target = NOTHING if self.target is None else f"{_TARGET}{field(self.target)}"
        return (
            f"{self.kind} {self.mode:04o} {self.uid} {self.gid} {size} {mtime} {digest} {device_field(self.rdev)} "
            f"{xattrs_field(self.xattrs)} {flags} {field(self.path)} {target}"
        )

    def demand_consistent(self) -> None:
        """Raise `ValueError` for a fact that entries of this kind do not have."""
        kind = self.kind
        if self.size_bytes and kind != "file":
            raise ValueError(f"size: want 0 for a {kind}")
        if self.digest is not None and kind != "file" and kind not in LINKS:
            raise ValueError(f"digest: want - for a {kind}")
        if self.rdev is not None and kind not in DEVICES:
            raise ValueError(f"rdev: want - for a {kind}")
        if self.is_configuration and kind != "file":
            raise ValueError(f"flags: want no c for a {kind}")
        if self.is_shared and kind != "dir":
            raise ValueError(f"flags: want no s for a {kind}")
        if self.target is not None and kind not in LINKS:
            raise ValueError(f"target: want - for a {kind}")
        if any(one >= other for (one, _), (other, _) in pairwise(self.xattrs)):
            raise ValueError("xattrs: want them sorted, each name once")

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[[installed.NAME.entry]]` table of format 1."""
        path, kind = table.read("path", slashed), table.choice("kind", KINDS)
        digest = table.read("digest", lambda text: Digest.parse(text) if text else None)
        rdev = table.take_read("rdev", _device_number)
        entry = cls(
            path=path,
            kind=kind,
            mode=table.read("mode", read_octal),
            uid=table.count("uid", most=MAX_ID),
            gid=table.count("gid", most=MAX_ID),
            digest=digest if kind == "file" or kind in LINKS else None,
            rdev=rdev if kind in DEVICES else None,
            xattrs=tuple(sorted(table.parsed_map("xattrs", unescaped, bytes.fromhex).items())),
            size_bytes=None if kind == "file" else 0,
            is_configuration=kind == "file" and is_configuration(path),
        )
        table.end()
        return entry


def recorded_bytes(entries: Sequence[InstalledEntry]) -> int | None:
    """Return the bytes of all files among `entries`; None if the size of one was not recorded.

    Lines are not read for that, as far as each has a size in its place.
    """
    sizes = _numbers_at(_SIZE_AT, entries.texts) if isinstance(entries, ReadLater) else None
    if sizes is not None:
        return sum(sizes)
    total = 0
    for entry in entries:
        if entry.size_bytes is None:
            return None
        total += entry.size_bytes
    return total


def newest_recorded(entries: Sequence[InstalledEntry]) -> int | None:
    """Return the newest time among `entries` that are no folders; None if the time of one was not recorded.

    No line is read, as far as each has a time in its place.
    """
    lines = texts_of(entries, lambda entry: entry.line)
    times = _numbers_at(_MTIME_AT, [line for line in lines if not line.startswith("dir ")])
    return None if times is None else max(times, default=0)


def _numbers_at(place: int, lines: Sequence[str]) -> list[int] | None:
    """Return the number at this place of each line; None if one of them has none there. No line is read."""
    try:
        texts = [line.split(" ", place + 1)[place] for line in lines]
    except IndexError:
        return None
    if "" in texts or len(max(texts, key=len, default="")) > _SIZE_DIGITS or not "".join(["0", *texts]).isdecimal():
        return None
    return [*map(int, texts)]


def folder_lines(entries: Sequence[InstalledEntry]) -> Iterator[tuple[str, str]]:
    """Yield each folder among `entries` that its star made: its path as a field, and its line. No line is read."""
    for line in texts_of(entries, lambda entry: entry.line):
        if line.startswith("dir "):
            parts = line.split(" ")
            if parts[_FLAGS_AT : _FLAGS_AT + 1] != ["s"] and len(parts) > _PATH_AT:
                yield parts[_PATH_AT], line


def entry_at(entries: Sequence[InstalledEntry], path: TreePath) -> InstalledEntry | None:
    """Return the entry of `path` among `entries`, or None. No other line is read."""
    wanted = field(path)
    for place, line in enumerate(texts_of(entries, lambda entry: entry.line)):
        if line.split(" ", _PATH_AT + 1)[_PATH_AT : _PATH_AT + 1] == [wanted]:
            return entries[place]
    return None


def has_entry_below(entries: Sequence[InstalledEntry], folder: TreePath) -> bool:
    """Return whether one of `entries` lies in `folder`, or in a folder below it. No line is read."""
    above = f"{field(folder)}/" if folder else ""
    lines = texts_of(entries, lambda entry: entry.line)
    return any("".join(line.split(" ", _PATH_AT + 1)[_PATH_AT : _PATH_AT + 1]).startswith(above) for line in lines)


def named_folders(entries: Sequence[InstalledEntry]) -> Iterator[str]:
    """Yield the path of each folder among `entries`, as a field: also of shared ones. No line is read."""
    for line in texts_of(entries, lambda entry: entry.line):
        parts = line.split(" ") if line.startswith("dir ") else ()
        if len(parts) > _PATH_AT:
            yield parts[_PATH_AT]


def with_folder(entries: Sequence[InstalledEntry], folder: InstalledEntry) -> Sequence[InstalledEntry]:
    """Return `entries` with `folder` in place of their folder at its path, or before what they have in it."""
    lines, path = texts_of(entries, lambda entry: entry.line), field(folder.path)
    paths = [line.split(" ", _PATH_AT + 1)[_PATH_AT : _PATH_AT + 1] for line in lines]
    if [path] in paths:
        lines[paths.index([path])] = folder.line
    else:
        inside = (place for place, found in enumerate(paths) if found and found[0].startswith(f"{path}/"))
        lines.insert(next(inside, len(lines)), folder.line)
    return ReadLater(lines, InstalledEntry.parse)


def configuration(entries: Sequence[InstalledEntry]) -> Iterator[InstalledEntry]:
    """Yield each entry that is configuration. Only these lines are read."""
    for line in texts_of(entries, lambda entry: entry.line):
        if " c " in line and line.split(" ", _FLAGS_AT + 1)[_FLAGS_AT : _FLAGS_AT + 1] == ["c"]:
            yield InstalledEntry.parse(line)


def with_slash(path: TreePath) -> str:
    """Return the text of `path` with a leading slash, of which `slashed` is the inverse."""
    return f"/{path.text}"


def target_field(target: str) -> str:
    """Return the field of a link whose target, as a field, is `target`."""
    return f"{_TARGET}{target}"


def is_configuration(path: TreePath) -> bool:
    """Return whether a regular file at `path` that a star brings is configuration."""
    return path.startswith(_CONFIGURATION)


def slashed(text: str) -> TreePath:
    """Return the path that `text`, with its leading slash, stands for, or raise `ValueError`."""
    if not text.startswith("/"):
        raise ValueError(f"want a path that starts with a slash, got {text[:80]!r}")
    return TreePath.from_text(text[1:])


def read_octal(text: str) -> int:
    """Return four octal digits as a mode, or raise `ValueError`."""
    if not _MODE.fullmatch(text):
        raise ValueError(f"want four octal digits, got {text[:80]!r}")
    return int(text, 8)


def _device_number(text: str) -> tuple[int, int]:
    match = _RDEV.fullmatch(text)
    if match is None:
        raise ValueError(f"want MAJOR:MINOR, got {text[:80]!r}")
    return int(match[1]), int(match[2])


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"want one of {', '.join(KINDS)}, got {text[:20]!r}")
    return text


def _id(text: str) -> int:
    return read_number(text, MAX_ID)


def _count(text: str) -> int | None:
    return None if text == NOTHING else read_number(text, MAX_SIZE)


def _digest(text: str) -> Digest | None:
    return None if text == NOTHING else Digest.parse(text)


def _flags(text: str) -> str:
    if text not in _FLAGS:
        raise ValueError(f"want one of {', '.join(_FLAGS)}, got {text[:20]!r}")
    return text


def _path(text: str) -> TreePath:
    return TreePath.parse(unfield(text))


def _target(text: str) -> bytes | None:
    if text == NOTHING:
        return None
    if not text.startswith(_TARGET):
        raise ValueError(f"want - or {_TARGET} and the target, got {text[:80]!r}")
    return unfield(text.removeprefix(_TARGET))


def _at(name: str, read: Callable[[str], T], text: str) -> T:
    """Return the field `text`, read by `read`; raises `ValueError` that names the field."""
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
