"""Whoever meets a newer trust.toml that the accepted root keys have signed takes it, or stops; nobody goes on silently.

A galaxy, a mirror or a stick carries the versions in its folder `trust`. A version that the accepted keys did not sign
is named and left alone, because anybody can put such a file on a mirror.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.revocation import Revoked
from cosmos.trust.roots import TrustRoots
from fakes.galaxies import Signers
from fakes.growing_galaxies import carry
from fakes.http_servers import serving
from fakes.images import APP, BASE, META, make_image
from fakes.programs import Cosmos, Outcome

STARS = (BASE, APP, META)


def revoking(roots: TrustRoots, signers: Signers) -> TrustRoots:
    """Return the next version, which revokes the author of all stars."""
    revoked = Revoked(key=signers["author"].public.id, reason="stolen laptop", effective_seq=0)
    return replace(roots, version=roots.version + 1, revoked=(*roots.revoked, revoked))


class Device:
    """A system with one galaxy, whose owner's trust document it has accepted."""

    def __init__(self, where: Path, cosmos: Cosmos, address: str | None = None) -> None:
        self.cosmos = cosmos
        self.root = where / "root"
        self.root.mkdir(parents=True)
        self.image = make_image(where, STARS)
        self.galaxy = self.image.galaxy
        self.signers = self.image.signers
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        trust = self.signers.write_trust(where / "first.toml")
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()
        cosmos("add-galaxy", "core", address or self.galaxy.path, "--root", self.root).ok()

    def __call__(self, *words: str) -> Outcome:
        return self.cosmos(*words, "--root", self.root)

    @property
    def version(self) -> int:
        return int(self("status", "--json").ok().json()["trust-version"])

    def stop(self) -> None:
        """Let the operator take new versions by hand alone."""
        settings = self.root / "etc/cosmos/config.toml"
        settings.write_text('newer-trust = "stop"\n' + settings.read_text())

    def carried(self) -> TrustRoots:
        """Publish a version that revokes the author, and return it."""
        roots = revoking(self.signers.roots(), self.signers)
        carry(self.galaxy.path, roots, self.signers)
        return roots


@pytest.fixture
def device(tmp_path: Path, cosmos: Cosmos) -> Device:
    return Device(tmp_path, cosmos)


@pytest.mark.objective("SO-12")
@pytest.mark.parametrize("command", [("install", "app"), ("sync",), ("freeze",)])
def test_a_command_takes_the_revocation_that_its_galaxy_carries(device: Device, command: tuple[str, ...]) -> None:
    device.carried()
    outcome = device(*command)
    assert "carries version 2 of trust.toml, signed by your root keys" in outcome.err
    assert "stolen laptop" in outcome.err
    assert device.version == 2


@pytest.mark.objective("SO-12")
def test_no_star_of_the_revoked_author_is_installed(device: Device) -> None:
    device.carried()
    device("install", "app").fails(4)
    assert device("status", "--json").ok().json()["stars"] == {}


def test_an_installed_star_of_the_revoked_author_is_named_after_the_sync(device: Device) -> None:
    device("install", "base").ok()
    device.carried()
    device("sync")
    assert [one["name"] for one in device("status", "--json").ok().json()["not-trusted"]] == ["base"]
    device("verify").fails(4)


@pytest.mark.objective("SO-12")
@pytest.mark.parametrize("command", [("install", "app"), ("sync",), ("freeze",)])
def test_where_the_operator_takes_versions_by_hand_a_command_stops(device: Device, command: tuple[str, ...]) -> None:
    device.carried()
    device.stop()
    outcome = device(*command).fails(4)
    assert "carries version 2 of trust.toml" in outcome.err
    assert f"cosmos trust update {device.galaxy.path} --root {device.root}" in outcome.err
    assert device.version == 1
    device("trust", "update", str(device.galaxy.path)).ok()
    assert device.version == 2


@pytest.mark.parametrize("command", [("show", "app"), ("search", "app"), ("install", "app", "--dry-run")])
def test_a_command_that_changes_nothing_warns(device: Device, command: tuple[str, ...]) -> None:
    device.carried()
    outcome = device(*command).ok()
    assert "galaxy core carries version 2 of trust.toml" in outcome.err
    assert device.version == 1


def test_status_says_how_many_versions_the_trust_document_is_behind(device: Device) -> None:
    second = device.carried()
    carry(device.galaxy.path, replace(second, version=3), device.signers)
    assert "2 versions behind galaxy core" in device("status").ok().out
    assert device("status", "--json").ok().json()["newer-trust"] == 3


@pytest.mark.objective("SO-12")
def test_a_version_that_the_root_keys_did_not_sign_is_named_and_left_alone(device: Device) -> None:
    thief = SecretKey(name=KeyName("thief"), role="root", seed=b"t" * 32)
    carry(device.galaxy.path, revoking(device.signers.roots(), device.signers), device.signers, key=thief)
    outcome = device("install", "base").ok()
    assert "carries a trust.toml that your keys do not accept" in outcome.err
    assert device.version == 1


def test_the_chain_of_another_operator_is_none_of_this_systems_business(device: Device) -> None:
    other = SecretKey(name=KeyName("other"), role="root", seed=b"o" * 32)
    roots = device.signers.roots()
    carry(device.galaxy.path, replace(roots, description="another operator"), device.signers, key=other)
    carry(device.galaxy.path, revoking(roots, device.signers), device.signers, key=other)
    outcome = device("install", "base").ok()
    assert "trust.toml" not in outcome.err
    assert device.version == 1


def test_a_stick_carries_a_revocation_to_a_system_whose_galaxy_is_away(tmp_path: Path, cosmos: Cosmos) -> None:
    device = Device(tmp_path, cosmos)
    device.carried()
    stick = tmp_path / "stick"
    device.galaxy.path.rename(stick)
    device("sync", "core", "--from", str(stick))
    assert device.version == 2


@contextmanager
def over_http(where: Path, cosmos: Cosmos) -> Iterator[Device]:
    image = make_image(where / "served", STARS)
    with serving(image.galaxy.path) as address:
        device = Device(where, cosmos, address)
        device.galaxy = image.galaxy
        device.signers = image.signers
        yield device


def test_a_mirror_carries_it_too(tmp_path: Path, cosmos: Cosmos) -> None:
    with over_http(tmp_path, cosmos) as device:
        device("sync").ok()
        device.carried()
        device("sync")
        assert device.version == 2


@pytest.mark.objective("SO-12")
def test_a_builder_stops_and_names_the_command(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, STARS)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    carry(image.galaxy.path, revoking(image.signers.roots(), image.signers), image.signers)
    for command in ("freeze", "build"):
        outcome = cosmos(command, image.folder, "--home", image.home).fails(4)
        assert "carries version 2 of trust.toml" in outcome.err
        (hint,) = re.findall(r"hint: cosmos (trust update .*)", outcome.err)
    cosmos(*hint.split(" ", 2), "--home", image.home).ok()
    assert "revoked" in cosmos("freeze", image.folder, "--home", image.home).fails(4).err
