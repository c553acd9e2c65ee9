"""Compress with zstd, and decompress to an exact size (RFC 8878, RFC 1952).

Compression always runs the same way, because zstd's bytes depend on it: in one call, to one frame with content size and
checksum, in one thread. The same input, level and `ZSTD_VERSION` give the same bytes.

Decompression trusts only the caller's size. An archive is one or more zstd frames and nothing else, and their contents
add up to exactly `size_bytes`. The reader walks all frames block by block before it decompresses any, because the
library's own readers return short data for a cut file without an error, or exceed a limit. It refuses a cut file, bytes
after the last frame, skippable frames (they could hide data), dictionaries, windows over `MAX_WINDOW_BYTES`, a wrong
checksum, and any other size. The same holds for gzip, which may have several members.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import zstandard

from cosmos.errors import Refused
from cosmos.limits import KIB, MIB

ZSTD_VERSION: Final = ".".join(str(part) for part in zstandard.ZSTD_VERSION)

MAX_WINDOW_BYTES: Final = 128 * MIB  # what zstd itself takes without --long; level 19 needs 8 MiB
MAX_FRAMES: Final = 1 << 16  # of one archive: pzstd makes one for each few MiB
MAX_GZIP_MEMBERS: Final = 1 << 16  # of one archive: bgzip makes one for each 64 KiB
MAX_SKIPPABLE_BYTES: Final = (1 << 32) - 1  # its length has 32 bits

_MAGIC = 0xFD2FB528
_RUN_LENGTH_BLOCK = 1  # its one byte stands for all of it
_SKIPPABLE_MAGIC = 0x184D2A50
_GZIP_INPUT_BYTES = 64 * KIB
_GZIP_OUTPUT_BYTES = 1 * MIB


def compress(pieces: Sequence[bytes | memoryview], level: int) -> bytes:
    """Return `pieces`, joined, as one frame with content size and checksum."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True, threads=0)
    return compressor.compress(b"".join(pieces))


def skippable_frame(payload: bytes, nibble: int) -> bytes:
    """Return a frame that zstd's readers skip (RFC 8878 section 3.1.2); `nibble` ends its magic number.

    Raises `ValueError` if the payload is too long, or `nibble` has more than four bits.
    """
    if not 0 <= nibble <= 15 or len(payload) > MAX_SKIPPABLE_BYTES:
        raise ValueError(f"no skippable frame: {len(payload)} bytes, nibble {nibble}")
    return (_SKIPPABLE_MAGIC + nibble).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload


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


def gunzip_exactly(data: bytes | memoryview, size_bytes: int, source: str) -> bytes:
    """Return the content of the gzip members in `data`, which must be `size_bytes` long. Raises `Refused`."""
    view = memoryview(data)
    pieces: list[bytes] = []
    left, place, members = size_bytes, 0, 0
    while place < len(view) or not members:
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise Refused(source, f"has more than {MAX_GZIP_MEMBERS} gzip members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = view[place : place + _GZIP_INPUT_BYTES]
            try:
                piece = member.decompress(chunk, min(left + 1, _GZIP_OUTPUT_BYTES))
            except zlib.error as error:
                raise Refused(source, f"is damaged, or not a gzip member, near byte {place}") from error
            if not piece and not chunk:
                raise Refused(source, "is cut off")
            place += len(chunk) - len(member.unused_data if member.eof else member.unconsumed_tail)
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise Refused(source, f"holds more than {size_bytes} bytes")
    if left:
        raise Refused(source, f"want {size_bytes} bytes of content, got {size_bytes - left}")
    return b"".join(pieces)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    start: int
    end: int
    content_bytes: int | None  # None where the header does not say


def _frames(view: memoryview, source: str) -> list[_Frame]:
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


def _frame_at(view: memoryview, start: int) -> _Frame:
    """Return the frame at `start` (RFC 8878 section 3.1.1), or raise `ValueError`."""
    header = view[start : start + 18].tobytes()
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
        block = int.from_bytes(view[place : place + 3], "little")
        if place + 3 > len(view):
            raise ValueError("is cut off")
        is_last, kind, size = bool(block & 1), (block >> 1) & 3, block >> 3
        place += 3 + (1 if kind == _RUN_LENGTH_BLOCK else size)
    place += 4 if parameters.has_checksum else 0
    if place > len(view):
        raise ValueError("is cut off")
    known = None if parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN else parameters.content_size
    return _Frame(start=start, end=place, content_bytes=known)


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
