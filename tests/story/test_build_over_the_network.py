"""A builder whose galaxy lies behind a proxy and a password: every command that fetches works, and tells neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.limits import MAX_DOWNLOADS_AT_ONCE
from cosmos.transport.proxies import basic
from fakes.galaxies import StarSpec, make_home
from fakes.images import ImageFixture, make_image
from fakes.kept_servers import KeptProxy, certificate, kept, proxy
from fakes.programs import Cosmos, Outcome

STARS = [StarSpec(f"star{number}", "1.0.0", {f"usr/{number}": b"x" * 3000}) for number in range(12)]
SECRET, PROXY_SECRET = "hunter2-of-the-reader", "hunter3-of-the-proxy"
LOGIN, PROXY_LOGIN = basic("reader", SECRET), basic("worker", PROXY_SECRET)
HOST = "stars.example.org"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageFixture:
    """An image of twelve stars of a galaxy at a host that only the proxy knows."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = make_image(tmp_path / "there", STARS, {star.name: "*" for star in STARS})
    point_at(made, f"http://{HOST}/core")
    return made


def point_at(image: ImageFixture, address: str) -> None:
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace('"../galaxy"', f'"{address}"'))


def write_netrc(tmp_path: Path, machine: str, password: str = SECRET) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {machine} login reader password {password}\n")
    netrc.chmod(0o600)


