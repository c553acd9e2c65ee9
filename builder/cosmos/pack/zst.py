"""Compress with zstd, and decompress to an exact size (RFC 8878, RFC 1952).

Compression always runs the same way, because zstd's bytes depend on it: to one frame with content size and checksum, in
one thread, in one call up to `MAX_AT_ONCE_BYTES`. The same input, level and `ZSTD_VERSION` give the same bytes.

Decompression trusts only the caller's size. An archive is one or more zstd frames and nothing else, and their contents
add up to exactly `size_bytes`. The reader walks all frames block by block before it decompresses any, because the
library's own readers return short data for a cut file without an error, or exceed a limit. It refuses a cut file, bytes
after the last frame, skippable frames (they could hide data), dictionaries, windows over `MAX_WINDOW_BYTES`, a wrong
checksum, and any other size. The same holds for gzip, which may have several members.

A frame's blocks bound its content: none has more than 128 KiB. So a header cannot claim memory that its blocks do not
fill. `zstd_pieces` and `slice_of_frame` decompress in pieces, and keep none. Then the decoder needs the window, which
must be small or in proportion to the packed data (`_small_window`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, Literal, TypeAlias, cast

import zstandard

from cosmos.content import Content, ContentReader, FileRange, mapped, pieces
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import KIB, MAX_STAR_UNPACKED_BYTES, MIB, USUAL_UNPACK_RATIO, Budget, usual_unpacked
from cosmos.records import dataclass
from cosmos.spool import Spool

Suffix: TypeAlias = Literal[".zst", ".gz"]

ZSTD_VERSION: Final = ".".join(str(part) for part in zstandard.ZSTD_VERSION)

MAX_WINDOW_BYTES: Final = 128 * MIB  # what zstd itself takes without --long; level 19 needs 8 MiB
MAX_FRAMES: Final = 1 << 16  # of one archive: pzstd makes one for each few MiB
MAX_GZIP_MEMBERS: Final = 1 << 16  # of one archive: bgzip makes one for each 64 KiB
MAX_AT_ONCE_BYTES: Final = 256 * MIB  # of content that is compressed at once; a change gives other bytes
MAX_SKIPPABLE_BYTES: Final = (1 << 32) - 1  # its length has 32 bits
FREE_WINDOW_BYTES: Final = 24 * MIB  # of a frame that is decompressed in pieces; level 19 needs 8 MiB
MAX_BLOCK_BYTES: Final = 128 * KIB  # of one block's content (RFC 8878 section 3.1.1.2.4)

_MAGIC = 0xFD2FB528
_MAX_HEADER_BYTES = 18
_LEAST_WINDOW_BYTES = 1 << 10
_RAW_BLOCK = 0
_RUN_LENGTH_BLOCK = 1  # its one byte stands for all of it
_PIECE_BYTES = 1 * MIB
_SKIPPABLE_MAGIC = 0x184D2A50
_GIVEN_BYTES = 64 * KIB  # of data, at a time


def compress(pieces: Sequence[bytes | memoryview], level: int) -> bytes:
    """Return `pieces`, joined, as one frame with content size and checksum."""
    return _compressor(level).compress(b"".join(pieces))


def compressed(content: Content, level: int, spool: Spool) -> Content:
    """Return `content` as one frame with content size and checksum.

    Up to `MAX_AT_ONCE_BYTES` these are the bytes of `compress`. More is compressed piece by piece, in little memory.
    The library then gives other bytes, the same ones each time.
    """
    if len(content) <= MAX_AT_ONCE_BYTES:
        return spool.add([_compressed_at_once(content, level)])
    stream = _compressor(level).compressobj(size=len(content))

    def made() -> Iterator[bytes]:
        for piece in pieces(content):
            yield from (stream.compress(part) for part in _parts(piece))
        yield stream.flush()

    return spool.add(made())


def compressed_for_now(content: Content, level: int, spool: Spool) -> Content:
    """Return what `compressed` does. A frame that is made at once stays in memory, for a caller who writes it next."""
    if len(content) <= MAX_AT_ONCE_BYTES:
        return _compressed_at_once(content, level)
    return compressed(content, level, spool)


def _compressed_at_once(content: Content, level: int) -> bytes:
    with mapped(content) as buffer:
        return _compressor(level).compress(buffer)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True, threads=0)


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


def decompress_exactly(data: bytes | memoryview, size_bytes: int, source: str) -> bytes:
    """Return the content of the zstd frames in `data`, which must be `size_bytes` long. Raises `Refused`."""
    view = memoryview(data)
    pieces: list[bytes] = []
    left = size_bytes
    frames = _frames(view, source)
    most = sum(frame.most_bytes for frame in frames)
    if most < size_bytes:
        raise Refused(source, f"want {size_bytes} bytes of content, its blocks can hold {most}")
    for frame in frames:
        if frame.content_bytes is not None and frame.content_bytes > left:
            raise Refused(source, f"holds more than {size_bytes} bytes")
        pieces.append(_content(view[frame.start : frame.end], frame, left, source))
        left -= len(pieces[-1])
    if left:
        raise Refused(source, f"want {size_bytes} bytes of content, got {size_bytes - left}")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def unpacked_exactly(
    data: Content, suffix: Suffix, size_bytes: int, source: str, digest: Digest | None = None
) -> Iterator[bytes]:
    """Yield the content of the frames or members in `data`, in pieces of bounded size.

    Raises `Refused` unless it is `size_bytes` long, and as `decompress_exactly` does. A file that changed since it was
    hashed is refused at the end, or one without `digest`: with that, it is hashed once.
    """
    left = size_bytes
    for piece in _unpacked(data, suffix, size_bytes, source, digest):
        left -= len(piece)
        if left < 0:
            raise Refused(source, f"holds more than {size_bytes} bytes")
        yield piece
    if left:
        raise Refused(source, f"want {size_bytes} bytes of content, got {size_bytes - left}")


def unpacked_within(data: Content, suffix: Suffix, budget: Budget, source: str) -> Iterator[bytes]:
    """Yield what `unpacked_exactly` does, of a size that nobody stated: it is drawn from `budget`."""
    for piece in _unpacked(data, suffix, MAX_STAR_UNPACKED_BYTES, source):
        budget.take(len(piece), source)
        yield piece


def zstd_pieces(view: memoryview) -> Iterator[bytes]:
    """Yield the content of the zstd frames in `view` in pieces; skippable frames between them are skipped.

    Raises a `ValueError` that names the fault, or the library's `ZstdError`.
    """
    place, frames = 0, 0
    while place < len(view) or not frames:
        frames += 1
        if frames > MAX_FRAMES:
            raise ValueError(f"has more than {MAX_FRAMES} zstd frames")
        magic = int.from_bytes(view[place : place + 4], "little")
        if _SKIPPABLE_MAGIC <= magic < _SKIPPABLE_MAGIC + 16:
            end = place + 8 + int.from_bytes(view[place + 4 : place + 8], "little")
            if place + 8 > len(view) or end > len(view):
                raise ValueError("is cut off")
            place = end
            continue
        frame = _frame_at(view, place)
        place = frame.end
        whole = view[frame.start : frame.end]
        held = usual_unpacked(len(whole)) if frame.window_bytes > FREE_WINDOW_BYTES else _PIECE_BYTES
        if frame.most_bytes <= held:
            yield _decompressed(whole, frame, frame.most_bytes)
            continue
        got = 0
        with _reader(whole, frame.window_bytes) as stream:
            while piece := stream.read(_PIECE_BYTES):
                got += len(piece)
                yield piece
        if frame.content_bytes not in (None, got):
            raise ValueError(f"a frame holds {got} bytes, its header states {frame.content_bytes}")


def slice_of_frame(stream: BinaryIO, packed_bytes: int, start: int, size_bytes: int) -> Iterator[bytes]:
    """Yield `size_bytes` at `start` of the content of the zstd frame that begins at the place of `stream`, in pieces.

    What comes before is decompressed and dropped, what follows is not read. It holds no more than a piece and the
    frame's window. Raises a `ValueError` if the frame holds less, and the library's `ZstdError`. It does not see
    whether the frame is whole: compare the content's digest.
    """
    begin = stream.tell()
    header = stream.read(_MAX_HEADER_BYTES)
    stream.seek(begin)
    window_bytes = _small_window(_parameters(header).window_size, packed_bytes)
    place, end = 0, start + size_bytes
    with zstandard.ZstdDecompressor(max_window_size=window_bytes).stream_reader(
        StreamPart.of(stream, packed_bytes), closefd=False
    ) as content:
        while place < end:
            piece = content.read(min(_PIECE_BYTES, (start if place < start else end) - place))
            if not piece:
                raise ValueError(f"want {end} bytes of content, got {place}")
            if place >= start:
                yield piece
            place += len(piece)


def frame_extent(view: bytes | memoryview, source: str) -> tuple[int, int | None]:
    """Return where the frame at the start of `view` ends, and the size of its content as its header states it.

    It reads the headers of its blocks alone. Raises `Refused` for what is no frame, and for a cut one.
    """
    try:
        frame = _frame_at(memoryview(view), 0)
    except (ValueError, zstandard.ZstdError) as error:
        raise Refused(source, str(error)) from error
    return frame.end, frame.content_bytes


class StreamPart:
    """The next `left` bytes of a stream, for a reader that reads to the end."""

    __slots__ = ("_left", "_stream")

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self._left = left

    @classmethod
    def of(cls, stream: BinaryIO, left: int) -> BinaryIO:
        """Return the part as a stream for readers that only call `read`."""
        return cast("BinaryIO", cls(stream, left))

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or all that are left."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """`content_bytes`: as the header states it, or None. `most_bytes`: what its blocks can hold."""

    start: int
    end: int
    content_bytes: int | None
    most_bytes: int
    window_bytes: int


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
    header = bytes(view[start : start + _MAX_HEADER_BYTES])
    parameters = _parameters(header)
    place = start + zstandard.frame_header_size(header)
    is_last, most = False, 0
    while not is_last:
        block = int.from_bytes(bytes(view[place : place + 3]), "little")
        if place + 3 > len(view):
            raise ValueError("is cut off")
        is_last, kind, size = bool(block & 1), (block >> 1) & 3, block >> 3
        most += size if kind in (_RAW_BLOCK, _RUN_LENGTH_BLOCK) else MAX_BLOCK_BYTES
        place += 3 + (1 if kind == _RUN_LENGTH_BLOCK else size)
    place += 4 if parameters.has_checksum else 0
    if place > len(view):
        raise ValueError("is cut off")
    known = None if parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN else parameters.content_size
    if known is not None and known > most:
        raise ValueError(f"states {known} bytes of content, its blocks can hold {most}")
    return _Frame(start=start, end=place, content_bytes=known, most_bytes=most, window_bytes=parameters.window_size)


def _parameters(header: bytes) -> zstandard.FrameParameters:
    """Return the parameters in a frame's header, or raise `ValueError`."""
    if int.from_bytes(header[:4], "little") != _MAGIC or len(header) < 6:
        raise ValueError("is not zstd data, or cut off" if len(header) < 6 else "is not zstd data")
    parameters = zstandard.get_frame_parameters(header)
    is_single_segment = bool(header[4] & 0x20)
    if parameters.dict_id:
        raise ValueError("wants a dictionary")
    if parameters.window_size > MAX_WINDOW_BYTES and not is_single_segment:
        raise ValueError(f"wants a window of {parameters.window_size} bytes, the limit is {MAX_WINDOW_BYTES}")
    return parameters


