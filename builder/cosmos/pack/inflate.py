"""Decompressing what does not say how large it will be: in bounded pieces, up to a limit.

For what was verified already and comes from other ecosystems (packages, kernel modules). Stars, whose size is signed,
are decompressed by cosmos.pack.zst.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import zstandard

from cosmos.errors import Refused
from cosmos.limits import MIB
from cosmos.pack.zst import MAX_WINDOW_BYTES

SUFFIXES: Final = ("", ".gz", ".xz", ".zst")
_MAX_XZ_MEMORY_BYTES: Final = 256 * MIB  # of the decoder; xz -9 needs 65 MiB
_PIECE_BYTES: Final = 4 * MIB
_ERRORS: Final = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def inflated(body: bytes | memoryview, suffix: str, max_bytes: int, source: str) -> memoryview:
    """Return the content of one compressed stream; `suffix` says how it is compressed and must be one of `SUFFIXES`.

    Raises `Refused` where it is damaged, cut off, followed by something, or larger than `max_bytes`.
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
    """What lzma and zlib share: `unused_data` is what follows the stream's end."""

    @property
    def unused_data(self) -> bytes: ...


def _plain(body: memoryview) -> Iterator[bytes | memoryview]:
    yield body


def _gunzipped(body: memoryview) -> Iterator[bytes | memoryview]:
    decoder = zlib.decompressobj(wbits=31)
    given: bytes | memoryview = body
    while not decoder.eof:
        piece = decoder.decompress(given, _PIECE_BYTES)
        given = decoder.unconsumed_tail
        if not piece and not given and not decoder.eof:
            raise EOFError("cut off")
        yield piece
    _demand_end(decoder)


def _unxzed(body: memoryview) -> Iterator[bytes | memoryview]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_MEMORY_BYTES)
    given: bytes | memoryview = body
    while not decoder.eof:
        piece = decoder.decompress(given, _PIECE_BYTES)
        given = b""
        if not piece and decoder.needs_input:
            raise EOFError("cut off")
        yield piece
    _demand_end(decoder)


def _unzstded(body: memoryview) -> Iterator[bytes | memoryview]:
    """Yield one frame's content, or several's.

    KNOWN GAP: the library gives short data for a cut frame with no error. What is in it must show its own end, as tar
    and ELF do.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    with decoder.stream_reader(body, read_across_frames=True, closefd=False) as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _demand_end(decoder: _Decoder) -> None:
    if decoder.unused_data:
        raise EOFError(f"{len(decoder.unused_data)} bytes follow its end")


_PIECES: Final = {"": _plain, ".gz": _gunzipped, ".xz": _unxzed, ".zst": _unzstded}
