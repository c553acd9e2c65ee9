"""`Client`: one request to a galaxy's server, and its answer. A connection, a proxy and a password as they need them.

One exchange at a time goes over a connection, and the next one over the same connection, if the answer was read to its
very end (`transport.network`). A server may have closed it meanwhile. If nothing at all has come, the request is sent
once more on a new connection.

A password is sent only after the galaxy's own server has asked for one (401), and to no server that it redirects to:
a host that the operator did not write into the galaxy's address never gets one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cosmos.errors import WorldFailed
from cosmos.limits import HTTP_DRAIN_SECONDS, HTTP_LEAST_BYTES, MAX_HTTP_DRAIN_BYTES
from cosmos.transport.answer import Answer, ask
from cosmos.transport.network import PORTS, Line, Network, password_wanted
from cosmos.transport.proxies import basic
from cosmos.transport.wire import CutShort, NotHttp, Patience

_BASIC: Final = re.compile(r"(?:^|,)\s*basic(?:\s|,|$)", re.IGNORECASE)
_CERTIFICATE: Final = (
    "check the clock of this machine, and the authorities that it knows (SSL_CERT_FILE, or ca in config.toml, names a "
    "file of them); http:// works too, because galaxies are signed"
)
_OUTAGE: Final = "check the network and the address; a cut-off download is resumed"


class Interrupted(WorldFailed):
    """The connection failed or ended early: trying again may help."""


class Client:
    """Asks the server of the galaxy at `address`, and those that it redirects to."""

    __slots__ = ("_address", "_login", "_network")

    def __init__(self, address: str, network: Network) -> None:
        self._address = address
        self._login = ""  # the header Authorization, once the server has asked for it
        self._network = network

    def asked(self, asked: str, patience: Patience, headers: dict[str, str]) -> tuple[Line, Answer]:
        """Return the answer to a GET of `asked`, and its connection; with a password if the server asks for one.

        Raises `Interrupted`, and `WorldFailed` for a password that is missing or that is not taken.
        """
        parts, is_ours = urlsplit(asked), _server(asked) == _server(self._address)
        login = {"Authorization": self._login} if self._login and is_ours else {}
        line, answer = self._exchanged(parts, asked, patience, {**headers, **login})
        try:
            if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and line.proxy is not None:
                raise password_wanted(line.proxy)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return line, answer
            authorization = self._authorization(asked, answer, is_ours=is_ours, was_sent=bool(login))
        except BaseException:
            line.wire.close()
            raise
        self.done_with(line, answer)
        line, answer = self._exchanged(parts, asked, patience, {**headers, "Authorization": authorization})
        if answer.status == HTTPStatus.UNAUTHORIZED:
            line.wire.close()
            self._authorization(asked, answer, is_ours=is_ours, was_sent=True)
        self._login = authorization
        return line, answer

    def _exchanged(
        self, parts: SplitResult, asked: str, patience: Patience, headers: dict[str, str]
    ) -> tuple[Line, Answer]:
        """Send the request. If a connection that waited was closed by the server, send it once more on a new one."""
        with interrupting(asked, patience):
            line = self._network.line(parts, asked, patience, fresh=False)
            try:
                return line, _sent(line, parts, patience, headers)
            except (CutShort, ConnectionError):
                line.wire.close()
                if not line.is_used or line.wire.heard:
                    raise
            except BaseException:
                line.wire.close()
                raise
            line = self._network.line(parts, asked, patience, fresh=True)
            try:
                return line, _sent(line, parts, patience, headers)
            except BaseException:
                line.wire.close()
                raise

    def done_with(self, line: Line, answer: Answer) -> None:
        """Keep the connection for the next request if the whole answer has come, or is about to; else close it."""
        with suppress(OSError, CutShort, NotHttp):
            line.wire.begin(Patience(HTTP_DRAIN_SECONDS))
            answer.drain(MAX_HTTP_DRAIN_BYTES)
            if answer.leaves_connection():
                self._network.keep(line)
                return
        line.wire.close()

    def _authorization(self, asked: str, answer: Answer, *, is_ours: bool, was_sent: bool) -> str:
        """Return the header Authorization for the server that asks for a password. Raises `WorldFailed`."""
        parts = urlsplit(asked)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        problem = "the server asks for a password (401 Unauthorized)"
        if not is_ours:
            raise WorldFailed(asked, f"{problem}; none is sent to a server that another one redirects to")
        if not _BASIC.search(",".join(answer.values("www-authenticate"))):
            raise WorldFailed(asked, f"{problem} in a way that cosmos does not know: it knows Basic alone")
        netrc = self._network.netrc()
        machine = host if parts.scheme == "https" else f"http://{_bracketed(host)}:{port}"
        place = "~/.netrc (mode 0600), or the file that NETRC names" if netrc is None else netrc.source
        line = f"write into {place}: machine {machine} login NAME password PASSWORD"
        login = None if netrc is None else netrc.login(parts.scheme, host, port)
        if login is None:
            readable = "" if parts.scheme == "https" else "; everybody on the way can read it, so prefer https://"
            raise WorldFailed(asked, problem, hint=line + readable)
        if was_sent:
            where = "" if netrc is None else f" of {netrc.source}"
            raise WorldFailed(asked, f"the server does not take the name and password{where} (401 Unauthorized)")
        return basic(login.name, login.password)


def _sent(line: Line, parts: SplitResult, patience: Patience, headers: dict[str, str]) -> Answer:
    """Send the request on the connection and return the answer with its head."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    wanted = {"Host": parts.netloc, **headers}
    if line.proxy is not None:  # RFC 9112 section 3.2.2: a proxy is told the whole address
        target = f"http://{parts.netloc}{target}"
        if line.proxy.login:
            wanted["Proxy-Authorization"] = line.proxy.login
    return ask(line.wire, patience, target, wanted)


def _server(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def interrupting(url: str, patience: Patience) -> Iterator[None]:
    """Turn the errors of sockets and of the modules below into `Interrupted` about `url`."""
    try:
        yield
    except TimeoutError as error:
        slow = f"brings less than {HTTP_LEAST_BYTES} bytes of the file in {patience.seconds} s"
        problem = slow if patience.begun else "the server does not answer"
        raise Interrupted(url, problem, hint=_OUTAGE) from error
    except (OSError, UnicodeError) as error:
        raise Interrupted(url, f"cannot be reached: {_reason(error)}", hint=_hint_of(error)) from error
    except CutShort as error:
        raise Interrupted(url, "the connection ended before the answer did", hint=_OUTAGE) from error
    except NotHttp as error:
        raise Interrupted(url, f"the answer is not HTTP: {error}", hint=_OUTAGE) from error


def _reason(error: Exception) -> str:
    return (getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)).lower()


def _hint_of(error: Exception) -> str:
    return _CERTIFICATE if hasattr(error, "verify_message") else _OUTAGE
