"""A key is revoked after its stars were installed: the system says so, and nothing is built upon them in silence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName, StarName
from cosmos.trust.floors import Floors
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import STAR_TYPE, TRUST_TYPE
from cosmos.trust.roots import AuthorKey, TrustRoots
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.http_servers import serving
from fakes.programs import Cosmos, Outcome

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z"})
PNG = StarSpec("png", "1.0.0", {"usr/lib/png.so": b"p"}, {"zlib": "*"})
VIEWER = StarSpec("viewer", "1.0.0", {"usr/bin/viewer": b"v"}, {"png": "*"})
NEW = SecretKey.generate(KeyName("new-author"), "author")
WHY = "is signed by test-author, whose key was revoked (stolen)"


class System:
    """A system on which `png`, which needs `zlib`, was installed; the key that signed both is revoked later."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.where, self.cosmos, self.root = where, cosmos, where / "root"
        self.signers = make_signers()
        self.galaxy = make_galaxy(where / "galaxy", "core", (ZLIB, PNG), self.signers)
        keys = (self.signers["author"], NEW)
        authors = tuple(AuthorKey(key=key.public, galaxies=("*",), stars=("*",)) for key in keys)
        self.roots = replace(self.signers.roots(), authors=authors)
        self.root.mkdir()
        trust = where / "1.toml"
        trust.write_text(tomli_w.dumps(self.roots.to_toml()))
        self.run("init", "--arch", "x86_64").ok()
        self.run("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes())).ok()
        self.run("add-galaxy", "core", self.galaxy.path).ok()

    def run(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.root)

    def trust(self, change: Callable[[TrustRoots], TrustRoots]) -> None:
        self.roots = replace(change(self.roots), version=self.roots.version + 1)
        file = self.where / f"{self.roots.version}.toml"
        file.write_bytes(tomli_w.dumps(self.roots.to_toml()).encode())
        Path(f"{file}.dsse").write_bytes(self.signers["root"].sign(TRUST_TYPE, file.read_bytes()))
        self.run("trust", "update", file).ok()

    def revoke(self) -> None:
        gone = Revoked(key=self.signers["author"].public.id, reason="stolen")
        self.trust(lambda roots: replace(roots, revoked=(gone,)))

    def demand_said(self, *names: str) -> None:
        """Both commands name exactly these stars."""
        refused = self.run("verify").fails(4).err
        said = {row["name"]: row["problem"] for row in self.run("status", "--json").json()["not-trusted"]}
        assert said == dict.fromkeys(names, WHY)
        shown = self.run("status").ok().out
        for name in names:
            assert f"not trusted   {name} 1." in shown
            assert f"{name} 1." in refused
        assert WHY in refused


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    system = System(tmp_path, cosmos)
    system.run("install", "png").ok()
    return system


@pytest.mark.objective("SO-12")
def test_installed_stars_whose_key_was_revoked_are_named_by_verify_and_status(system: System) -> None:
    assert system.run("verify", "--json").json()["not-trusted"] == []
    assert "signatures" not in system.run("verify").ok().out
    system.revoke()
    system.demand_said("png", "zlib")


@pytest.mark.objective("SO-12")
@pytest.mark.parametrize("away", ["the galaxy", "its envelopes", "the store"])
def test_a_revocation_is_seen_whatever_is_withheld(system: System, away: str) -> None:
    """The store has what was signed when it was installed; the galaxy has it too."""
    system.revoke()
    if away == "the galaxy":
        shutil.rmtree(system.galaxy.path)
    elif away == "its envelopes":
        for file in system.galaxy.path.glob("stars/*.dsse"):
            file.unlink()
    else:
        shutil.rmtree(system.root / "var/cache")
    system.demand_said("png", "zlib")


@pytest.mark.objective("SO-12")
def test_a_revocation_is_seen_of_what_came_from_a_server_without_a_socket(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System(tmp_path, cosmos)
    with serving(system.galaxy.path) as address:
        system.run("add-galaxy", "core", address).ok()
        system.run("install", "png").ok()
    system.revoke()
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    system.demand_said("png", "zlib")


@pytest.mark.objective("SO-12")
def test_the_record_of_the_system_itself_vouches_for_nothing(system: System) -> None:
    """A star that is said to come from elsewhere is not judged: its signature cannot be found, and that is told."""
    system.revoke()
    universe = system.root / "var/lib/cosmos/universe.toml"
    text = universe.read_text()
    universe.write_text(text.replace('galaxy = "core"', 'galaxy = "other"'))
    done = system.run("verify").ok()
    assert "the signatures of 2 stars were not judged" in done.out
    assert system.run("verify", "--json").json()["signatures-not-judged"] == ["png", "zlib"]


def test_where_nothing_can_be_found_it_is_said_and_nothing_else_is_wrong(system: System) -> None:
    shutil.rmtree(system.root / "var/cache")
    shutil.rmtree(system.galaxy.path)
    assert "; the signatures of 2 stars were not judged: their statements are in no galaxy here" in (
        system.run("verify").ok().out
    )


@pytest.mark.objective("SO-12")
def test_nothing_is_installed_upon_a_star_by_a_revoked_key_without_a_word(system: System) -> None:
    system.revoke()
    new = replace(VIEWER, signer=NEW)
    make_galaxy(system.galaxy.path, "core", (ZLIB, PNG, new), system.signers, seq=1)
    (system.root / "var/lib/cosmos/trust-state.toml").unlink()
    for words in (["--dry-run"], []):
        told = system.run("install", "viewer", *words).ok().err
        for needed in ("zlib 1.3.1", "png 1.0.0"):
            assert f"warning: viewer needs {needed}: is not trusted now: {WHY}" in told
    again = system.run("install", "zlib").ok().err
    assert f"zlib 1.3.1: is not trusted now: {WHY}; it is installed already" in again


def test_an_update_of_named_stars_tells_of_those_that_they_need_and_of_itself_alone(system: System) -> None:
    """An update of all tells of all. So the work of an update follows what it changes, as that of an installation."""
    other = StarSpec("other", signer=NEW, files={"usr/other": b"1"})
    viewer = replace(VIEWER, signer=NEW)
    make_galaxy(system.galaxy.path, "core", (ZLIB, PNG, viewer, other), system.signers, seq=2)
    system.run("install", "viewer", "other").ok()
    system.revoke()
    newer = [replace(one, version="9.0.0") for one in (viewer, other)]
    make_galaxy(system.galaxy.path, "core", (ZLIB, PNG, viewer, other, *newer), system.signers, seq=3)
    bad = {f"{star}: is not trusted now: {WHY}" for star in ("png 1.0.0", "zlib 1.3.1")}

    def told(*words: str) -> set[str]:
        lines = system.run("update", *words, "--dry-run").ok().err.splitlines()
        return {one for one in bad if any(one in line for line in lines)}

    assert told("other") == set()
    assert told("viewer") == bad
    assert told("png") == bad  # named, needs zlib, and stays
    assert told("--all") == bad


@pytest.mark.objective("SO-12")
def test_what_a_trusted_key_has_signed_again_is_trusted_and_the_next_install_says_it(system: System) -> None:
    system.revoke()
    for star in (ZLIB, PNG):
        file = system.galaxy.statement(star.id)
        Path(f"{file}.dsse").write_bytes(NEW.sign(STAR_TYPE, file.read_bytes()))
    assert system.run("verify", "--json").json()["not-trusted"] == []
    rows = [replace(row, signer=NEW) for row in (ZLIB, PNG, VIEWER)]
    make_galaxy(system.galaxy.path, "core", rows, system.signers, seq=1)
    (system.root / "var/lib/cosmos/trust-state.toml").unlink()
    told = system.run("install", "viewer").ok().err
    assert f"viewer needs zlib 1.3.1: it {WHY}; a trusted key has signed the same since" in told


@pytest.mark.objective("SO-12")
def test_a_key_that_is_pinned_no_longer_and_a_floor_are_told_as_well(system: System) -> None:
    system.trust(lambda roots: replace(roots, authors=roots.authors[1:]))
    said = {row["name"]: row["problem"] for row in system.run("status", "--json").json()["not-trusted"]}
    assert set(said) == {"png", "zlib"}
    assert all("want a signature by a pinned key, got none" in why for why in said.values())
    system.trust(lambda roots: replace(roots, floors=Floors(stars={StarName("zlib"): "1.3.2"})))
    assert "zlib 1.3.1: is not trusted now: lies below the floor of 1.3.2" in system.run("verify").fails(4).err


@pytest.mark.objective("SO-12")
def test_a_file_that_differs_and_a_revoked_star_are_both_named(system: System) -> None:
    system.revoke()
    (system.root / "usr/lib/libz.so").write_bytes(b"x")
    refused = system.run("verify").fails(7).err
    assert "/usr/lib/libz.so (zlib): has other bytes" in refused
    assert f"png 1.0.0: is not trusted now: {WHY}" in refused


def test_a_system_without_trust_anchors_says_nothing_of_trust(tmp_path: Path, cosmos: Cosmos) -> None:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    assert cosmos("verify", "--root", root, "--json").json()["signatures-not-judged"] == []


def test_trust_anchors_that_cannot_be_read_are_told_and_the_files_are_compared_all_the_same(system: System) -> None:
    (system.root / "var/lib/cosmos/trust-state.toml").write_text("damaged")
    assert "; signatures were not judged: " in system.run("verify").ok().out
    assert "signatures    were not judged: " in system.run("status").ok().out
    (system.root / "usr/lib/libz.so").write_bytes(b"x")
    assert "/usr/lib/libz.so (zlib): has other bytes" in system.run("verify").fails(7).err
