"""`Content`: the bytes of a file, in memory while they are few, else a part of an open file on the disk.

Most files are small: their content is `bytes`, or a `memoryview` of a larger piece. A large file's content is a
`FileRange`, whose bytes are read when they are needed. So a star of 4 GiB is hashed, unpacked and written in some MiB.

All three have a length, give `bytes(content)`, and can be compared. `pieces` yields any of them in bounded pieces, and
is the one way to read a content that may be large. `spool.Spool` makes contents of bytes that come one after another.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import HASH_BUFFER_BYTES, READ_CHUNK_BYTES

_COMPARED_BYTES: Final = 256 << 10


class HeldFile:
    """An open file that nobody changes any more: without a name, or checked. It is closed with its last range."""

    __slots__ = ("_number", "_where")

    def __init__(self, number: int, where: str) -> None:
        """Take over the open descriptor `number`; `where` names the file in errors."""
        self._number = number
        self._where = where

    def __del__(self) -> None:
        os.close(self._number)

    @property
    def number(self) -> int:
        """The descriptor, for a caller that maps the file."""
        return self._number

    def read(self, start: int, size_bytes: int) -> bytes:
        """Return exactly `size_bytes` at `start`; raises `WorldFailed`."""
        return read_at(self._number, self._where, start, size_bytes)

    def sha256(self, start: int, size_bytes: int) -> str:
        """Return the SHA-256 of exactly `size_bytes` at `start` in hexadecimal; raises `WorldFailed`."""
        hasher, view = hashlib.sha256(), memoryview(bytearray(min(size_bytes, HASH_BUFFER_BYTES)))
        end = start + size_bytes
        with _reading(self._where):
            while start < end:
                count = os.preadv(self._number, [view[: end - start]], start)
                _demand_more(count, self._where)
                hasher.update(view[:count])
                start += count
        return hasher.hexdigest()


def read_at(number: int, where: str, start: int, size_bytes: int) -> bytes:
    """Return exactly `size_bytes` at `start` of an open file; `where` names it in errors. Raises `WorldFailed`."""
    with _reading(where):
        data = os.pread(number, size_bytes, start)
        while len(data) < size_bytes and (more := os.pread(number, size_bytes - len(data), start + len(data))):
            data += more
    _demand_more(len(data) == size_bytes, where)
    return data


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorldFailed(where, f"cannot be read: {(error.strerror or str(error)).lower()}") from error


def _demand_more(there: int, where: str) -> None:
    if not there:
        raise WorldFailed(where, "became shorter while it was read", hint="run the same command once more")


class FileRange:
    """`size_bytes` bytes of `file` from `start` on. Its digest is computed once."""

    __slots__ = ("_digest", "_size_bytes", "_start", "file")
    __hash__ = None  # type: ignore[assignment]  # as equal bytes would have another one

    def __init__(self, file: HeldFile, start: int, size_bytes: int) -> None:
        self.file = file
        self._start = start
        self._size_bytes = size_bytes
        self._digest: Digest | None = None

    @property
    def start(self) -> int:
        """Where it begins in its file."""
        return self._start

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        if self._digest is None:
            self._digest = Digest.from_hex(self.file.sha256(self._start, self._size_bytes))
        return self._digest

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes in pieces of at most `READ_CHUNK_BYTES`; raises `WorldFailed`."""
        for place in range(0, self._size_bytes, READ_CHUNK_BYTES):
            yield self.file.read(self._start + place, min(READ_CHUNK_BYTES, self._size_bytes - place))

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, part: slice) -> FileRange:
        first, stop, step = part.indices(self._size_bytes)
        if step != 1:
            raise ValueError("a part of a file has no steps")
        return FileRange(self.file, self._start + first, max(0, stop - first))

    def __bytes__(self) -> bytes:
        return self.file.read(self._start, self._size_bytes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (bytes, memoryview, FileRange)):
            return NotImplemented
        if len(self) != len(other):
            return False
        return all(
            bytes(self[place : place + _COMPARED_BYTES]) == bytes(other[place : place + _COMPARED_BYTES])
            for place in range(0, len(self), _COMPARED_BYTES)
        )

    def __repr__(self) -> str:
        return f"FileRange(start={self._start}, size_bytes={self._size_bytes})"


Content: TypeAlias = bytes | memoryview | FileRange


def pieces(content: Content) -> Iterator[bytes | memoryview]:
    """Yield the bytes of `content` in order: at once if they are in memory, else in bounded pieces.

    >>> list(pieces(b"ab")), list(pieces(b""))
    ([b'ab'], [])
    """
    if isinstance(content, FileRange):
        yield from content.pieces()
    elif content:
        yield content


def content_digest(content: Content) -> Digest:
    """Return the digest of `content`."""
    return content.digest if isinstance(content, FileRange) else Digest.of(content)


@contextmanager
def mapped(content: Content) -> Iterator[bytes | memoryview]:
    """Give the bytes of `content` as one buffer; a file's are mapped, so that the kernel can take the memory back."""
    if not isinstance(content, FileRange) or not content:
        yield bytes(content) if isinstance(content, FileRange) else content
        return
    before = content.start % mmap.ALLOCATIONGRANULARITY
    held = mmap.mmap(content.file.number, before + len(content), access=mmap.ACCESS_READ, offset=content.start - before)
    view = memoryview(held)
    wanted = view[before:]
    try:
        yield wanted
    finally:
        with suppress(BufferError):  # the traceback of an error may hold a part of it; then it ends with that
            wanted.release()
            view.release()
            held.close()


def passed(buffer: bytes | memoryview, start: int, stop: int) -> None:
    """Let the kernel take the memory of a part of what `mapped` gave. If the part is wanted again, it is read again."""
    held = buffer.obj if isinstance(buffer, memoryview) else None
    if isinstance(held, mmap.mmap):
        before = len(held) - len(buffer)
        first = (before + start) // mmap.PAGESIZE * mmap.PAGESIZE
        held.madvise(mmap.MADV_DONTNEED, first, min(before + stop, len(held)) - first)


def unchanged_pieces(content: Content, source: str) -> Iterator[bytes | memoryview]:
    """Yield the bytes of `content` as `pieces` does, and raise `Refused` at the end of a file that has changed."""
    if isinstance(content, FileRange):
        reader = ContentReader(content)
        while piece := reader.read(READ_CHUNK_BYTES):
            yield piece
        reader.demand_unchanged(source)
    else:
        yield from pieces(content)


class ContentReader:
    """Reads a content as a stream: for decompressors."""

    __slots__ = ("_content", "_digest", "_hasher", "_place")

    def __init__(self, content: Content, digest: Digest | None = None) -> None:
        """Make a reader; `digest` is what a part of a file must have. Without it, that is the part's own."""
        self._content = content
        self._digest = digest
        self._place = 0
        self._hasher = hashlib.sha256()

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most `size_bytes`."""
        piece = bytes(self._content[self._place : self._place + size_bytes])
        self._place += len(piece)
        if isinstance(self._content, FileRange):
            self._hasher.update(piece)
        return piece

    def demand_unchanged(self, source: str) -> None:
        """Raise `Refused` if the file has changed since its digest was computed. All of it must have been read."""
        if (
            isinstance(self._content, FileRange)
            and self._hasher.hexdigest() != (self._digest or self._content.digest).hex
        ):
            raise Refused(source, "was changed while it was read")
