"""Compress with zstd, and decompress to an exact size (RFC 8878, RFC 1952).

Compression always runs the same way, because zstd's bytes depend on it: to one frame with content size and checksum, in
one thread, in one call up to `MAX_AT_ONCE_BYTES`. The same input, level and `ZSTD_VERSION` give the same bytes.

Decompression trusts only the caller's size. An archive is one or more zstd frames and nothing else, and their contents
add up to exactly `size_bytes`. The reader walks all frames block by block before it decompresses any, because the
library's own readers return short data for a cut file without an error, or exceed a limit. It refuses a cut file, bytes
after the last frame, skippable frames (they could hide data), dictionaries, windows over `MAX_WINDOW_BYTES`, a wrong
checksum, and any other size. The same holds for gzip, which may have several members.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, TypeAlias, cast

import zstandard

from cosmos.content import Content, ContentReader, FileRange, pieces
from cosmos.errors import Refused
from cosmos.limits import KIB, MIB
from cosmos.spool import Spool

Suffix: TypeAlias = Literal[".zst", ".gz"]

ZSTD_VERSION: Final = ".".join(str(part) for part in zstandard.ZSTD_VERSION)

MAX_WINDOW_BYTES: Final = 128 * MIB  # what zstd itself takes without --long; level 19 needs 8 MiB
MAX_FRAMES: Final = 1 << 16  # of one archive: pzstd makes one for each few MiB
MAX_GZIP_MEMBERS: Final = 1 << 16  # of one archive: bgzip makes one for each 64 KiB
MAX_AT_ONCE_BYTES: Final = 256 * MIB  # of content that is compressed at once; a change gives other bytes
MAX_SKIPPABLE_BYTES: Final = (1 << 32) - 1  # its length has 32 bits

_MAGIC = 0xFD2FB528
_RUN_LENGTH_BLOCK = 1  # its one byte stands for all of it
_SKIPPABLE_MAGIC = 0x184D2A50
_GIVEN_BYTES = 64 * KIB  # of packed data at a time
_OUTPUT_BYTES = 1 * MIB  # of content at a time


def compress(pieces: Sequence[bytes | memoryview], level: int) -> bytes:
    """Return `pieces`, joined, as one frame with content size and checksum."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True, threads=0)
    return compressor.compress(b"".join(pieces))


def compressed(content: Content, level: int, spool: Spool) -> Content:
    """Return `content` as one frame with content size and checksum.

    Up to `MAX_AT_ONCE_BYTES` these are the bytes of `compress`. More is compressed piece by piece, in little memory.
    The library then gives other bytes, the same ones each time.
    """
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True, threads=0)
    if len(content) <= MAX_AT_ONCE_BYTES:
        with _in_memory(content) as buffer:
            return spool.add([compressor.compress(buffer)])
    stream = compressor.compressobj(size=len(content))

    def made() -> Iterator[bytes]:
        for piece in pieces(content):
            yield from (stream.compress(part) for part in _parts(piece))
        yield stream.flush()

    return spool.add(made())


@contextmanager
def _in_memory(content: Content) -> Iterator[bytes | memoryview]:
    """Give the bytes of `content` as one buffer; a file's are mapped, so that the kernel can take the memory back."""
    if not isinstance(content, FileRange) or not content:
        yield bytes(content) if isinstance(content, FileRange) else content
        return
    before = content.start % mmap.ALLOCATIONGRANULARITY
    with (
        mmap.mmap(
            content.file.number, before + len(content), access=mmap.ACCESS_READ, offset=content.start - before
        ) as mapped,
        memoryview(mapped) as view,
        view[before:] as wanted,
    ):
        yield wanted


