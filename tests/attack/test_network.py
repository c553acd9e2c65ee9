"""Connections that stay, passwords, proxies and certificates, over real sockets: what a server gets, and what stays."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.limits import MAX_DOWNLOADS_AHEAD, MAX_DOWNLOADS_AT_ONCE
from cosmos.model.netrc import Netrc
from cosmos.transport.carrier import NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.network import Authorities, Network
from cosmos.transport.partial import part_name
from cosmos.transport.proxies import Proxies, basic
from fakes.galaxies import StarSpec, galaxy_files, make_signers
from fakes.http_servers import raw_server, said
from fakes.kept_servers import KeptServer, certificate, kept, proxy
from fakes.programs import Cosmos

SECRET = "hunter2-of-the-reader"
LOGIN = basic("reader", SECRET)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.toml").write_text(f"number = {number}\n")
    return folder


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as opened:
        yield opened


def unwilling(seconds: float) -> None:
    raise AssertionError("it waits, although nothing was missed")


def carrier(address: str, tmp_path: Path, network: Network) -> HttpCarrier:
    return HttpCarrier(address, tmp_path / "partial", network, timeout_seconds=30, pause=unwilling)


def knowing(server: KeptServer, scheme: str = "http") -> Callable[[], Netrc]:
    line = f"machine {scheme}://127.0.0.1:{server.port} login reader password {SECRET}\n"
    return lambda: Netrc.parse(line.encode(), "netrc")


@functools.cache
def fifty_stars(seq: int) -> dict[str, bytes]:
    """Return the files of a galaxy, which are the same for every test."""
    stars = [StarSpec(f"star{number}", "1.0.0", {f"usr/{number}": b"x" * 3000}) for number in range(50)]
    return galaxy_files("core", stars, make_signers(), seq=seq)


class System:
    """A system with one signed galaxy of fifty stars, which a server may serve."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.root, self.galaxy, self.cosmos = where / "system", where / "galaxy", cosmos
        self.signers = make_signers()
        self.publish(1)
        trust = self.signers.write_trust(where / "trust.toml")
        self.root.mkdir()
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()

    def publish(self, seq: int) -> None:
        for name, data in fifty_stars(seq).items():
            (self.galaxy / name).parent.mkdir(parents=True, exist_ok=True)
            (self.galaxy / name).write_bytes(data)

    def add(self, address: str, network: str = "") -> None:
        self.cosmos("add-galaxy", "core", address, "--root", self.root).ok()
        with (self.root / "etc/cosmos/config.toml").open("a") as config:
            config.write(network)

    def written(self) -> bytes:
        """Every byte of every file of the system."""
        return b"".join(file.read_bytes() for file in self.root.rglob("*") if file.is_file())


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setenv("HOME", str(tmp_path))
    return System(tmp_path, cosmos)


# Connections.


def test_a_galaxy_of_fifty_stars_takes_four_connections_at_most_which_are_closed(system: System) -> None:
    with kept(system.galaxy) as server:
        system.add(server.address)
        outcome = system.cosmos("sync", "--full", "--root", system.root).ok()
        assert "50 versions, 50 archives" in outcome.out
        assert server.connections <= MAX_DOWNLOADS_AT_ONCE
        assert len(server.requests) > 150
        assert server.still_open() == 0


def test_an_installation_of_many_stars_asks_for_several_files_at_once_and_an_update_for_no_star(system: System) -> None:
    with kept(system.galaxy) as server:
        system.add(server.address)
        server.wait_for_two(".tar.zst")
        names = [f"star{number}" for number in range(20)]
        system.cosmos("install", *names, "--yes", "--root", system.root).ok()
        assert server.alone == []
        assert server.connections > 1
        targets = [target for _, target, _ in server.requests]
        assert len(targets) == len(set(targets))
        server.requests.clear()
        system.cosmos("update", "--yes", "--root", system.root).ok()
        assert [target for _, target, _ in server.requests if "star" in target] == []


