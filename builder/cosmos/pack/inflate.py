"""Decompress data of unknown unpacked size: in bounded pieces, drawn from a budget (cosmos.limits).

It is for data whose unpacked size nobody signed: packages, kernel modules, stars before they have a statement.
cosmos.pack.zst decompresses stars whose unpacked size is signed.

    ""       not compressed
    .gz      gzip members, one after another (RFC 1952 section 2.2)
    .xz      streams, one after another, each with its padding: zeros, a multiple of four (the .xz format, section 2)
    .zst     zstd frames, and skippable frames between them (RFC 8878 section 3)
    .bz2     bzip2 streams, one after another, as bzip2 and pbzip2 write them
    .lzma    one stream of the format before .xz
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final, Literal, Protocol, TypeAlias

import zstandard

from cosmos.errors import Refused
from cosmos.limits import KIB, MIB, Budget
from cosmos.pack.zst import MAX_GZIP_MEMBERS, zstd_pieces

_MAX_XZ_MEMORY_BYTES: Final = 256 * MIB  # of the decoder; xz -9 needs 65 MiB
_PIECE_BYTES: Final = 1 * MIB
_FIRST_GIVEN_BYTES: Final = 1 * KIB  # of a member: what follows its end is copied, so a small member gets little
_GIVEN_BYTES: Final = 1 * MIB  # at a time, of a long one
_GZIP_MAGIC: Final = b"\x1f\x8b"
_XZ_MAGIC: Final = b"\xfd7zXZ\0"
_BZIP2_MAGIC: Final = b"BZh"
_XZ_PADDING: Final = 4
_ZEROS: Final = re.compile(rb"\0*")
Streams: TypeAlias = Literal["one", "several"]
_Stream: TypeAlias = Callable[[memoryview], Generator[bytes, None, memoryview]]  # yields content, returns the rest
_ERRORS: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)  # OSError: bz2's


def inflated(
    body: bytes | memoryview, suffix: str, budget: Budget, source: str, *, most: int | None = None
) -> memoryview:
    """Return the content of `body`, held in memory; raises `Refused` as `unpacked_pieces`."""
    whole = bytearray()
    for piece in unpacked_pieces(body, suffix, budget, source):
        whole += piece
        if most is not None and len(whole) > most:
            raise Refused(source, f"unpacks to more than {most} bytes")
    return memoryview(whole).toreadonly()


def unpacked_pieces(
    body: bytes | memoryview, suffix: str, budget: Budget, source: str, streams: Streams = "several"
) -> Iterator[bytes | memoryview]:
    """Yield the content of `body` in pieces; `suffix` names its compression, from the list above.

    With `streams="one"`, xz and bzip2 have one stream: some readers of such data read no second one. Raises `Refused`
    if it is damaged, cut off, followed by other bytes, or larger than the budget allows.
    """
    try:
        for piece in (_ONE_STREAM if streams == "one" else _PIECES)[suffix](memoryview(body)):
            budget.take(len(piece), source)
            yield piece
    except _ERRORS as error:
        raise Refused(source, f"is damaged: {str(error) or 'cut off'}") from error
    except ValueError as error:  # cosmos.pack.zst names the fault
        raise Refused(source, str(error)) from error


class _Decoder(Protocol):
    """The interface that zlib's, bz2's and lzma's decoders share here. `unused_data`: the bytes after its end."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def _plain(body: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def _gunzipped(body: memoryview) -> Iterator[bytes]:
    def member(rest: memoryview) -> Generator[bytes, None, memoryview]:
        decoder = zlib.decompressobj(wbits=31)
        given_bytes = _FIRST_GIVEN_BYTES
        while not decoder.eof:
            given = rest[:given_bytes]
            piece = decoder.decompress(given, _PIECE_BYTES)
            rest = rest[len(given) - len(decoder.unused_data if decoder.eof else decoder.unconsumed_tail) :]
            if not piece and not given:
                raise EOFError("cut off")
            given_bytes = min(given_bytes * 4, _GIVEN_BYTES)
            yield piece
        return rest

    yield from _several(body, member, _GZIP_MAGIC, "gzip members")


def _unxzed(body: memoryview) -> Iterator[bytes]:
    yield from _several(body, _xz_stream, _XZ_MAGIC, "xz streams")


def _unbzipped(body: memoryview) -> Iterator[bytes]:
    yield from _several(body, _bzip2_stream, _BZIP2_MAGIC, "bzip2 streams")


def _alone(stream: _Stream) -> Callable[[memoryview], Iterator[bytes]]:
    """Return the function that yields the content of the one stream in its argument."""

    def pieces(body: memoryview) -> Iterator[bytes]:
        rest = yield from stream(body)
        if rest:
            raise EOFError(f"{len(rest)} bytes follow its end")

    return pieces


def _xz_stream(body: memoryview) -> Generator[bytes, None, memoryview]:
    rest = yield from _stream(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_MEMORY_BYTES), body)
    zeros = _ZEROS.match(rest)
    padding = zeros.end() if zeros is not None else 0
    return rest if padding % _XZ_PADDING else rest[padding:]


def _bzip2_stream(body: memoryview) -> Generator[bytes, None, memoryview]:
    return (yield from _stream(bz2.BZ2Decompressor(), body))


def _lzma_stream(body: memoryview) -> Generator[bytes, None, memoryview]:
    return (yield from _stream(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MAX_XZ_MEMORY_BYTES), body))


def _several(body: memoryview, stream: _Stream, magic: bytes, what: str) -> Iterator[bytes]:
    """Yield the content of streams that follow one another; `stream` yields one's content and returns the rest."""
    rest, streams = body, 0
    while rest or not streams:
        streams += 1
        if streams > MAX_GZIP_MEMBERS:
            raise EOFError(f"more than {MAX_GZIP_MEMBERS} {what}")
        if streams > 1 and bytes(rest[: len(magic)]) != magic:
            raise EOFError(f"{len(rest)} bytes follow its end")
        rest = yield from stream(rest)


class _PullDecoder(_Decoder, Protocol):
    """The interface that bz2 and lzma share."""

    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


def _stream(decoder: _PullDecoder, body: memoryview) -> Generator[bytes, None, memoryview]:
    """Yield the content of one stream, and return the bytes after its end."""
    place, given_bytes = 0, _FIRST_GIVEN_BYTES
    while not decoder.eof:
        given = body[place : place + given_bytes] if decoder.needs_input else b""
        place += len(given)
        piece = decoder.decompress(given, _PIECE_BYTES)
        if not piece and not given and decoder.needs_input and not decoder.eof:
            raise EOFError("cut off")
        given_bytes = min(given_bytes * 4, _GIVEN_BYTES)
        yield piece
    return body[place - len(decoder.unused_data) :]


_PIECES: Final = {
    "": _plain,
    ".gz": _gunzipped,
    ".xz": _unxzed,
    ".zst": zstd_pieces,
    ".bz2": _unbzipped,
    ".lzma": _alone(_lzma_stream),
}
_ONE_STREAM: Final = {**_PIECES, ".xz": _alone(_xz_stream), ".bz2": _alone(_bzip2_stream)}
