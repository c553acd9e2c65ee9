"""Attack by attack on `cosmos sync`: rollback, fork, two snapshots mixed. Each exit 4, and nothing is remembered."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.http_servers import serving
from fakes.programs import Cosmos, Outcome

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z" * 100})
NANO = StarSpec("nano", "7.2.0", {"usr/bin/nano": b"nano"}, {"zlib": "^1"})


class System:
    """A bare system with one signed galaxy beside it."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.where = where
        self.root = where / "system"
        self.root.mkdir()
        self.cosmos = cosmos
        self.signers = make_signers()
        self.publish(1)
        trust = self.signers.write_trust(where / "trust.toml")
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()
        cosmos("add-galaxy", "core", where / "galaxy", "--root", self.root).ok()

    @property
    def state(self) -> bytes:
        return (self.root / "var/lib/cosmos/trust-state.toml").read_bytes()

    def publish(self, seq: int, *stars: StarSpec) -> GalaxyFixture:
        return make_galaxy(self.where / "galaxy", "core", stars or (ZLIB, NANO), self.signers, seq=seq)

    def sync(self, *words: object) -> Outcome:
        return self.cosmos("sync", "--root", self.root, *words)

    def refused(self, *words: object) -> str:
        before = self.state
        outcome = self.sync(*words).fails(4)
        assert self.state == before, "nothing is remembered"
        (line,) = [line for line in outcome.err.splitlines() if "error: " in line]
        return line


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    return System(tmp_path, cosmos)


@pytest.mark.objective("SO-07")
def test_a_galaxy_goes_on_and_its_seq_is_remembered(system: System) -> None:
    assert "core: seq 1; 2 versions, 0 archives" in system.sync().ok().out
    system.publish(2)
    row = system.sync("--json").json()
    assert (row["rollback-judged"], row["galaxies"][0]["seq"], row["galaxies"][0]["seen-before"]) == (True, 2, 1)
    assert (system.root / "var/lib/cosmos/trust-state.toml").stat().st_mode & 0o777 == 0o600


@pytest.mark.objective("SO-07")
def test_a_rolled_back_galaxy_is_refused(system: System) -> None:
    shutil.copytree(system.where / "galaxy", system.where / "stick")
    system.publish(2)
    system.sync().ok()
    assert "has seq 1, but seq 2 was seen before" in system.refused("core", "--from", system.where / "stick")
    shutil.rmtree(system.where / "galaxy")
    (system.where / "stick").rename(system.where / "galaxy")
    assert "has seq 1, but seq 2 was seen before" in system.refused()
    install = system.cosmos("install", "nano", "--root", system.root).fails(4)
    assert "has seq 1, but seq 2 was seen before" in install.err
    assert not (system.root / "usr").exists(), "nothing was laid"


@pytest.mark.objective("SO-07")
def test_an_older_trust_that_was_put_back_on_a_system_is_refused(system: System) -> None:
    anchor = system.root / "etc/cosmos/trust.toml"
    anchor.write_text(anchor.read_text().replace("\nversion = 1\n", "\nversion = 2\n"))
    (system.root / "var/lib/cosmos/trust-state.toml").unlink()
    digest = Digest.of(anchor.read_bytes())
    shutil.move(anchor, system.where / "second.toml")
    system.cosmos("trust", "init", system.where / "second.toml", "--sha256", digest, "--root", system.root).ok()
    system.sync().ok()
    shutil.copy(system.where / "trust.toml", anchor)
    assert "/etc/cosmos/trust.toml: has version 1, but version 2 was seen before" in system.refused()


@pytest.mark.objective("SO-07")
def test_two_indexes_with_one_seq_are_refused(system: System) -> None:
    system.sync().ok()
    system.publish(1, ZLIB)
    assert "another with the same seq 1 was seen before" in system.refused()


@pytest.mark.objective("SO-08")
def test_two_snapshots_mixed_are_refused(system: System) -> None:
    """The newest index over the statements of the snapshot before: each is signed, and they do not belong together."""
    shutil.copytree(system.where / "galaxy" / "stars", system.where / "old-stars")
    system.publish(2)
    shutil.rmtree(system.where / "galaxy" / "stars")
    (system.where / "old-stars").rename(system.where / "galaxy" / "stars")
    assert "stars/nano-7.2.0.toml: the index names sha256:" in system.refused()