def _small_window(window_bytes: int, packed_bytes: int) -> int:
    """Return the window's size if a decoder may hold it for data of `packed_bytes`, or raise `ValueError`."""
    most = max(FREE_WINDOW_BYTES, min(USUAL_UNPACK_RATIO * packed_bytes, MAX_WINDOW_BYTES))
    if window_bytes > most:
        raise ValueError(f"wants a window of {window_bytes} bytes, the limit for {packed_bytes} packed bytes is {most}")
    return max(window_bytes, _LEAST_WINDOW_BYTES)


def _reader(frame: memoryview, window_bytes: int) -> zstandard.ZstdDecompressionReader:
    """Return a reader of one whole frame in pieces."""
    most = _small_window(window_bytes, len(frame))
    return zstandard.ZstdDecompressor(max_window_size=most).stream_reader(frame, closefd=False)


def _content(whole: memoryview, frame: _Frame, left: int, source: str) -> bytes:
    """Return one frame's content: `content_bytes` of it if that is known, else at most `left`."""
    try:
        content = _decompressed(whole, frame, left)
    except zstandard.ZstdError as error:
        raise Refused(source, f"is damaged, or holds more bytes than its header states: {error}") from error
    if len(content) > left or frame.content_bytes not in (None, len(content)):
        raise Refused(source, f"a frame holds {len(content)} bytes, not what its header states")
    return content


