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
from typing import Final
from urllib.parse import SplitResult

from cosmos.limits import (
    MAX_HTTP_CHUNK_LINE_BYTES,
    MAX_HTTP_EXTENSION_BYTES,
    MAX_HTTP_HEAD_BYTES,
    MAX_HTTP_INTERIM_ANSWERS,
    MAX_HTTP_TRAILER_BYTES,
)
from cosmos.transport.wire import Allowance, CutShort, NotHttp, Patience, Wire

_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: .*)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", re.DOTALL)
_SWITCHED: Final = 101  # 101 Switching Protocols: nobody asked for it


class Answer:
    """An answer whose head was read. Its body has chunks if `chunked`, else it ends with the connection."""

    __slots__ = (
        "_between",
        "_chunk_left",
        "_extensions",
        "_fields",
        "_over",
        "_patience",
        "_wire",
        "chunked",
        "status",
    )

    def __init__(self, wire: Wire, patience: Patience, status: int, fields: dict[str, list[str]]) -> None:
        self._wire = wire
        self._patience = patience
        self._fields = fields
        self._chunk_left = 0
        self._between = self._over = False  # the end of a chunk's data was read; the last chunk was read
        self._extensions = Allowance("chunk extensions", MAX_HTTP_EXTENSION_BYTES)
        self.status = status
        self.chunked = "transfer-encoding" in fields

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of the header `name`, which is in lower case."""
        return tuple(self._fields.get(name, ()))

    def value(self, name: str, default: str = "") -> str:
        """Return the first value of the header `name`, or `default`."""
        return next(iter(self.values(name)), default)

    def piece(self, most: int) -> bytes:
        """Return up to `most` bytes of the body as they come; no bytes at its end.

        Raises `NotHttp`, `CutShort` in a chunked body, `TimeoutError` and `OSError`.
        """
        if not self.chunked:
            piece = self._wire.some(most)
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


def ask(wire: Wire, patience: Patience, parts: SplitResult, headers: dict[str, str]) -> Answer:
    """Send a GET for the address `parts` and return the answer with its head.

    Raises `NotHttp`, `CutShort`, `TimeoutError` and `OSError`.
    """
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    wanted = {
        "Host": parts.netloc,
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": "cosmos",
        **headers,
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    wire.send("\r\n".join(lines).encode("latin-1"))
    head = Allowance("status line and headers", MAX_HTTP_HEAD_BYTES)
    for _ in range(MAX_HTTP_INTERIM_ANSWERS + 1):
        status, fields = _status(wire, head), _fields(wire, head)
        if status == _SWITCHED:
            raise NotHttp("the server switches to another protocol")
        if status >= 200:
            codings = fields.get("transfer-encoding", [])
            if [coding.lower() for coding in codings] not in ([], ["chunked"]):
                raise NotHttp("the body is sent in a coding that nobody asked for")
            return Answer(wire, patience, status, fields)
    raise NotHttp(f"more than {MAX_HTTP_INTERIM_ANSWERS} interim answers")


def _status(wire: Wire, head: Allowance) -> int:
    match = _STATUS.fullmatch(wire.line(head))
    if match is None:
        raise NotHttp("it has no status line")
    return int(match[1])


def _fields(wire: Wire, head: Allowance) -> dict[str, list[str]]:
    """Return the headers up to the empty line: the values by the name in lower case."""
    fields: dict[str, list[str]] = {}
    while line := wire.line(head):
        match = _HEADER.fullmatch(line)
        if match is None:
            raise NotHttp("a line of the headers is not `name: value`")
        fields.setdefault(match[1].decode("ascii").lower(), []).append(match[2].decode("latin-1"))
    return fields