@pytest.mark.objective("SO-05")
def test_an_index_by_a_key_that_is_not_pinned_is_refused(system: System) -> None:
    index = system.where / "galaxy" / "meta.toml"
    mallory = SecretKey.generate(KeyName("mallory"), "galaxy")
    Path(f"{index}.dsse").write_bytes(mallory.sign("application/vnd.cosmos.galaxy.v1+toml", index.read_bytes()))
    assert "want a signature by a pinned key" in system.refused()


@pytest.mark.objective("SO-01")
def test_a_star_by_an_author_that_is_not_pinned_is_left_out_and_named(system: System) -> None:
    mallory = SecretKey.generate(KeyName("mallory"), "author")
    system.publish(1, ZLIB, replace(NANO, signer=mallory))
    assert system.sync("--json").json()["galaxies"][0]["left-out"] == ["nano-7.2.0"]


@pytest.mark.objective("SO-16")
def test_what_was_synced_in_full_is_installed_with_the_galaxy_gone(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(system.where / "galaxy") as address:
        system.cosmos("add-galaxy", "core", address, "--root", system.root).ok()
        assert "2 archives" in system.sync("--full").ok().out
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    system.cosmos("install", "nano", "--offline", "--root", system.root).ok()
    assert (system.root / "usr/bin/nano").read_bytes() == b"nano"


@pytest.mark.objective("SO-09")
def test_without_memory_it_says_that_rollback_cannot_be_judged(system: System) -> None:
    (system.root / "var/lib/cosmos/trust-state.toml").unlink()
    assert "so that a rollback cannot be judged" in system.sync().ok().err


@pytest.mark.objective("SO-07")
def test_an_install_compares_a_galaxy_with_the_memory_before_anything_is_fetched(system: System) -> None:
    """No sync, no dry run and no answer comes from an index that is older, or another of the same number."""
    shutil.copytree(system.where / "galaxy", system.where / "old")
    system.publish(2)
    system.sync().ok()
    before = system.state
    for publish in (lambda: shutil.copytree(system.where / "old", system.where / "galaxy", dirs_exist_ok=True),
                    lambda: system.publish(2, NANO, replace(ZLIB, version="1.3.2"))):  # fmt: skip
        publish()
        for words in (["install", "nano"], ["install", "nano", "--dry-run"], ["show", "nano"], ["freeze"]):
            said = system.cosmos(*words, "--root", system.root).fails(4).err
            assert "was seen before" in said
            assert "resolve" not in said.splitlines()[-2:]
        assert system.state == before
    assert not (system.root / "usr").exists()


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize("command", ["sync", "install"])
def test_a_version_that_was_seen_and_is_listed_no_more_is_told(system: System, command: str) -> None:
    """An index can hide a star: whoever saw it before is told, once."""
    older = replace(ZLIB, version="1.3.0")
    system.publish(2, older, ZLIB, NANO)
    assert "lists no more" not in system.sync().ok().err
    system.publish(3, ZLIB, NANO)
    words = ["sync"] if command == "sync" else ["install", "nano"]
    told = system.cosmos(*words, "--root", system.root).ok()
    assert "warning: core: seq 3 lists no more: zlib 1.3.0; ask the galaxy's owner" in told.err
    assert "lists no more" not in system.sync().ok().err


def test_sync_in_json_names_what_is_listed_no_more(system: System) -> None:
    system.publish(2, *(replace(ZLIB, version=f"1.3.{number}") for number in range(9)), NANO)
    system.sync().ok()
    system.publish(3, ZLIB, NANO)
    gone = [f"zlib 1.3.{number}" for number in range(9) if number != 1]
    assert system.sync("--json").json()["galaxies"][0]["listed-no-more"] == gone
    system.publish(4, *(replace(ZLIB, version=f"1.3.{number}") for number in range(9)), NANO)
    system.sync().ok()
    system.publish(5, ZLIB, NANO)
    assert f"lists no more: {', '.join(gone[:6])} and 2 more;" in system.sync().ok().err
