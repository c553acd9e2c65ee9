"""The answer to one GET (RFC 9112): its head, and its body piece by piece. Each part has a bound.

    status line and headers, interim answers (1xx) included    MAX_HTTP_HEAD_BYTES
    interim answers                                            MAX_HTTP_INTERIM_ANSWERS
    chunk sizes with their extensions                          MAX_HTTP_CHUNK_LINE_BYTES each; the extensions together
                                                               MAX_HTTP_EXTENSION_BYTES
    trailers                                                   MAX_HTTP_TRAILER_BYTES

Trailers and chunk extensions are read and forgotten. A header that goes on in the next line is refused (section 5.2),
and so is a coding other than `chunked`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cosmos.limits import (
    MAX_HTTP_CHUNK_LINE_BYTES,
    MAX_HTTP_EXTENSION_BYTES,
    MAX_HTTP_HEAD_BYTES,
    MAX_HTTP_INTERIM_ANSWERS,
    MAX_HTTP_TRAILER_BYTES,
)
from cosmos.records import dataclass
from cosmos.transport.wire import Allowance, CutShort, NotHttp, Patience, Wire

_STATUS: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")  # of bytes: no file has more digits
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", re.DOTALL)
_SWITCHED: Final = 101  # 101 Switching Protocols: nobody asked for it
_NO_BODY: Final = (204, 304)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The status line and headers of an answer. `minor` is the 1 of HTTP/1.1."""

    minor: int
    status: int
    fields: Mapping[str, list[str]]


class Answer:
    """An answer whose head was read. Its body has chunks if `chunked`, else `length` bytes.

    If `length` is None, the body ends with the connection.
    """

    __slots__ = (
        "_between",
        "_chunk_left",
        "_extensions",
        "_fields",
        "_may_stay",
        "_over",
        "_patience",
        "_taken",
        "_wire",
        "chunked",
        "length",
        "status",
    )

    def __init__(self, wire: Wire, patience: Patience, head: Head) -> None:
        self._wire = wire
        self._patience = patience
        self._fields = fields = head.fields
        self._chunk_left = 0
        self._between = self._over = False  # the end of a chunk's data was read; the last chunk was read
        self._extensions = Allowance("chunk extensions", MAX_HTTP_EXTENSION_BYTES)
        self._taken = 0
        self.status = head.status
        self.chunked = "transfer-encoding" in fields
        lengths = set(fields.get("content-length", ()))
        is_stated = not self.chunked and len(lengths) == 1 and all(map(_NUMBER.fullmatch, lengths))
        self.length = int(lengths.pop()) if is_stated else None
        options = ",".join(fields.get("connection", ())).lower().replace(" ", "").split(",")
        is_framed = "content-length" not in fields if self.chunked else is_stated
        self._may_stay = head.minor >= 1 and "close" not in options and is_framed

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of the header `name`, which is in lower case."""
        return tuple(self._fields.get(name, ()))

    def value(self, name: str, default: str = "") -> str:
        """Return the first value of the header `name`, or `default`."""
        return next(iter(self.values(name)), default)

    def names_part(self, start: int, end: int, size_bytes: int) -> bool:
        """Return whether its body is said to be the bytes from `start` to `end` of a file of that size.

        A server may say `*` for the size (RFC 9110 section 14.4). The caller knows the size from what was signed, and
        the bytes by their digest.
        """
        extent = f"bytes {start}-{end - 1}"
        return self.value("content-range") in (f"{extent}/{size_bytes}", f"{extent}/*")

    def piece(self, most: int) -> bytes:
        """Return up to `most` bytes of the body as they come; no bytes at its end.

        Raises `NotHttp`, `CutShort` in a chunked body, `TimeoutError` and `OSError`.
        """
        if not self.chunked:
            left = most if self.length is None else min(most, self.length - self._taken)
            piece = self._wire.some(left) if left else b""
            self._taken += len(piece)
            self._patience.renew(len(piece))
            return piece
        if self._chunk_left == 0:
            self._chunk_left = self._next_chunk()
        if self._chunk_left == 0:
            return b""
        piece = self._wire.some(min(most, self._chunk_left))
        if not piece:
            raise CutShort
        self._patience.renew(len(piece))
        self._chunk_left -= len(piece)
        self._between = self._chunk_left == 0
        return piece

    def leaves_connection(self) -> bool:
        """Return whether the next request may go over the same connection: the body was read to its very end."""
        if not self._may_stay or self.status in _NO_BODY or not self._wire.is_quiet:
            return False
        return self._over if self.chunked else self.length == self._taken

    def drain(self, most: int) -> None:
        """Read the rest of the body, if it has at most `most` bytes. Raises as `piece` does."""
        if not self._may_stay or (self.length or 0) - self._taken > most:
            return
        while most > 0 and (piece := self.piece(most)):
            most -= len(piece)

    def _next_chunk(self) -> int:
        """Return the size of the next chunk; 0 when the body has ended, its trailers with it."""
        if self._over:
            return 0
        if self._between and self._wire.line(Allowance("the ends of chunks", 2)):
            raise NotHttp("a chunk is longer than its size says")
        line = self._wire.line(Allowance("the size of a chunk and its extensions", MAX_HTTP_CHUNK_LINE_BYTES))
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise NotHttp("the size of a chunk is not a number")
        self._extensions.use(len(line) - len(match[1]))
        size = int(match[1], 16)
        if size == 0:
            self._drop_trailers()
            self._over = True
        return size

    def _drop_trailers(self) -> None:
        trailers = Allowance("trailers", MAX_HTTP_TRAILER_BYTES)
        while self._wire.line(trailers):
            pass


def ask(wire: Wire, patience: Patience, target: str, headers: Mapping[str, str]) -> Answer:
    """Send a GET for `target` and return the answer with its head.

    Raises `NotHttp`, `CutShort`, `TimeoutError` and `OSError`.
    """
    wanted = {**headers, "Accept-Encoding": "identity", "User-Agent": "cosmos"}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    wire.send("\r\n".join(lines).encode("latin-1"))
    allowance = Allowance("status line and headers", MAX_HTTP_HEAD_BYTES)
    head = read_head(wire, allowance)
    codings = head.fields.get("transfer-encoding", [])
    if [coding.lower() for coding in codings] not in ([], ["chunked"]):
        raise NotHttp("the body is sent in a coding that nobody asked for")
    return Answer(wire, patience, head)


def read_head(wire: Wire, allowance: Allowance) -> Head:
    """Return the head of the next answer, after interim ones. Raises as `ask` does."""
    for _ in range(MAX_HTTP_INTERIM_ANSWERS + 1):
        head = _head(wire, allowance)
        if head.status == _SWITCHED:
            raise NotHttp("the server switches to another protocol")
        if head.status >= 200:
            return head
    raise NotHttp(f"more than {MAX_HTTP_INTERIM_ANSWERS} interim answers")


def _head(wire: Wire, allowance: Allowance) -> Head:
    match = _STATUS.fullmatch(wire.line(allowance))
    if match is None:
        raise NotHttp("it has no status line")
    return Head(minor=int(match[1]), status=int(match[2]), fields=_fields(wire, allowance))


def _fields(wire: Wire, allowance: Allowance) -> dict[str, list[str]]:
    """Return the headers up to the empty line: the values by the name in lower case."""
    fields: dict[str, list[str]] = {}
    while line := wire.line(allowance):
        match = _HEADER.fullmatch(line)
        if match is None:
            raise NotHttp("a line of the headers is not `name: value`")
        fields.setdefault(match[1].decode("ascii").lower(), []).append(match[2].decode("latin-1"))
    return fields