def _decompressed(whole: memoryview, frame: _Frame, most: int) -> bytes:
    """Return the content of one frame, in one call: that needs no window. Of more than `most` bytes, `most + 1`."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    room = min(most, frame.most_bytes) + 1
    return decompressor.decompress(whole, max_output_size=room, allow_extra_data=False)


def _unpacked(data: Content, suffix: Suffix, most: int, source: str, digest: Digest | None = None) -> Iterator[bytes]:
    stream = ContentReader(data, digest)
    yield from _unzstded(data, stream, most, source) if suffix == ".zst" else _gunzipped(stream, source)
    stream.demand_unchanged(source)


def _unzstded(data: Content, stream: ContentReader, max_bytes: int, source: str) -> Iterator[bytes]:
    view = data if isinstance(data, FileRange) else memoryview(data)
    left = max_bytes
    for frame in _frames(view, source):
        if frame.content_bytes is not None and frame.content_bytes > left:
            raise Refused(source, f"holds more than {max_bytes} bytes")
        part = view[frame.start : frame.end]
        packed = StreamPart.of(cast("BinaryIO", stream), len(part)) if isinstance(part, FileRange) else part
        for piece in _frame_pieces(frame, packed, left, source):
            left -= len(piece)
            yield piece


def _frame_pieces(frame: _Frame, packed: memoryview | BinaryIO, left: int, source: str) -> Iterator[bytes]:
    """Yield one frame's content, of the size that its header states, if it states one."""
    packed_bytes, got = frame.end - frame.start, 0
    held = usual_unpacked(packed_bytes) if frame.window_bytes > FREE_WINDOW_BYTES else _PIECE_BYTES
    if frame.most_bytes <= held:
        yield _content(packed if isinstance(packed, memoryview) else memoryview(packed.read()), frame, left, source)
        return
    try:
        window_bytes = _small_window(frame.window_bytes, packed_bytes)
        decompressor = zstandard.ZstdDecompressor(max_window_size=window_bytes)
        with decompressor.stream_reader(packed, read_size=_GIVEN_BYTES, closefd=False) as content:
            while piece := content.read(_PIECE_BYTES):
                got += len(piece)
                yield piece
                if got > left:
                    return
    except ValueError as error:
        raise Refused(source, str(error)) from error
    except zstandard.ZstdError as error:
        raise Refused(source, f"is damaged, or holds more bytes than its header states: {error}") from error
    if frame.content_bytes not in (None, got):
        raise Refused(source, f"a frame holds {got} bytes, not what its header states")


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
                piece = member.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise Refused(source, f"is damaged, or not a gzip member, near byte {place}") from error
            if not piece and not given:
                raise Refused(source, "is cut off")
            chunk = member.unused_data if member.eof else member.unconsumed_tail
            place += given - len(chunk)
            chunk = chunk or stream.read(_GIVEN_BYTES)
            if piece:
                yield piece
