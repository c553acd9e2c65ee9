"""Decompress data of unknown unpacked size: in bounded pieces, up to a limit.

It is for verified data from other ecosystems (packages, kernel modules). cosmos.pack.zst decompresses stars, whose
unpacked size is signed.

    ""       not compressed
    .gz      gzip members, one after another (RFC 1952 section 2.2)
    .xz      one stream, and its padding: zeros, a multiple of four (the .xz file format, section 2.2)
    .zst     zstd frames (RFC 8878 section 3)
    .bz2     one bzip2 stream
    .lzma    one stream of the format before .xz
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Generator, Iterator
from typing import Final, Protocol

import zstandard

from cosmos.errors import Refused
from cosmos.limits import MIB
from cosmos.pack.zst import MAX_GZIP_MEMBERS, MAX_WINDOW_BYTES

_MAX_XZ_MEMORY_BYTES: Final = 256 * MIB  # of the decoder; xz -9 needs 65 MiB
_PIECE_BYTES: Final = 4 * MIB
_GIVEN_BYTES: Final = 1 * MIB  # at a time, of gzip: what follows a member's end is copied once for each
_GZIP_MAGIC: Final = b"\x1f\x8b"
_XZ_PADDING: Final = 4
_ERRORS: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)  # OSError: bz2's


def inflated(body: bytes | memoryview, suffix: str, max_bytes: int, source: str) -> memoryview:
    """Return the content of `body`; `suffix` names its compression, from the list above.

    Raises `Refused` if it is damaged, cut off, followed by other bytes, or larger than `max_bytes`.
    """
    whole = bytearray()
    try:
        for piece in _PIECES[suffix](memoryview(body)):
            whole += piece
            if len(whole) > max_bytes:
                raise Refused(source, f"unpacks to more than {max_bytes} bytes")
    except _ERRORS as error:
        raise Refused(source, f"is damaged: {str(error) or 'cut off'}") from error
    return memoryview(whole).toreadonly()


class _Decoder(Protocol):
    """The interface that bz2 and lzma share: `unused_data` are the bytes after the stream's end."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


def _plain(body: memoryview) -> Iterator[bytes | memoryview]:
    yield body


def _gunzipped(body: memoryview) -> Iterator[bytes | memoryview]:
    rest, members = body, 0
    while rest or not members:
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise EOFError(f"more than {MAX_GZIP_MEMBERS} gzip members")
        if members > 1 and bytes(rest[:2]) != _GZIP_MAGIC:
            raise EOFError(f"{len(rest)} bytes follow its end")
        decoder = zlib.decompressobj(wbits=31)
        while not decoder.eof:
            given = rest[:_GIVEN_BYTES]
            piece = decoder.decompress(given, _PIECE_BYTES)
            rest = rest[len(given) - len(decoder.unused_data if decoder.eof else decoder.unconsumed_tail) :]
            if not piece and not given:
                raise EOFError("cut off")
            yield piece


def _unxzed(body: memoryview) -> Iterator[bytes | memoryview]:
    tail = yield from _one_stream(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_MEMORY_BYTES), body)
    if len(tail) % _XZ_PADDING or tail.strip(b"\0"):
        raise EOFError(f"{len(tail)} bytes follow its end")


def _unlzmaed(body: memoryview) -> Iterator[bytes | memoryview]:
    yield from _alone(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MAX_XZ_MEMORY_BYTES), body)


def _unbzipped(body: memoryview) -> Iterator[bytes | memoryview]:
    yield from _alone(bz2.BZ2Decompressor(), body)


def _alone(decoder: _Decoder, body: memoryview) -> Iterator[bytes | memoryview]:
    tail = yield from _one_stream(decoder, body)
    if tail:
        raise EOFError(f"{len(tail)} bytes follow its end")


def _one_stream(decoder: _Decoder, body: memoryview) -> Generator[bytes, None, bytes]:
    """Yield the content of one stream, and return the bytes after its end."""
    given: bytes | memoryview = body
    while not decoder.eof:
        piece = decoder.decompress(given, _PIECE_BYTES)
        given = b""
        if not piece and decoder.needs_input:
            raise EOFError("cut off")
        yield piece
    return decoder.unused_data


def _unzstded(body: memoryview) -> Iterator[bytes | memoryview]:
    """Yield one frame's content, or several's.

    KNOWN GAP: the library returns short data for a cut frame, without an error. The content must show its own end, as
    tar and ELF do.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    with decoder.stream_reader(body, read_across_frames=True, closefd=False) as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


_PIECES: Final = {
    "": _plain,
    ".gz": _gunzipped,
    ".xz": _unxzed,
    ".zst": _unzstded,
    ".bz2": _unbzipped,
    ".lzma": _unlzmaed,
}