def _parts(piece: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(piece)
    return (view[place : place + _GIVEN_BYTES] for place in range(0, len(view), _GIVEN_BYTES))


def skippable_frame(payload: bytes, nibble: int) -> bytes:
    """Return a frame that zstd's readers skip (RFC 8878 section 3.1.2); `nibble` ends its magic number.

    Raises `ValueError` if the payload is too long, or `nibble` has more than four bits.
    """
    if not 0 <= nibble <= 15 or len(payload) > MAX_SKIPPABLE_BYTES:
        raise ValueError(f"no skippable frame: {len(payload)} bytes, nibble {nibble}")
    return (_SKIPPABLE_MAGIC + nibble).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload


def unpacked(data: Content, suffix: Suffix, max_bytes: int, source: str) -> Iterator[bytes]:
    """Yield the content of the frames or members in `data`, in pieces of bounded size. Raises `Refused`.

    Content of more than `max_bytes` is refused when it comes to that. Afterwards `data` is compared with its digest: a
    file may have changed since that was taken.
    """
    stream = ContentReader(data)
    left = max_bytes
    for piece in _unzstded(data, stream, max_bytes, source) if suffix == ".zst" else _gunzipped(stream, source):
        left -= len(piece)
        if left < 0:
            raise Refused(source, f"holds more than {max_bytes} bytes")
        yield piece
    stream.demand_unchanged(source)


def unpacked_exactly(data: Content, suffix: Suffix, size_bytes: int, source: str) -> Iterator[bytes]:
    """Yield what `unpacked` does; raises `Refused` unless it is `size_bytes` long."""
    got = 0
    for piece in unpacked(data, suffix, size_bytes, source):
        got += len(piece)
        yield piece
    if got != size_bytes:
        raise Refused(source, f"want {size_bytes} bytes of content, got {got}")


def decompress_exactly(data: bytes | memoryview, size_bytes: int, source: str) -> bytes:
    """Return the content of the zstd frames in `data`, which must be `size_bytes` long. Raises `Refused`."""
    view = memoryview(data)
    pieces: list[bytes] = []
    left = size_bytes
    for frame in _frames(view, source):
        if frame.content_bytes is not None and frame.content_bytes > left:
            raise Refused(source, f"holds more than {size_bytes} bytes")
        pieces.append(_content(view[frame.start : frame.end], frame.content_bytes, left, source))
        left -= len(pieces[-1])
    if left:
        raise Refused(source, f"want {size_bytes} bytes of content, got {size_bytes - left}")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    start: int
    end: int
    content_bytes: int | None  # None where the header does not say
    window_bytes: int  # that its decoder keeps


def _frames(view: memoryview | FileRange, source: str) -> list[_Frame]:
    """Return the place of each frame; raises if there are other bytes between them or after them."""
    frames: list[_Frame] = []
    place = 0
    while place < len(view) or not frames:
        try:
            frame = _frame_at(view, place)
        except (ValueError, zstandard.ZstdError) as error:
            raise Refused(source, f"{error}, in the frame at byte {place}") from error
        frames.append(frame)
        if len(frames) > MAX_FRAMES:
            raise Refused(source, f"has more than {MAX_FRAMES} zstd frames")
        place = frame.end
    return frames


def _frame_at(view: memoryview | FileRange, start: int) -> _Frame:
    """Return the frame at `start` (RFC 8878 section 3.1.1), or raise `ValueError`."""
    header = bytes(view[start : start + 18])
    if int.from_bytes(header[:4], "little") != _MAGIC or len(header) < 6:
        raise ValueError("is not zstd data, or cut off" if len(header) < 6 else "is not zstd data")
    parameters = zstandard.get_frame_parameters(header)
    is_single_segment = bool(header[4] & 0x20)
    if parameters.dict_id:
        raise ValueError("wants a dictionary")
    if parameters.window_size > MAX_WINDOW_BYTES and not is_single_segment:
        raise ValueError(f"wants a window of {parameters.window_size} bytes, the limit is {MAX_WINDOW_BYTES}")
    place = start + zstandard.frame_header_size(header)
    is_last = False
    while not is_last:
        block = int.from_bytes(bytes(view[place : place + 3]), "little")
        if place + 3 > len(view):
            raise ValueError("is cut off")
        is_last, kind, size = bool(block & 1), (block >> 1) & 3, block >> 3
        place += 3 + (1 if kind == _RUN_LENGTH_BLOCK else size)
    place += 4 if parameters.has_checksum else 0
    if place > len(view):
        raise ValueError("is cut off")
    known = None if parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN else parameters.content_size
    return _Frame(start=start, end=place, content_bytes=known, window_bytes=parameters.window_size)


def _content(frame: memoryview, content_bytes: int | None, left: int, source: str) -> bytes:
    """Return one frame's content: `content_bytes` of it if that is known, else at most `left`."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        content = decompressor.decompress(frame, max_output_size=left + 1, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Refused(source, f"is damaged, or holds more bytes than its header states: {error}") from error
    if len(content) > left or content_bytes not in (None, len(content)):
        raise Refused(source, f"a frame holds {len(content)} bytes, not what its header states")
    return content


def _unzstded(data: Content, stream: ContentReader, max_bytes: int, source: str) -> Iterator[bytes]:
    view = data if isinstance(data, FileRange) else memoryview(data)
    left = max_bytes
    for frame in _frames(view, source):
        if frame.content_bytes is not None and frame.content_bytes > left:
            raise Refused(source, f"holds more than {max_bytes} bytes")
        for piece in _frame_pieces(frame, stream, left, source):
            left -= len(piece)
            yield piece


def _frame_pieces(frame: _Frame, stream: ContentReader, left: int, source: str) -> Iterator[bytes]:
    """Yield one frame's content, of the size that its header states, if it states one."""
    packed_bytes = frame.end - frame.start
    if frame.window_bytes > MAX_WINDOW_BYTES:  # one segment: its decoder keeps all of the content anyway
        yield _content(memoryview(stream.read(packed_bytes)), frame.content_bytes, left, source)
        return
    got = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        packed = _Limited(stream, packed_bytes)
        with decompressor.stream_reader(cast("BinaryIO", packed), read_size=_GIVEN_BYTES, closefd=False) as content:
            while piece := content.read(_OUTPUT_BYTES):
                got += len(piece)
                yield piece
                if got > left:
                    return
    except zstandard.ZstdError as error:
        raise Refused(source, f"is damaged, or holds more bytes than its header states: {error}") from error
    if frame.content_bytes not in (None, got):
        raise Refused(source, f"a frame holds {got} bytes, not what its header states")


class _Limited:
    """The next bytes of a stream, for the decoder of one frame."""

    def __init__(self, stream: ContentReader, size_bytes: int) -> None:
        self._stream = stream
        self._left = size_bytes

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most `size_bytes`."""
        piece = self._stream.read(min(size_bytes, self._left))
        self._left -= len(piece)
        return piece


def _gunzipped(stream: ContentReader, source: str) -> Iterator[bytes]:
    chunk = stream.read(_GIVEN_BYTES)
    place, members = 0, 0
    while chunk or not members:
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise Refused(source, f"has more than {MAX_GZIP_MEMBERS} gzip members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            given = len(chunk)
            try:
                piece = member.decompress(chunk, _OUTPUT_BYTES)
            except zlib.error as error:
                raise Refused(source, f"is damaged, or not a gzip member, near byte {place}") from error
            if not piece and not given:
                raise Refused(source, "is cut off")
            chunk = member.unused_data if member.eof else member.unconsumed_tail
            place += given - len(chunk)
            chunk = chunk or stream.read(_GIVEN_BYTES)
            if piece:
                yield piece
