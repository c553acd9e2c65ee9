"""HTTP/1.1 servers that keep their connections: of a folder, with a password, with TLS, and as a proxy."""

from __future__ import annotations

import functools
import http.server
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fakes.http_servers import QuietServer
from fakes.waiting import LONG_SECONDS


class KeptServer:
    """A running server. `connections` counts them; `requests` are the method, target and headers of each request."""

    def __init__(self, folder: Path, *, login: str = "", hang_up_after: int = 0, tls: Path | None = None) -> None:
        self.connections = 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.login = login
        self.login_behind = ""
        self.moved: dict[str, str] = {}  # from the beginning of a path to the server that has it
        self.hang_up_after = hang_up_after
        self.alone: list[str] = []
        handler = functools.partial(self.handler_class, self, directory=str(folder))
        self._server = QuietServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.address = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._cut = ("", 0)
        self._meetings: dict[str, threading.Barrier] = {}
        self._open: list[socket.socket] = []
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def handler_class(self) -> type[_Handler]:
        return _Handler

    def asked(self, header: str) -> list[str]:
        """The value of `header` in each request; "" if it has no such header."""
        return [headers.get(header, "") for _, _, headers in self.requests]

    def cut_off(self, name: str, *, after: int) -> None:
        """Hang up after so many bytes of the file of that name; "" for no file."""
        self._cut = (name, after)

    def wait_for_two(self, *endings: str) -> None:
        """Answer requests for files with such an ending in pairs: the first one waits for the second."""
        self._meetings = {ending: threading.Barrier(2) for ending in endings}

    def meet(self, target: str) -> None:
        """Wait for the other request of the pair. Without one, the answers come at last, and `alone` names the file."""
        for ending, barrier in self._meetings.items():
            if target.endswith(ending):
                try:
                    barrier.wait(LONG_SECONDS)
                except threading.BrokenBarrierError:
                    self.alone.append(target)

    def cut_of(self, target: str) -> int | None:
        """After how many bytes of this file the server hangs up."""
        name, after = self._cut
        return after if name and target.endswith(f"/{name}") else None

    def opened(self, connection: socket.socket) -> None:
        self.connections += 1
        self._open.append(connection)

    def hang_up(self) -> None:
        """Close every connection, as a server does with those that have waited for long."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def still_open(self) -> int:
        """How many of the connections the client has not closed."""
        return sum(not _is_closed(one) for one in self._open)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.hang_up()


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, kept: KeptServer, *args: Any, **options: Any) -> None:
        self.kept = kept
        self.served = 0
        super().__init__(*args, **options)

    def setup(self) -> None:
        super().setup()
        self.kept.opened(self.connection)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._refuse(code, "X-Kept: yes")

    def do_GET(self) -> None:
        self._remember()
        self.kept.meet(self.path)
        if self.kept.login and self.headers.get("Authorization") != self.kept.login:
            self._refuse(401, 'WWW-Authenticate: Basic realm="stars"')
            return
        to = next((server for start, server in self.kept.moved.items() if self.path.startswith(start)), "")
        if to:
            self._refuse(302, f"Location: {to}{self.path}")
            return
        self.served += 1
        cut = self.kept.cut_of(self.path)
        file = Path(self.translate_path(self.path))
        if (cut is not None or "Range" in self.headers) and file.is_file():
            self._send_part(file.read_bytes(), cut)
            return
        super().do_GET()
        if self.served == self.kept.hang_up_after:
            self.wfile.flush()
            self.close_connection = True

    def _send_part(self, data: bytes, cut: int | None) -> None:
        """Send the file from the start that is asked for, and hang up after `cut` bytes."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        self.wfile.write(data[start:] if cut is None else data[start:cut])
        self.close_connection = self.close_connection or cut is not None

    def do_CONNECT(self) -> None:
        self._remember()
        if self._lacks_login():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.wfile.flush()
            _copy_both_ways(self.connection, there)
        self.close_connection = True

    def _lacks_login(self) -> bool:
        if self.kept.login and self.headers.get("Proxy-Authorization") != self.kept.login:
            self._refuse(407, 'Proxy-Authenticate: Basic realm="proxy"')
            return True
        return False

    def _remember(self) -> None:
        self.kept.requests.append((self.command, self.path, dict(self.headers.items())))

    def _refuse(self, status: int, header: str) -> None:
        self.send_response(status)
        name, _, value = header.partition(": ")
        self.send_header(name, value)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"none\n")


class _ProxyHandler(_Handler):
    """A proxy for http:// too: it answers for every host with the files of its folder."""

    def do_GET(self) -> None:
        self._remember()
        if self._lacks_login():
            return
        if self.kept.login_behind and self.headers.get("Authorization") != self.kept.login_behind:
            self._refuse(401, 'WWW-Authenticate: Basic realm="stars"')
            return
        self.path = "/" + self.path.split("/", 3)[3]
        http.server.SimpleHTTPRequestHandler.do_GET(self)


class KeptProxy(KeptServer):
    """A proxy: http:// of any host is the folder; https:// is connected to the server itself.

    The servers behind it ask for the login `login_behind`, if it is not "".
    """

    @property
    def handler_class(self) -> type[_Handler]:
        return _ProxyHandler


@contextmanager
def kept(folder: Path, *, login: str = "", hang_up_after: int = 0, tls: Path | None = None) -> Iterator[KeptServer]:
    """Serve `folder` over HTTP/1.1. `hang_up_after`: so many files go over one connection."""
    server = KeptServer(folder, login=login, hang_up_after=hang_up_after, tls=tls)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def proxy(folder: Path, *, login: str = "") -> Iterator[KeptProxy]:
    """Give a proxy."""
    server = KeptProxy(folder, login=login)
    try:
        yield server
    finally:
        server.close()


def certificate(folder: Path) -> Path:
    """Make a key and a certificate for 127.0.0.1 that vouches for itself; return the file of both."""
    file = folder / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + (folder / "cert.pem").read_bytes())
    return file


def _copy_both_ways(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while True:
            ready, _, _ = select.select([one, other], [], [], 10)
            for source in ready:
                data = source.recv(1 << 16)
                if not data:
                    return
                (other if source is one else one).sendall(data)
            if not ready:
                return


def _is_closed(connection: socket.socket) -> bool:
    try:
        connection.settimeout(5)
        return connection.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
