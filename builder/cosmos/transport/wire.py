"""One connection to a web server. Every wait on it counts against one `Patience`, and every line has an `Allowance`.

A server can hold a client for ever in many ways: a slow connect, half a TLS handshake, a status line or headers that
drip, chunk sizes, trailers, one redirect after the other. A limit for each read does not help, because each read brings
a byte. So all of one exchange shares a patience, and only bytes of a body renew it.

A download that nobody wants any more is stopped from another thread. Its waits are short ones in a row, and each asks
whether it was stopped.

KNOWN GAP: the C library looks up a host's address, and its own limits end that wait (`timeout` and `attempts` in
resolv.conf(5)).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from cosmos.limits import HTTP_LEAST_BYTES, HTTP_STOP_SECONDS, READ_CHUNK_BYTES

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

_HEAD_READ_BYTES: Final = 1 << 14  # one read of a head, or of a line between two chunks


class NotHttp(Exception):
    """The answer breaks the rules of HTTP, or a limit of this module."""


class CutShort(Exception):
    """The server ended the connection before the answer was complete."""


class Stopped(Exception):
    """Nobody wants the download any more."""


class Patience:
    """Ends an exchange that does not get on. `begun` says whether a byte of an answer has come.

    If `stop` is set, the exchange ends at once, by `Stopped`.
    """

    __slots__ = ("_body_bytes", "_clock", "_since", "_stop", "begun", "seconds")

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, stop: threading.Event | None = None
    ) -> None:
        self.seconds = seconds
        self.begun = False
        self._stop = stop
        self._clock = clock
        self._since = clock()
        self._body_bytes = 0

    def left(self) -> float:
        """Return the seconds that are left; raises `TimeoutError` if there are none, and `Stopped`."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        left = self._since + self.seconds - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def moment(self) -> float:
        """Return the seconds that one wait may take: those that are left, or fewer if somebody may stop it."""
        left = self.left()
        return left if self._stop is None else min(left, HTTP_STOP_SECONDS)

    def renew(self, body_bytes: int) -> None:
        """Count `body_bytes` of a body. After each `HTTP_LEAST_BYTES`, all seconds are left again."""
        self._body_bytes += body_bytes
        if self._body_bytes >= HTTP_LEAST_BYTES:
            self._since, self._body_bytes = self._clock(), 0


class Allowance:
    """How many bytes a part of an answer may still have. `what` is the part's name in an error."""

    __slots__ = ("_left", "_most", "_what")

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._left = self._most = most

    def demand(self, size_bytes: int) -> None:
        """Raise `NotHttp` if `size_bytes` are more than are left."""
        if size_bytes > self._left:
            raise NotHttp(f"{self._what} have more than {self._most} bytes")

    def use(self, size_bytes: int) -> None:
        """Take `size_bytes` off; raises `NotHttp` if they are more than are left."""
        self.demand(size_bytes)
        self._left -= size_bytes


class Wire:
    """A connection. Its methods raise `TimeoutError` when the patience ends, and `OSError`.

    `heard` says whether a byte has come since the exchange began.
    """

    __slots__ = ("_buffer", "_connection", "_patience", "heard")

    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._buffer = b""
        self.heard = False

    def begin(self, patience: Patience) -> None:
        """Begin another exchange on this connection, with its own patience."""
        self._patience = patience
        self.heard = False

    @property
    def is_quiet(self) -> bool:
        """Whether every byte that has come was read."""
        return not self._buffer

    @property
    def is_dead(self) -> bool:
        """Whether the server has closed the connection, or has sent more than it was asked for.

        With TLS, waiting bytes may be of TLS itself, so that nothing can be said.
        """
        if hasattr(self._connection, "pending"):
            return False
        self._connection.settimeout(0)
        try:
            self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def secure(self, host: str, context: ssl.SSLContext) -> None:
        """Begin TLS with `host`, whose certificate is checked. Raises `NotHttp` for bytes before it, and `OSError`."""
        if self._buffer:
            raise NotHttp("bytes came before TLS began")
        self._connection = secured(self._connection, host, context)
        handshake = getattr(self._connection, "do_handshake", None)
        if handshake is not None:
            _waited(self._connection, self._patience, handshake)

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self._connection.settimeout(self._patience.left())
        self._connection.sendall(data)
        # A server with Nagle's algorithm keeps a body back until the head is acknowledged: at once, not after 40 ms.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def line(self, allowance: Allowance) -> bytes:
        """Return the next line without its end. Raises `NotHttp` beyond the allowance, and `CutShort`."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            allowance.demand(searched)
            piece = self._received(_HEAD_READ_BYTES)
            if not piece:
                raise CutShort
            self._buffer += piece
        allowance.use(end + 1)
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.removesuffix(b"\r")

    def some(self, most: int) -> bytes:
        """Return up to `most` of the next bytes, as they come; no bytes at the connection's end."""
        if not self._buffer:
            return self._received(min(most, READ_CHUNK_BYTES))
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    def _received(self, most: int) -> bytes:
        piece = _waited(self._connection, self._patience, lambda: self._connection.recv(most))
        if piece:
            self.heard = self._patience.begun = True
        return piece


def connected(host: str, port: int, patience: Patience) -> Wire:
    """Return a connection to `host`. Raises `OSError`.

    Each address of the host gets its share of what is left of the patience, so that one that swallows packets does not
    take the others' time.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the host has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = socket.socket(family, kind, protocol)
        try:
            _connect(connection, address, patience, patience.left() / (len(addresses) - number))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return Wire(connection, patience)
    raise failure


def secured(connection: socket.socket, host: str, context: ssl.SSLContext) -> socket.socket:
    """Return `connection` with TLS, whose handshake checks the certificate and is still to come; raises `OSError`."""
    return context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)


def _connect(connection: socket.socket, address: tuple[object, ...], patience: Patience, seconds: float) -> None:
    """Connect within `seconds`. Raises `OSError`."""
    connection.setblocking(False)
    begun = connection.connect_ex(address)
    if begun not in (0, errno.EINPROGRESS):
        raise OSError(begun, os.strerror(begun))
    poll, end = select.poll(), time.monotonic() + seconds
    poll.register(connection, select.POLLOUT)
    while not poll.poll(1000 * min(patience.moment(), max(end - time.monotonic(), 0.001))):
        if time.monotonic() >= end:
            raise TimeoutError
    problem = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if problem:
        raise OSError(problem, os.strerror(problem))


def _waited(connection: socket.socket, patience: Patience, act: Callable[[], T]) -> T:
    """Return what `act` returns, which waits on the connection. Raises `TimeoutError` when the patience ends."""
    while True:
        connection.settimeout(patience.moment())
        try:
            return act()
        except TimeoutError as error:
            if error.errno is not None:  # ETIMEDOUT, which the network says: it is no end of one wait
                raise
