"""A star's files lie in its galaxy: no document makes cosmos ask another server, nor read another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.transport.proxies import basic
from fakes.galaxies import StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.kept_servers import kept
from fakes.programs import Cosmos
from fakes.upstream_galaxies import STARS, write_upstream

LOGIN = basic("reader", "hunter2")
SPEC = StarSpec("star", "1.0.0", {"usr/star": b"star"})


@pytest.fixture
def root(tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose user has a password for every port of this machine."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine http://127.0.0.1 login reader password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    system = tmp_path / "system"
    system.mkdir()
    cosmos("init", "--root", system, "--arch", "x86_64").ok()
    return system


@pytest.mark.parametrize("where", ["{}/packages/star-1.0.0.tar.zst", "//{}/x", "/etc/hostname", "file:///etc/hostname"])
def test_a_signed_statement_that_names_another_server_is_refused_and_nobody_is_asked(
    tmp_path: Path, root: Path, cosmos: Cosmos, where: str
) -> None:
    """Its author signed it, and the index lists it."""
    signers = make_signers()
    galaxy = make_galaxy(tmp_path / "galaxy", "core", [SPEC], signers)
    trust = signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    with kept(galaxy.path, login=LOGIN) as other, kept(galaxy.path, login=LOGIN) as server:
        write_index(galaxy, [write_spec(galaxy, SPEC, file=where.format(other.address))], seq=1)
        cosmos("add-galaxy", "core", server.address, "--root", root).ok()
        for command in (("sync", "--full"), ("install", "star", "--yes")):
            said = cosmos(*command, "--root", root).fails(2).err
            assert "want a path inside the galaxy" in said
        assert other.requests == []
    assert not (root / "usr/star").exists()


def test_the_source_of_an_upstream_star_on_another_server_is_information_alone(
    tmp_path: Path, root: Path, cosmos: Cosmos
) -> None:
    """Upstream's `source` may be any address. The archive is the one in the galaxy, under its usual name."""
    with kept(tmp_path, login=LOGIN) as other:
        elsewhere = f'"{other.address}/packages/hello-1.0.0.tar.gz"'
        stars = {**STARS, "hello": STARS["hello"].replace('"./packages/hello-1.0.0.tar.gz"', elsewhere)}
        with kept(write_upstream(tmp_path / "upstream", stars=stars)) as server:
            cosmos("add-galaxy", "example", server.address, "--allow-unsigned", "--root", root).ok()
            cosmos("install", "hello", "--yes", "--root", root).ok()
            assert "/packages/hello-1.0.0.tar.gz" in [target for _, target, _ in server.requests]
        assert other.requests == []


def test_a_server_that_redirects_a_star_to_another_one_is_followed_without_a_password(
    tmp_path: Path, root: Path, cosmos: Cosmos
) -> None:
    """So a galaxy may keep its archives elsewhere: the bytes are judged by their digest, and the password stays."""
    signers = make_signers()
    galaxy = make_galaxy(tmp_path / "galaxy", "core", [SPEC, StarSpec("more", "1.0.0", {"usr/more": b"m"})], signers)
    trust = signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (galaxy.path / "packages").rename(elsewhere / "packages")
    with kept(elsewhere) as other, kept(galaxy.path, login=LOGIN) as server:
        server.moved = {"/packages/": other.address}
        cosmos("add-galaxy", "core", server.address, "--root", root).ok()
        assert "2 archives" in cosmos("sync", "--full", "--root", root).ok().out
        assert len(other.requests) == 2
        assert set(other.asked("Authorization")) == {""}
        assert LOGIN in server.asked("Authorization")
