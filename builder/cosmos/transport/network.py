"""`Network`: how servers are reached: through which proxy, with which certificates, and on which connection.

A connection that has brought its answer waits here for the next request to the same server, so that a galaxy of fifty
stars takes one connection. A server may close it meanwhile (RFC 9112 section 9.3.1); the request then goes once more,
over a new one. Connections with different proxies or certificates are never exchanged for one another.

    MAX_IDLE_CONNECTIONS    connections that wait, of all servers; the one that waits longest is closed
    HTTP_IDLE_SECONDS       that one may wait and still be used

Several threads may use one network. `close` closes the connections that wait; whoever makes a network closes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import SplitResult

from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import HTTP_IDLE_SECONDS, MAX_HTTP_HEAD_BYTES, MAX_IDLE_CONNECTIONS
from cosmos.model.netrc import Netrc
from cosmos.records import dataclass
from cosmos.transport.proxies import Proxies, Proxy

if TYPE_CHECKING:
    import ssl

    from cosmos.transport.wire import Patience, Wire

IPFS_GATEWAY: Final = "IPFS_GATEWAY"  # the variable that transport.ipfs asks for
PORTS: Final = {"http": 80, "https": 443}
_AUTHENTICATION_REQUIRED: Final = 407


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorities:
    """The certificates of the authorities that vouch for https:// servers, in PEM form. `source` names their file."""

    source: str
    pem: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A connection to the server of one key. `proxy`: it goes there by http, and asks a proxy for the whole address."""

    wire: Wire
    key: tuple[str, ...]
    proxy: Proxy | None
    is_used: bool


class _Idle:
    """The connections that wait, the one that has waited longest first."""

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._most = most
        self._waiting: list[tuple[float, tuple[str, ...], Wire]] = []

    def take(self, key: tuple[str, ...]) -> Wire | None:
        """Return a connection that can be used, or None. Those that have waited too long are closed."""
        with self._lock:
            since = self._clock() - HTTP_IDLE_SECONDS
            usable = [row for row in self._waiting if row[0] >= since and not row[2].is_dead]
            found = next((row for row in reversed(usable) if row[1] == key), None)
            for row in self._waiting:
                if row not in usable:
                    row[2].close()
            self._waiting = [row for row in usable if row is not found]
        return None if found is None else found[2]

    def put(self, key: tuple[str, ...], wire: Wire) -> None:
        with self._lock:
            self._waiting.append((self._clock(), key, wire))
            while len(self._waiting) > self._most:
                self._waiting.pop(0)[2].close()

    def close(self) -> None:
        with self._lock:
            while self._waiting:
                self._waiting.pop()[2].close()


class Network:
    """Reaches servers. `netrc` and `authorities` are read when a server needs them; either may give None.

    `programs` are the variables that a program gets which carries bytes (transport.git, transport.ipfs).

    If `keeps` is false, no connection waits, and there is nothing to close.
    """

    __slots__ = ("_contexts", "_idle", "_proxies", "authorities", "netrc", "programs")

    def __init__(
        self,
        *,
        proxies: Proxies | None = None,
        netrc: Callable[[], Netrc | None] = lambda: None,
        authorities: Callable[[], Authorities | None] = lambda: None,
        programs: Mapping[str, str] | None = None,
        keeps: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.netrc = netrc
        self.authorities = authorities
        self.programs = programs or {}
        self._proxies = proxies or Proxies()
        self._idle = _Idle(clock, MAX_IDLE_CONNECTIONS if keeps else 0)
        self._contexts: dict[str, ssl.SSLContext] = {}

    @property
    def proxy_variables(self) -> Mapping[str, str]:
        """The variables that name the proxies, for a program that knows them as curl does."""
        return self._proxies.variables

    def knowing(
        self,
        *,
        netrc: Callable[[], Netrc | None] | None = None,
        authorities: Callable[[], Authorities | None] | None = None,
    ) -> Network:
        """Return this network with another netrc or other authorities, and with the same connections."""
        other = copy(self)
        other.netrc = netrc or self.netrc
        other.authorities = authorities or self.authorities
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection that waits."""
        self._idle.close()

    def line(self, parts: SplitResult, url: str, patience: Patience, *, fresh: bool) -> Line:
        """Return a connection to the server of the address `parts`: one that waits, or a new one if `fresh`.

        Raises `Malformed` for a proxy's variable, `WorldFailed` without TLS and for a proxy that refuses, `NotHttp`,
        `CutShort` and `OSError`.
        """
        from cosmos.transport.wire import connected  # with the sockets: a galaxy in a folder needs none

        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        proxy = self._proxies.proxy(parts.scheme, host, port)
        authorities = self.authorities() if parts.scheme == "https" else None
        pinned = "" if authorities is None else Digest.of(authorities.pem).hex
        key = (parts.scheme, host, str(port), *(("", "") if proxy is None else (str(proxy), proxy.login)), pinned)
        asked = proxy if parts.scheme == "http" else None
        wire = None if fresh else self._idle.take(key)
        if wire is not None:
            wire.begin(patience)
            return Line(wire=wire, key=key, proxy=asked, is_used=True)
        context = self._context(authorities, pinned, url) if parts.scheme == "https" else None
        wire = connected(host, port, patience) if proxy is None else _connected_to(proxy, patience)
        try:
            if context is not None:
                if proxy is not None:
                    _tunnel(wire, host, port, proxy)
                wire.secure(host, context)
        except BaseException:
            wire.close()
            raise
        return Line(wire=wire, key=key, proxy=asked, is_used=False)

    def keep(self, line: Line) -> None:
        """Let the connection wait for the next request to the same server."""
        self._idle.put(line.key, line.wire)

    def _context(self, authorities: Authorities | None, pinned: str, url: str) -> ssl.SSLContext:
        try:
            import ssl  # a Python may lack it, and it takes time that no http:// galaxy needs
        except ImportError as error:
            raise WorldFailed(
                url, "this cosmos was built without TLS", hint="use http://: galaxies are signed"
            ) from error
        context = self._contexts.get(pinned)
        if context is None:
            try:
                text = "" if authorities is None else authorities.pem.decode("ascii")
                if authorities is not None and not text.strip():
                    raise ValueError("ssl would take the system's authorities in place of none")
                context = ssl.create_default_context(cadata=text)
            except (ssl.SSLError, ValueError):
                source = "" if authorities is None else authorities.source
                raise Malformed(source, "holds no certificates in PEM form") from None
            self._contexts[pinned] = context
        return context