def test_a_file_that_is_not_there_leaves_the_connection(files: Path, tmp_path: Path, network: Network) -> None:
    with kept(files) as server:
        stars = carrier(server.address, tmp_path, network)
        for name in ("0.toml", "none", "1.toml", "none.dsse", "2.toml"):
            if name.startswith("none"):
                with pytest.raises(NotThere):
                    stars.read(name, max_bytes=100)
            else:
                assert stars.read(name, max_bytes=100) == (files / name).read_bytes()
        assert server.connections == 1


def test_a_server_that_hangs_up_between_requests_is_asked_once_more(
    files: Path, tmp_path: Path, network: Network
) -> None:
    with kept(files, hang_up_after=2) as server:
        stars = carrier(server.address, tmp_path, network)
        for _ in range(3):
            for number in range(5):
                assert stars.read(f"{number}.toml", max_bytes=100) == f"number = {number}\n".encode()
        assert server.connections == 8
        server.hang_up()
        assert stars.read("0.toml", max_bytes=100) == b"number = 0\n"


def test_a_server_that_hangs_up_when_it_is_asked_again_is_asked_on_a_new_connection(
    tmp_path: Path, network: Network
) -> None:
    """The first connection is closed only after the second request has come: nothing shows it before."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[int] = []

    def serve() -> None:
        for number in (1, 2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                asked.append(number)
                connection.sendall(said("200 OK", "Content-Length: 2", body=b"ok"))
                connection.recv(4096)
                asked.append(number)

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        stars = carrier(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path, network)
        assert [stars.read("a", max_bytes=9), stars.read("b", max_bytes=9)] == [b"ok", b"ok"]
        assert asked == [1, 1, 2]


@pytest.mark.parametrize("late", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n", b"x"])
def test_bytes_after_an_answer_are_no_answer_to_the_next_request(tmp_path: Path, network: Network, late: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        for number in (1, 2):
            connection, _ = listener.accept()
            held.append(connection)
            connection.recv(4096)
            connection.sendall(said("200 OK", "Content-Length: 4", body=b"go%02d" % number) + late)

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        stars = carrier(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path, network)
        assert [stars.read("a", max_bytes=9), stars.read("b", max_bytes=9)] == [b"go01", b"go02"]
    for one in held:
        one.close()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", "Connection: close"),
        ("Content-Length: 2", "Connection: x, Close"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
    ],
)
def test_a_connection_that_may_not_stay_is_closed(tmp_path: Path, network: Network, headers: tuple[str, ...]) -> None:
    body = b"2\r\nok\r\n0\r\n\r\n" if "chunked" in headers[-1] else b"ok"
    answer = said("200 OK", *headers, body=body)
    closed: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)
            closed.append(connection.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with closing(listener):
        stars = carrier(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path, network)
        assert stars.read("a", max_bytes=9) == b"ok"
        thread.join(30)
        assert closed == [b""]


def test_a_connection_that_waits_too_long_is_not_used(files: Path, tmp_path: Path) -> None:
    now = [0.0]
    with kept(files) as server, Network(clock=lambda: now[0]) as network:
        stars = carrier(server.address, tmp_path, network)
        for now[0] in (0, 19, 38, 59):
            stars.read("0.toml", max_bytes=100)
        assert server.connections == 2


# Passwords.


def test_a_password_is_sent_after_the_server_has_asked_and_then_with_each_request(files: Path, tmp_path: Path) -> None:
    with kept(files, login=LOGIN) as server, Network(netrc=knowing(server)) as network:
        stars = carrier(server.address, tmp_path, network)
        assert [stars.read(f"{number}.toml", max_bytes=100) for number in range(3)] != []
        assert server.asked("Authorization") == ["", LOGIN, LOGIN, LOGIN]
        assert server.connections == 1


def test_a_server_that_does_not_ask_gets_no_password(files: Path, tmp_path: Path) -> None:
    with kept(files) as server, Network(netrc=knowing(server)) as network:
        carrier(server.address, tmp_path, network).read("0.toml", max_bytes=100)
        assert server.asked("Authorization") == [""]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.objective("SO-26")
def test_a_server_that_another_one_redirects_to_gets_no_password(files: Path, tmp_path: Path, scheme: str) -> None:
    """Neither that of the first server, nor its own, which the operator did not ask for."""
    with kept(files, login=LOGIN) as thief:
        sent = said("302 Found", f"Location: {thief.address}/0.toml", "Content-Length: 0")
        asks = said("401 Unauthorized", "WWW-Authenticate: Basic", "Content-Length: 0")
        with raw_server(asks, sent) as first, Network(netrc=knowing(thief)) as network:
            mine = f"machine http://127.0.0.1 login reader password {SECRET}\n"  # for each port of both servers
            ours = network.knowing(netrc=lambda: Netrc.parse(mine.encode(), "netrc"))
            with pytest.raises(WorldFailed, match="none is sent to a server that another one redirects to"):
                carrier(first.address, tmp_path, ours).read("0.toml", max_bytes=100)
            assert first.asked("Authorization") == ["", LOGIN]
            assert thief.asked("Authorization") == [""]


def test_a_password_that_is_for_https_is_not_sent_where_everybody_can_read_it(files: Path, tmp_path: Path) -> None:
    with kept(files, login=LOGIN) as server:
        line = f"machine 127.0.0.1 login reader password {SECRET}\n"
        with (
            Network(netrc=lambda: Netrc.parse(line.encode(), "netrc")) as network,
            pytest.raises(WorldFailed, match="asks for a password") as caught,
        ):
            carrier(server.address, tmp_path, network).read("0.toml", max_bytes=100)
        assert server.asked("Authorization") == [""]
    hint = str(caught.value.hint)
    assert f"write into netrc: machine http://127.0.0.1:{server.port} login NAME password PASSWORD" in hint
    assert "everybody on the way can read it" in hint


@pytest.mark.parametrize(
    ("asks", "problem"),
    [
        ("WWW-Authenticate: Digest realm=x", "it knows Basic alone"),
        ("X: y", "it knows Basic alone"),
        ('WWW-Authenticate: Negotiate, basic realm="x"', "does not take the name and password of netrc"),
    ],
)
def test_a_server_that_asks_in_vain_is_called_what_it_is(tmp_path: Path, asks: str, problem: str) -> None:
    with raw_server(said("401 Unauthorized", asks, "Content-Length: 0")) as server:
        line = f"machine http://127.0.0.1 login reader password {SECRET}\n"
        with (
            Network(netrc=lambda: Netrc.parse(line.encode(), "netrc")) as network,
            pytest.raises(WorldFailed, match=problem) as caught,
        ):
            carrier(server.address, tmp_path, network).read("a", max_bytes=100)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.objective("SO-26")
def test_a_password_stands_in_nothing_that_is_written_or_said(system: System, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    with kept(system.galaxy, login=LOGIN) as server:
        system.add(server.address)
        failed = system.cosmos("sync", "--root", system.root).fails(5)
        assert "asks for a password" in failed.err
        assert "write into ~/.netrc" in failed.err
        netrc.write_text(f"machine http://127.0.0.1:{server.port} login reader password {SECRET}\n")
        netrc.chmod(0o644)
        assert "chmod 600" in system.cosmos("sync", "--root", system.root).fails(4).err
        netrc.chmod(0o600)
        said = [
            system.cosmos("sync", "--root", system.root).ok(),
            system.cosmos("install", "star1", "--root", system.root).ok(),
            system.cosmos("freeze", "--root", system.root).ok(),
            system.cosmos("list-galaxies", "--json", "--root", system.root).ok(),
        ]
        netrc.write_text(f"machine http://127.0.0.1:{server.port} login reader password {SECRET}x\n")
        said.append(system.cosmos("show", "star2", "--root", system.root))
    assert "does not take the name and password" in said[-1].err
    for seen in (*(one.out + one.err for one in (failed, *said)), system.written().decode("latin-1")):
        assert SECRET not in seen
        assert LOGIN.split()[1] not in seen


@pytest.mark.parametrize("key", ["netrc", "NETRC"])
def test_the_file_of_passwords_is_the_one_that_is_named(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / ".netrc").write_text("machine http://127.0.0.1 login x password wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    with kept(system.galaxy, login=LOGIN) as server:
        place = system.root / "etc/cosmos/netrc" if key == "netrc" else tmp_path / "passwords"
        place.write_text(f"machine http://127.0.0.1:{server.port} login reader password {SECRET}\n")
        place.chmod(0o600)
        if key == "NETRC":
            monkeypatch.setenv(key, str(place))
        system.add(server.address, '[network]\nnetrc = "/etc/cosmos/netrc"\n' if key == "netrc" else "")
        system.cosmos("sync", "--index", "--root", system.root).ok()
        place.unlink()
        assert str(place.name) in system.cosmos("sync", "--index", "--root", system.root).fails(2).err


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP", "ftp", "file"])
@pytest.mark.parametrize("login", ["reader:{}", "{}", "re ader:{}", "reader:{}/x", "{}@reader", "r\x01:{}"])
@pytest.mark.objective("SO-26")
def test_an_address_with_a_password_is_refused_at_every_door_and_not_shown(
    system: System, tmp_path: Path, scheme: str, login: str
) -> None:
    address = f"{scheme}://{login.format(SECRET)}@127.0.0.1:1/core"
    outcomes = [
        system.cosmos("add-galaxy", "core", address, "--root", system.root),
        system.cosmos("trust", "update", address, "--root", system.root),
    ]
    system.add("http://127.0.0.1:1/core")
    outcomes.append(system.cosmos("sync", "--from", address, "--root", system.root))
    config = system.root / "etc/cosmos/config.toml"
    config.write_text(config.read_text().replace("http://127.0.0.1:1/core", address.replace("\x01", "\\u0001")))
    outcomes += [
        system.cosmos(command, "--root", system.root) for command in ("sync", "list-galaxies", "status", "freeze")
    ]
    for outcome in outcomes:
        assert SECRET not in outcome.out + outcome.err
        assert outcome.code in (0, 2, 3), outcome.err
    assert [one.code for one in outcomes[:3]] == [2, 2, 2]


# Proxies.


def no_names(*_: object, **__: object) -> None:
    """Know no name: whoever is asked on this machine might know every one, or be slow to answer."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_http_goes_through_the_proxy_of_the_environment(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(system.galaxy) as between:
        monkeypatch.setenv("http_proxy", between.address)
        system.add("http://stars.example.org/core/../core")
        system.cosmos("remove-galaxy", "core", "--root", system.root).ok()
        system.add("http://stars.example.org")
        assert "50 versions" in system.cosmos("sync", "--root", system.root).ok().out
        asked = [(method, target, headers["Host"]) for method, target, headers in between.requests]
        assert ("GET", "http://stars.example.org/meta.toml", "stars.example.org") in asked
        before = between.connections
        assert before <= MAX_DOWNLOADS_AT_ONCE
        monkeypatch.setenv("no_proxy", "example.org")
        monkeypatch.setattr(socket, "getaddrinfo", no_names)
        assert "cannot be reached" in system.cosmos("sync", "--index", "--root", system.root).fails(5).err
        assert between.connections == before


