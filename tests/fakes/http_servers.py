"""HTTP servers on this machine: one without ranges, one with ranges, and one that sends any answer a test needs."""

from __future__ import annotations

import functools
import http.server
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fakes.waiting import LONG_SECONDS

Answer = Callable[[bytes], Iterable[bytes]]
"""From the request's head to the pieces of the answer; the connection is closed after the last."""

_HANDSHAKE = b"\x16\x03"  # how a client begins TLS; then it waits for the server


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of a client that hung up: a test that reads stderr would hear it, perhaps only the next one."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve `folder` just as `python3 -m http.server` does (no ranges) and give its address."""
    server = QuietServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class RawServer:
    """A server that gives the n-th answer to the n-th request, and the last to later ones. `heads`: the requests."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.heads: list[bytes] = []
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and end the thread: each that waits for ever keeps its stack in this process."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # to close it would not wake the thread
        self._listener.close()

    def asked(self, header: str) -> list[str]:
        """The value of `header` in each request; "" if it has no such header."""
        found = [re.search(rf"(?im)^{header}: (.*?)\r?$", head.decode("latin-1")) for head in self.heads]
        return [match[1] if match else "" for match in found]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            answer = self._answers[min(len(self.heads), len(self._answers) - 1)]
            self.heads.append(_head_of(connection))
            threading.Thread(target=self._send, args=(connection, answer(self.heads[-1])), daemon=True).start()

    def _send(self, connection: socket.socket, pieces: Iterable[bytes]) -> None:
        with suppress(OSError), connection:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_RDWR)


def _head_of(connection: socket.socket) -> bytes:
    head = b""
    connection.settimeout(LONG_SECONDS)
    with suppress(OSError):
        while b"\r\n\r\n" not in head and not head.startswith(_HANDSHAKE) and (piece := connection.recv(4096)):
            head += piece
    return head


@contextmanager
def raw_server(*answers: Answer | bytes) -> Iterator[RawServer]:
    """Give a server with these answers; bytes are sent as they are."""
    server = RawServer([_always(answer) if isinstance(answer, bytes) else answer for answer in answers])
    try:
        yield server
    finally:
        server.close()


def _always(data: bytes) -> Answer:
    return lambda head: [data]


def said(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer's bytes: a status line, headers, a body."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def ranged(data: bytes, etag: str, *, most: int | None = None) -> Answer:
    """A server that honours Range and If-Range for `data`, and hangs up after `most` bytes of body."""

    def answer(head: bytes) -> Iterable[bytes]:
        text = head.decode("latin-1")
        wanted = re.search(r"(?im)^Range: bytes=(\d+)-\r?$", text)
        condition = re.search(r"(?im)^If-Range: (.*?)\r?$", text)
        fits = condition is not None and condition[1] == etag
        if wanted and fits:
            start = int(wanted[1])
            body = data[start:]
            extent = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}"
            yield said("206 Partial Content", f"Content-Length: {len(body)}", f"ETag: {etag}", extent)
        else:
            body = data
            yield said("200 OK", f"Content-Length: {len(body)}", f"ETag: {etag}")
        yield body[:most]

    return answer