class Withheld(WorldFailed):
    """A proxy does not let the request through."""


def _connected_to(proxy: Proxy, patience: Patience) -> Wire:
    from cosmos.transport.wire import connected  # as above

    try:
        return connected(proxy.host, proxy.port, patience)
    except TimeoutError:
        raise
    except OSError as error:
        raise OSError(error.errno, f"the proxy {proxy}: {error.strerror or error}") from error


def _tunnel(wire: Wire, host: str, port: int, proxy: Proxy) -> None:
    """Ask the proxy for a connection to `host` (RFC 9110 section 9.3.6). Raises `Withheld`."""
    from cosmos.transport.answer import read_head  # as above
    from cosmos.transport.wire import Allowance

    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    login = f"Proxy-Authorization: {proxy.login}\r\n" if proxy.login else ""
    wire.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: cosmos\r\n{login}\r\n".encode("latin-1"))
    status = read_head(wire, Allowance("status line and headers", MAX_HTTP_HEAD_BYTES)).status
    if status == _AUTHENTICATION_REQUIRED:
        raise password_wanted(proxy)
    if not 200 <= status < 300:
        raise Withheld(str(proxy), f"the proxy answers {status} and does not connect to {target}", hint=_EXEMPT)


def password_wanted(proxy: Proxy) -> Withheld:
    """Return the error for a proxy that asks for a password, or that does not take the one it was given."""
    problem = "the proxy does not take this name and password" if proxy.login else "the proxy asks for a password"
    return Withheld(
        str(proxy), f"{problem} (407)", hint=f"export {proxy.variable}=http://NAME:PASSWORD@{proxy.host}:{proxy.port}"
    )


_EXEMPT: Final = "if the server is reached without the proxy, add its name to no_proxy"
DIRECT: Final = Network(keeps=False)
"""Without proxies, passwords and connections that wait: for a caller that was handed no network."""
