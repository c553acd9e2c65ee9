"""Read a layer by what its index states of it: the fast way, for the members that a layer's writer writes.

The index has everything of a member but its time. So the reader takes the time from the header, writes the header that
belongs to the line, and compares: an equal header says what the line says, and nothing else. The bytes of each file are
hashed and compared with the line's digest. So each byte of the content is looked at once.

`StatedReader` gives None at the first thing that is not as stated, or not usual. Then the strict reader of tar archives
(pack.untar) reads the layer, and says what is wrong, if something is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Final, Protocol

from cosmos.content import Content, content_digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_LINK_TARGET_BYTES, MAX_PAX_BYTES, MAX_STAR_UNPACKED_BYTES
from cosmos.pack.pax import parse_pax
from cosmos.pack.tar import BLOCK, described_header
from cosmos.records import quick
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine

_MAX_ID: Final = (1 << 32) - 2  # as pack.untar has it
_TIME: Final = slice(136, 147)
_TYPE: Final = slice(156, 157)
_SIZE: Final = slice(124, 135)
_DIGITS: Final = frozenset(b"01234567")
_PADDINGS: Final = [bytes(size) for size in range(BLOCK)]
_NO_CONTENT: Final[Content] = b""
_KEPT: Final = 64  # of the last times: most entries of a layer have one of a few


_made_entry: Final = quick(Entry)


class Stated(Protocol):
    """A line of an index."""

    @property
    def line(self) -> ManifestLine: ...
    @property
    def data_offset(self) -> int: ...


class Source(Protocol):
    """The content of a layer, read once from its beginning to its end."""

    def take(self, size_bytes: int) -> bytes:
        """Return the next bytes: fewer than asked for only at the end."""

    def file(self, size_bytes: int) -> tuple[Content, str]:
        """Return the next bytes as a content, or no bytes from a source that keeps none, and their digest."""


class Whole:
    """A content that is there as a whole; the contents of files are slices of it."""

    def __init__(self, content: Content) -> None:
        self._content = content if not isinstance(content, bytes) else memoryview(content)
        self._bytes = content
        self._place = 0

    def take(self, size_bytes: int) -> bytes:
        """Return the next bytes."""
        place = self._place
        self._place += size_bytes
        return bytes(self._bytes[place : place + size_bytes])

    def file(self, size_bytes: int) -> tuple[Content, str]:
        """Return the next bytes and their digest."""
        place = self._place
        self._place += size_bytes
        data = self._content[place : place + size_bytes]
        return data, content_digest(data)


class Passing:
    """A content that comes in pieces and is not kept."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._view = memoryview(b"")  # of the piece
        self._place = 0  # in the piece

    def take(self, size_bytes: int) -> bytes:
        """Return the next bytes."""
        end = self._place + size_bytes
        if end <= len(self._piece):
            taken = self._piece[self._place : end]
            self._place = end
            return taken
        return b"".join(self._parts(size_bytes))

    def file(self, size_bytes: int) -> tuple[Content, str]:
        """Return no bytes, and the digest of the next ones."""
        end = self._place + size_bytes
        if end <= len(self._piece):
            hasher = sha256(self._view[self._place : end])
            self._place = end
        else:
            hasher = sha256()
            for part in self._parts(size_bytes):
                hasher.update(part)
        return b"", "sha256:" + hasher.hexdigest()

    def _parts(self, size_bytes: int) -> Iterator[memoryview]:
        while size_bytes:
            if self._place == len(self._piece):
                piece = next(self._pieces, None)
                if piece is None:
                    return
                self._piece, self._view, self._place = piece, memoryview(piece), 0
            part = self._view[self._place : self._place + size_bytes]
            self._place += len(part)
            size_bytes -= len(part)
            yield part


def stated_entries(rows: Sequence[Stated], source: Source) -> list[Entry] | None:
    """Return the entries of a layer whose members are exactly those of `rows`, or None.

    The caller judges the names (`TarReader.accept`), and that nothing follows the last member.
    """
    if not _are_in_order(rows):
        return None
    entries: list[Entry] = []
    files: dict[bytes, Entry] = {}
    place = 0
    for row in rows:
        line, content = row.line, _NO_CONTENT
        kind, size = line.kind, line.size
        if size > MAX_STAR_UNPACKED_BYTES or line.uid > _MAX_ID or line.gid > _MAX_ID:
            return None
        mtime, header = _time_and_header(source)
        if mtime < 0 or _header_of(line, mtime) != header:
            return None
        place += len(header)
        if kind == "file":
            content, digest = source.file(size)
            padding = -size % BLOCK
            if digest != line.digest or row.data_offset != place or source.take(padding) != _PADDINGS[padding]:
                return None
            place += size + padding
        elif row.data_offset or not _is_usual_link(line, files.get(line.target), mtime):
            return None
        entry = _entry(line, mtime, content)
        if kind == "file":
            files[line.path] = entry
        entries.append(entry)
    return entries


def _entry(line: ManifestLine, mtime: int, content: Content) -> Entry:
    """Return the entry of a line; it knows the line, unless its content was not kept."""
    path, kind, digest = line.path, line.kind, line.digest
    hashed, own = None if digest is None else (content, digest), line if len(content) == line.size else None
    rest = (line.target, line.rdev, line.xattrs, hashed, own)
    return _made_entry(path, kind, line.mode, line.uid, line.gid, mtime, content, *rest)


def _time_and_header(source: Source) -> tuple[int, bytes]:
    """Return the time in the next header and all of the header with its extension; -1 for an unusual one."""
    header = source.take(BLOCK)
    last = header
    if header[_TYPE] == b"x":
        size = _octal(header[_SIZE])
        if not 0 <= size <= MAX_PAX_BYTES:
            return -1, header
        body, padding = source.take(size), source.take(-size % BLOCK)
        try:
            if b"mtime" in parse_pax(body):
                return -1, header
        except ValueError:
            return -1, header
        last = source.take(BLOCK)
        header += body + padding + last
    return _octal(last[_TIME]), header


@lru_cache(maxsize=_KEPT)
def _octal(digits: bytes) -> int:
    return int(digits, 8) if digits and _DIGITS.issuperset(digits) else -1


def _header_of(line: ManifestLine, mtime: int) -> bytes | None:
    """Return the header that a layer's writer writes for the entry of `line`, or None if it would write none."""
    try:
        return described_header(line, line.size, mtime)
    except (Malformed, ValueError):
        return None


def _is_usual_link(line: ManifestLine, file: Entry | None, mtime: int) -> bool:
    """Return whether an entry that is no file is what the strict reader reads: links have targets, others have none."""
    if line.kind == "symlink":
        return 0 < len(line.target) <= MAX_LINK_TARGET_BYTES and b"\0" not in line.target
    if line.kind != "hardlink":
        return not line.target
    if file is None or line.xattrs or len(line.target) > MAX_LINK_TARGET_BYTES:
        return False
    return (file.mode, file.uid, file.gid, file.mtime) == (line.mode, line.uid, line.gid, mtime)


def _are_in_order(rows: Iterable[Stated]) -> bool:
    """Return whether the rows are in the order of a layer's members, each path once, and their attributes in theirs."""
    was_late, before = False, b""
    for row in rows:
        line = row.line
        path, is_late = line.path, line.kind == "hardlink" and line.target > line.path
        if is_late < was_late or (is_late == was_late and path <= before):
            return False
        if line.xattrs and not _are_sorted([name for name, _ in line.xattrs]):
            return False
        was_late, before = is_late, path
    return True


def _are_sorted(names: Sequence[bytes]) -> bool:
    return all(name < other for name, other in pairwise(names))