def test_https_goes_through_the_proxy_as_a_tunnel_with_the_certificate_checked(files: Path, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    vouched = Authorities(source="ca.pem", pem=(tmp_path / "cert.pem").read_bytes())
    with (
        kept(files, tls=pem) as server,
        proxy(files) as between,
        Network(
            proxies=Proxies({"https_proxy": f"http://reader:{SECRET}@127.0.0.1:{between.port}"}),
            authorities=lambda: vouched,
        ) as network,
    ):
        stars = carrier(server.address, tmp_path, network)
        assert [stars.read("0.toml", max_bytes=100), stars.read("1.toml", max_bytes=100)] != []
        assert [row[:2] for row in between.requests] == [("CONNECT", f"127.0.0.1:{server.port}")]
        assert between.asked("Proxy-Authorization") == [LOGIN]
        assert server.asked("Proxy-Authorization") == ["", ""], "the server does not see it"
        assert server.connections == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", ["", f"reader:{SECRET}@"])
def test_a_proxy_that_asks_for_a_password_is_called_what_it_is(
    files: Path, tmp_path: Path, scheme: str, login: str
) -> None:
    variable = f"{scheme}_proxy"
    with proxy(files, login=basic("other", "login")) as between:
        proxies = Proxies({variable: f"http://{login}127.0.0.1:{between.port}"})
        problem = "does not take this name and password" if login else "asks for a password"
        with (
            Network(proxies=proxies) as network,
            pytest.raises(
                WorldFailed, match=rf"127.0.0.1:{between.port} \({variable}\): the proxy {problem}"
            ) as caught,
        ):
            carrier(f"{scheme}://stars.example.org", tmp_path, network).read("0.toml", max_bytes=100)
    assert caught.value.hint == f"export {variable}=http://NAME:PASSWORD@127.0.0.1:{between.port}"


def test_a_proxy_that_is_away_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:  # nobody else gets the port, and nobody listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        network = Network(proxies=Proxies({"http_proxy": f"http://reader:{SECRET}@127.0.0.1:{port}"}))
        stars = HttpCarrier("http://stars.example.org", tmp_path, network, pause=lambda seconds: None)
        with pytest.raises(WorldFailed, match=rf"the proxy http://127.0.0.1:{port} \(http_proxy\)") as caught:
            stars.read("a", max_bytes=9)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        said("200 OK", body=b"\x16\x03\x01"),
        said("502 Bad Gateway", "Content-Length: 0"),
        said("302 Found", "Location: http://portal/login", "Content-Length: 0"),
        b"SSH-2.0\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,
    ],
)
def test_a_proxy_that_makes_no_tunnel_gets_nothing_of_the_request(tmp_path: Path, answer: bytes) -> None:
    with raw_server(answer) as between:
        network = Network(proxies=Proxies({"https_proxy": between.address}))
        stars = HttpCarrier("https://stars.example.org", tmp_path, network, pause=lambda seconds: None)
        with pytest.raises(WorldFailed):
            stars.read("secret-name.toml", max_bytes=9)
        assert between.heads != []
        assert not any(b"secret-name" in head for head in between.heads)


