"""Read a packed layer as a stream: in bounded memory, whatever its size.

The frame's digest must have been checked before: then its content is the one that the image's index describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import zstandard

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_PAX_BYTES, READ_CHUNK_BYTES
from cosmos.pack.pax import parse_pax, read_time
from cosmos.pack.seek_table import Seek
from cosmos.pack.tar import BLOCK
from cosmos.pack.zst import MAX_WINDOW_BYTES, StreamPart

_OCTAL: Final = re.compile(rb"[0-7]+[\0 ]*")


def demand_frame(stream: BinaryIO, seek: Seek, digest: Digest, source: str) -> None:
    """Raise `Refused` unless the frame at `seek` of an image has this digest."""
    found = Digest.of_stream(_part(stream, seek))
    if found != digest:
        raise Refused(source, f"is {found}, the index says {digest}")


@contextmanager
def layer_content(stream: BinaryIO, seek: Seek, source: str) -> Iterator[BinaryIO]:
    """Give the content of the frame at `seek` of an image as a stream; raises `Refused` if it is damaged."""
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        with decoder.stream_reader(_part(stream, seek), closefd=False) as content:
            yield content
    except zstandard.ZstdError as error:
        raise Refused(source, f"cannot be decompressed: {error}") from error


def _part(stream: BinaryIO, seek: Seek) -> BinaryIO:
    stream.seek(seek.offset)
    return StreamPart.of(stream, seek.packed_bytes)


def slices(content: BinaryIO, places: Iterable[tuple[int, int]], source: str) -> Iterator[bytes]:
    """Yield the bytes at each (offset, size) of the stream; `places` are in order and do not overlap.

    Raises `Refused` if the stream ends before.
    """
    at = 0
    for offset, size in places:
        _pass_over(content, offset - at, source)
        yield _exactly(content, size, source)
        at = offset + size


def member_times(content: BinaryIO, sizes: Iterable[int], source: str) -> Iterator[int]:
    """Yield the time of each member of a layer; `sizes` are the bytes of content of each, in order.

    Raises `Refused` if the stream is no layer of these members.
    """
    for size in sizes:
        header, stated = _exactly(content, BLOCK, source), None
        if header[156:157] == b"x":
            length = _octal(header[124:136], source)
            if length > MAX_PAX_BYTES:
                raise Refused(source, f"has an extended header of {length} bytes, the limit is {MAX_PAX_BYTES}")
            body = _exactly(content, length + -length % BLOCK, source)[:length]
            try:
                time = parse_pax(body).get(b"mtime")
                stated = None if time is None else read_time(time)
            except ValueError as error:
                raise Refused(source, str(error)) from error
            header = _exactly(content, BLOCK, source)
        yield _octal(header[136:148], source) if stated is None else stated
        _pass_over(content, size + -size % BLOCK, source)


def _octal(field: bytes, source: str) -> int:
    if not _OCTAL.fullmatch(field):
        raise Refused(source, "has a number that is not octal digits in a header")
    return int(field.rstrip(b"\0 "), 8)


def _exactly(content: BinaryIO, size: int, source: str) -> bytes:
    pieces, left = [], size
    while left and (piece := content.read(min(left, READ_CHUNK_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise Refused(source, "ends before its entries do")
    return b"".join(pieces)


def _pass_over(content: BinaryIO, size: int, source: str) -> None:
    while size:
        piece = content.read(min(size, READ_CHUNK_BYTES))
        if not piece:
            raise Refused(source, "ends before its entries do")
        size -= len(piece)