@pytest.fixture
def between(image: ImageFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptProxy]:
    """The proxy in the environment. It wants a password, and the galaxy behind it wants another one."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "core").symlink_to(image.galaxy.path)
    with proxy(served, login=PROXY_LOGIN) as server:
        server.login_behind = LOGIN
        monkeypatch.setenv("http_proxy", f"http://worker:{PROXY_SECRET}@127.0.0.1:{server.port}")
        yield server


def test_freeze_build_vendor_and_bootstrap_go_through_the_proxy_with_the_password_of_netrc(
    image: ImageFixture, between: KeptProxy, cosmos: Cosmos, tmp_path: Path
) -> None:
    write_netrc(tmp_path, f"http://{HOST}")
    said: list[Outcome] = []
    asked: list[set[str]] = []

    def run(command: str, *words: object) -> Outcome:
        between.requests.clear()
        home = make_home(tmp_path / f"home of {command}", image.signers)
        said.append(cosmos(command, *words, "--home", home).ok())
        asked.append({target for _, target, _ in between.requests})
        assert set(between.asked("Proxy-Authorization")) == {PROXY_LOGIN}
        assert between.asked("Authorization")[0] == "", "it is asked for first"
        assert set(between.asked("Authorization")[1:]) == {LOGIN}
        return said[-1]

    run("freeze", image.folder)
    built = run("build", image.folder, "--json").json()["content-root"]
    run("vendor", image.folder, tmp_path / "stick")
    run("bootstrap", "--root", tmp_path / "system", "--lock", image.folder / "universe.lock.toml")
    archives = {f"http://{HOST}/core/packages/{star.name}-1.0.0.tar.zst" for star in STARS}
    assert [archives <= targets for targets in asked] == [False, True, True, True]

    between.requests.clear()
    away = make_home(tmp_path / "away", image.signers)
    offline = cosmos("build", tmp_path / "stick/image", "--from", tmp_path / "stick", "--out", tmp_path / "out",
                     "--home", away, "--offline", "--json").json()  # fmt: skip
    assert (offline["content-root"], between.requests) == (built, [])

    written = b"".join(
        file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file != tmp_path / ".netrc"
    )
    for text in (*(one.out + one.err for one in said), written.decode("latin-1")):
        for secret in (SECRET, PROXY_SECRET, LOGIN.split()[1], PROXY_LOGIN.split()[1]):
            assert secret not in text


@pytest.mark.parametrize("command", ["freeze", "build"])
def test_a_password_that_is_missing_or_wrong_is_asked_for_by_the_line_to_write(
    image: ImageFixture, between: KeptProxy, cosmos: Cosmos, tmp_path: Path, command: str
) -> None:
    write_netrc(tmp_path, f"http://{HOST}")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    home = make_home(tmp_path / "fresh", image.signers)
    write_netrc(tmp_path, "http://other.example.org")
    missing = cosmos(command, image.folder, "--home", home).fails(5).err
    assert f"machine http://{HOST}:80 login NAME password PASSWORD" in missing
    assert "its address is galaxies.core in" in missing
    write_netrc(tmp_path, f"http://{HOST}", "wrong-word")
    wrong = cosmos(command, image.folder, "--home", home).fails(5).err
    assert "does not take the name and password" in wrong
    assert "wrong-word" not in wrong
    (tmp_path / ".netrc").chmod(0o640)
    assert "chmod 600" in cosmos(command, image.folder, "--home", home).fails(4).err


def test_a_proxy_that_does_not_take_its_password_is_named_and_the_password_is_not(
    image: ImageFixture, between: KeptProxy, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://worker:{SECRET}@127.0.0.1:{between.port}")
    refused = cosmos("freeze", image.folder, "--home", image.home).fails(5)
    assert "the proxy does not take this name and password (407)" in refused.err
    assert SECRET not in refused.err


def test_a_build_over_https_goes_through_the_tunnel_and_believes_the_pinned_authorities_alone(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    with kept(image.galaxy.path, login=LOGIN, tls=pem) as server, proxy(tmp_path, login=PROXY_LOGIN) as between:
        monkeypatch.setenv("https_proxy", f"http://worker:{PROXY_SECRET}@127.0.0.1:{between.port}")
        definition = image.folder / "image.toml"
        definition.write_text(definition.read_text().replace(f"http://{HOST}/core", server.address))
        write_netrc(tmp_path, "127.0.0.1")
        assert "certificate" in cosmos("freeze", image.folder, "--home", image.home).fails(5).err
        assert server.requests == [], "nothing was said to a server that nobody vouches for"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        cosmos("freeze", image.folder, "--home", image.home).ok()
        cosmos("build", image.folder, "--home", make_home(tmp_path / "fresh", image.signers)).ok()
        assert {row[:2] for row in between.requests} == {("CONNECT", f"127.0.0.1:{server.port}")}
        assert set(server.asked("Proxy-Authorization")) == {""}, "the server does not see it"
        assert server.asked("Authorization")[0] == ""


@pytest.mark.parametrize("command", ["freeze", "build", "vendor"])
def test_a_builder_downloads_several_files_at_once_and_each_one_once(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, command: str
) -> None:
    with kept(image.galaxy.path) as server:
        definition = image.folder / "image.toml"
        definition.write_text(definition.read_text().replace(f"http://{HOST}/core", server.address))
        if command != "freeze":
            cosmos("freeze", image.folder, "--home", image.home).ok()
        server.requests.clear()
        server.connections = 0
        server.wait_for_two("-1.0.0.toml")
        words = [tmp_path / "stick"] if command == "vendor" else []
        cosmos(command, image.folder, *words, "--home", make_home(tmp_path / "fresh", image.signers)).ok()
        targets = [target for _, target, _ in server.requests]
        assert server.alone == []
        assert 1 < server.connections <= MAX_DOWNLOADS_AT_ONCE + 1
        assert len(targets) == len(set(targets))
        assert {f"/stars/{star.name}-1.0.0.toml" for star in STARS} <= set(targets)


@pytest.mark.parametrize("file", ["stars/{}-1.0.0.toml", "packages/{}-1.0.0.tar.zst"])
def test_of_several_damaged_stars_the_first_of_the_lock_is_named_each_time(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, file: str
) -> None:
    with kept(image.galaxy.path) as server:
        definition = image.folder / "image.toml"
        definition.write_text(definition.read_text().replace(f"http://{HOST}/core", server.address))
        cosmos("freeze", image.folder, "--home", image.home).ok()
        for star in ("star7", "star3", "star9"):
            damaged = image.galaxy.path / file.format(star)
            data = damaged.read_bytes()
            damaged.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        for number in range(3):
            home = make_home(tmp_path / f"home {number}", image.signers)
            said = cosmos("build", image.folder, "--home", home).fails(4).err
            assert [star for star in ("star3", "star7", "star9") if star in said] == ["star3"]