def test_a_wrong_variable_stops_no_command_that_needs_no_network(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", f"socks5://reader:{SECRET}@127.0.0.1:1")
    monkeypatch.setenv("NETRC", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    system.add(str(system.galaxy))
    system.cosmos("sync", "--root", system.root).ok()
    system.add("http://127.0.0.1:1")
    outcome = system.cosmos("sync", "--root", system.root).fails(2)
    assert "all_proxy: names no proxy that cosmos can use" in outcome.err
    assert SECRET not in outcome.err
    monkeypatch.delenv("all_proxy")
    system.add("https://127.0.0.1:1")
    outcome = system.cosmos("sync", "--root", system.root).fails(2)
    assert "error: /nonexistent: cannot be read: no such file or directory" in outcome.err
    assert "hint: SSL_CERT_FILE names it: is that right?" in outcome.err


# Certificates.


def test_a_server_is_believed_by_the_pinned_authority_alone(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    pinned = system.root / "etc/cosmos/ca.pem"
    with kept(system.galaxy, tls=pem) as server:
        system.add(server.address)
        unknown = system.cosmos("sync", "--index", "--root", system.root).fails(5)
        assert "SSL_CERT_FILE, or ca in config.toml" in unknown.err
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        system.cosmos("sync", "--index", "--root", system.root).ok()
        system.add(server.address, '[network]\nca = "/etc/cosmos/ca.pem"\n')
        assert "ca.pem: there is no such file" in system.cosmos("sync", "--index", "--root", system.root).fails(2).err
        for wrong in (
            b"",
            b"no certificate",
            b"\xff",
            b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
        ):
            pinned.write_bytes(wrong)
            failed = system.cosmos("sync", "--index", "--root", system.root).fails(2)
            assert "/etc/cosmos/ca.pem: holds no certificates in PEM form" in failed.err
        (tmp_path / "other").mkdir()
        certificate(tmp_path / "other")
        pinned.write_bytes((tmp_path / "other/cert.pem").read_bytes())
        system.cosmos("sync", "--index", "--root", system.root).fails(5)
        pinned.write_bytes((tmp_path / "cert.pem").read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other/cert.pem"))
        system.cosmos("sync", "--index", "--root", system.root).ok()


def test_a_connection_is_not_lent_to_whoever_trusts_others(files: Path, tmp_path: Path) -> None:
    """A connection that one authority vouched for waits; a carrier that pins another one does not get it."""
    pem = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    certificate(tmp_path / "other")
    good, other = [(tmp_path / name).read_bytes() for name in ("cert.pem", "other/cert.pem")]
    with kept(files, tls=pem) as server, Network(authorities=lambda: Authorities(source="a", pem=good)) as network:
        carrier(server.address, tmp_path, network).read("0.toml", max_bytes=100)
        stricter = network.knowing(authorities=lambda: Authorities(source="b", pem=other))
        stars = HttpCarrier(server.address, tmp_path, stricter, pause=lambda seconds: None)
        with pytest.raises(WorldFailed, match="certificate"):
            stars.read("0.toml", max_bytes=100)


def test_the_tests_see_no_proxy_of_the_machine() -> None:
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]


def test_errors_of_addresses_are_of_the_right_kind(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="must not hold a name or a password") as caught:
        HttpCarrier(f"http://reader:{SECRET}@127.0.0.1", tmp_path)
    assert "machine HOST login NAME password PASSWORD" in str(caught.value.hint)
    assert not isinstance(caught.value, Refused)


# What waits to be resumed, and where files come from.


def test_what_was_resumed_and_is_not_the_pinned_file_is_downloaded_again_once(tmp_path: Path) -> None:
    data, old = bytes(range(256)) * 8, bytes(2048)
    cut = said("200 OK", f"Content-Length: {len(data)}", 'ETag: "v1"', body=old[:1000])
    extent = f"Content-Range: bytes 1000-{len(data) - 1}/{len(data)}"
    rest = said("206 Partial Content", extent, f"Content-Length: {len(data) - 1000}", 'ETag: "v1"', body=data[1000:])
    whole = said("200 OK", f"Content-Length: {len(data)}", 'ETag: "v1"', body=data)
    wrong = said("200 OK", f"Content-Length: {len(data)}", 'ETag: "v1"', body=old)
    for last, expected in ((whole, data), (wrong, old)):
        with raw_server(cut, rest, last) as server:
            stars = HttpCarrier(server.address, tmp_path / "partial", pause=lambda seconds: None)
            got = stars.read_exactly(
                "a.tar.zst", size_bytes=len(data), progress=lambda done: None, digest=Digest.of(data)
            )
            assert got == expected, "the caller judges it"
            assert server.asked("Range") == ["", "bytes=1000-", ""]
    with raw_server(wrong, whole) as server:  # one piece that is wrong is not asked for again: the mirror is
        stars = HttpCarrier(server.address, tmp_path / "partial", pause=lambda seconds: None)
        stars.read_exactly("a.tar.zst", size_bytes=len(data), progress=lambda done: None, digest=Digest.of(data))
        assert len(server.heads) == 1


def test_a_sync_that_was_cut_off_goes_on_where_it_stopped(system: System, tmp_path: Path) -> None:
    archive = system.galaxy / "packages/star7-1.0.0.tar.zst"
    size = archive.stat().st_size
    with kept(system.galaxy) as server:
        system.add(server.address)
        server.cut_off(archive.name, after=100)
        system.cosmos("sync", "--full", "--root", system.root).fails(5)
        waiting = [file.name for file in (system.root / "var/cache/cosmos/partial").iterdir()]
        assert part_name(f"{server.address}/packages/{archive.name}", size) in waiting
        assert len(waiting) <= MAX_DOWNLOADS_AHEAD
        server.cut_off("", after=0)
        system.cosmos("sync", "--full", "--root", system.root).ok()
        ranges = [asked for asked in server.asked("Range") if asked]
        assert "bytes=100-" in ranges
        assert size > 100
    assert list((system.root / "var/cache/cosmos/partial").iterdir()) == []


def test_downloads_that_wait_for_long_or_are_too_many_are_removed(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "partial"
    place.mkdir()
    monkeypatch.setattr("cosmos.transport.partial.MAX_PARTIAL_FILES", 6)
    monkeypatch.setattr("cosmos.transport.partial.MAX_PARTIAL_BYTES", 1000)
    now = (files / "0.toml").stat().st_mtime
    names = [f"{number:064x}.part" for number in range(20)]
    for number, name in enumerate(names):
        (place / name).write_bytes(bytes(701 if number == 4 else 100))
        os.utime(place / name, (now, now - number * 60))
    os.utime(place / names[1], (now, now - 15 * 24 * 3600))
    (place / "notes.txt").write_text("not a download")
    held = (place / names[19]).open("rb")
    fcntl.flock(held, fcntl.LOCK_EX)
    with raw_server(said("200 OK", "Content-Length: 2", body=b"ok")) as server:
        HttpCarrier(server.address, place).read_exactly("a", size_bytes=2, progress=lambda done: None)
    held.close()
    left = sorted(file.name for file in place.iterdir())
    assert left == sorted([*(names[number] for number in (0, 2, 3, 5, 6, 7, 19)), "notes.txt"])


def test_a_stick_is_used_once_and_never_becomes_the_source(system: System, tmp_path: Path) -> None:
    with kept(system.galaxy) as server:
        system.add(server.address)
        stick = tmp_path / "stick"
        system.galaxy.rename(stick)
        assert "50 archives" in system.cosmos("sync", "core", "--full", "--from", stick, "--root", system.root).ok().out
        assert server.requests == []
        stick.rename(tmp_path / "gone")
        system.cosmos("install", "star3", "--offline", "--root", system.root).ok()
        (row,) = system.cosmos("list-galaxies", "--json", "--root", system.root).json()["galaxies"]
        assert row["url"] == server.address
        for file in ("etc/cosmos/config.toml", "var/lib/cosmos/universe.toml", "var/lib/cosmos/trust-state.toml"):
            assert str(stick) not in (system.root / file).read_text()


def test_mirrors_are_asked_in_their_order(system: System, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    for name in ("meta.toml", "meta.toml.dsse"):
        (tmp_path / "half" / name).write_bytes((system.galaxy / name).read_bytes())
    with kept(tmp_path / "half") as half, kept(system.galaxy) as whole:
        system.add("http://127.0.0.1:1")
        words = ("sync", "core", "--root", system.root, "--from")
        mirrors = tmp_path / "mirrors.txt"
        mirrors.write_text(f"# near\nnothing-here\n\n{half.address}\n{whole.address}\n")
        outcome = system.cosmos(*words, mirrors, "--full").ok()
        assert "50 versions, 50 archives" in outcome.out
        assert "nothing-here: no galaxy is there" in outcome.err
        assert [target for _, target, _ in whole.requests].count("/meta.toml") == 0
        assert outcome.err.count("warning") == 1, "it is not asked again"
        lone = system.cosmos(*words, "http://127.0.0.1:1", "--from", half.address, "--index").ok()
        assert lone.err.count("warning: http://127.0.0.1:1/meta.toml: cannot be reached") == 1
        mirrors.write_text("# none\n")
        assert "holds no address" in system.cosmos(*words, mirrors).fails(2).err


@pytest.mark.objective("SO-07")
def test_a_mirror_cannot_bring_an_older_index_or_another_archive(system: System, tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    shutil.copytree(system.galaxy, stale)
    system.publish(2)
    system.add(str(system.galaxy))
    system.cosmos("sync", "--root", system.root).ok()
    words = ("sync", "core", "--root", system.root, "--full", "--from")
    assert "seq" in system.cosmos(*words, stale, "--from", system.galaxy).fails(4).err
    shutil.rmtree(stale)
    shutil.copytree(system.galaxy, stale)
    archive = stale / "packages/star7-1.0.0.tar.zst"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    system.cosmos(*words, stale, "--from", system.galaxy).fails(4)
