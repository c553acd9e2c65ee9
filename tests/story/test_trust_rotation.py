"""Two people rotate keys on two machines, one signature each; a third machine follows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.programs import Cosmos


@pytest.fixture
def keys(tmp_path: Path, cosmos: Cosmos) -> Path:
    """Root keys of three people, and one for each other role."""
    folder = tmp_path / "keys"
    for name in ("alice", "bob", "carl"):
        cosmos("key", "new", name, "--role", "root", "--out", folder, "--no-passphrase").ok()
    for role in ("galaxy", "author", "release"):
        cosmos("key", "new", f"our-{role}", "--role", role, "--out", folder, "--no-passphrase").ok()
    return folder


@pytest.fixture
def chain(tmp_path: Path, keys: Path, stellar: Cosmos, cosmos: Cosmos) -> Path:
    """A galaxy's folder of versions, with the first: two of alice and bob must sign. A home has accepted it."""
    first = tmp_path / "trust" / "1.toml"
    first.parent.mkdir()
    words = [word for name in ("alice", "bob") for word in ("--root", keys / f"{name}.pub")]
    scope = f"{keys / 'our-author.pub'}:core:*"
    stellar(
        *("trust", "new", *words, "--threshold", "root=2", "--galaxy", keys / "our-galaxy.pub", "--author", scope),
        *("--release", keys / "our-release.pub", "--out", first),
        *("--sign", keys / "alice.key", "--sign", keys / "bob.key"),
    ).ok()
    cosmos("trust", "init", first, "--sha256", Digest.of(first.read_bytes()).hex, "--home", tmp_path / "home").ok()
    return first.parent


@pytest.mark.objective("SO-11")
def test_each_holder_adds_a_signature_on_a_machine_of_his_own(
    tmp_path: Path, keys: Path, chain: Path, cosmos: Cosmos, stellar: Cosmos
) -> None:
    home = tmp_path / "home"
    said = stellar(
        *("trust", "rotate", chain / "1.toml", "--add", f"root={keys / 'carl.pub'}", "--remove", "bob"),
        *("--sign", keys / "alice.key", "--json"),
    ).json()
    assert (said["version"], said["complete"]) == (2, False)
    assert said["signatures"] == {"previous": {"got": 1, "want": 2}, "own": {"got": 1, "want": 2}}
    cosmos("trust", "update", chain, "--home", home).fails(4)
    for holder, complete in (("bob", False), ("carl", True)):
        machine = tmp_path / f"machine-of-{holder}"
        shutil.copytree(chain, machine)
        answer = stellar("trust", "sign", machine / "2.toml", "--key", keys / f"{holder}.key", "--json").json()
        assert answer["complete"] is complete
        shutil.copy(machine / "2.toml.dsse", chain)
    assert cosmos("trust", "update", chain, "--home", home, "--json").json()["taken"] == [2]
    shown = cosmos("trust", "show", "--home", home).ok().out
    assert "carl" in shown
    assert "bob" not in shown


@pytest.mark.objective("SO-12")
def test_a_key_is_revoked_and_a_floor_raised(
    tmp_path: Path, keys: Path, chain: Path, cosmos: Cosmos, stellar: Cosmos
) -> None:
    both = ("--sign", keys / "alice.key", "--sign", keys / "bob.key")
    stellar("trust", "revoke", chain / "1.toml", "our-author", "--reason", "stolen laptop", *both).ok()
    stellar(
        *("trust", "rotate", chain / "2.toml", "--floor", "galaxy:core=7", "--floor", "star:zlib=1.3.1"),
        *("--floor", "release:rescue=4", "--retire", "our-galaxy=6", "--recover", "galaxy:core", *both),
    ).ok()
    outcome = cosmos("trust", "update", chain, "--home", tmp_path / "home").ok()
    assert "taken: 2, 3" in outcome.out
    assert "our-author revoked (stolen laptop)" in outcome.out
    assert "our-galaxy revoked for all after seq 6" in outcome.out
    floor = cosmos("trust", "show", "--home", tmp_path / "home", "--json").json()["floor"]
    assert floor == {"galaxies": {"core": 7}, "stars": {"zlib": "1.3.1"}, "releases": {"rescue": 4}}


@pytest.mark.objective("SO-11")
@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--remove", "nobody"], 3, "no keys have this name or id"),
        (["--floor", "moon:x=1"], 2, "want one of galaxy, star, release"),
        (["--floor", "galaxy:core=0"], 2, "want a number from 1 on"),
        (["--floor", "star:zlib=new"], 2, "want a version such as 1.2.3 or 1:2.3-4"),
        (["--recover", "sun:x"], 2, "want one of galaxy, star, release"),
        (["--retire", "our-author"], 2, "want a key and the last good seq"),
        (["--add", "author=x.pub"], 2, "an author's key has a scope"),
        (["--threshold", "root=3"], 2, "want 1 to 2, the number of keys"),
        (["--add", "king=KEYS/carl.pub"], 2, "--add king=KEYS/carl.pub: "),
        (["--add", "author=KEYS/carl.pub"], 2, "an author's key has a scope"),
        (["--recover", "moon:core"], 2, "--recover moon:core: want one of galaxy, star, release, log, and a name"),
        (["--recover", "galaxy:No!"], 2, "--recover: want"),
        (["--revoke", "bob"], 2, "wants 2 root keys, but only 1 are not revoked"),
        (["--sign", "KEYS/our-release.key"], 4, "is not a root key of this version or of the version before"),
        (["--sign", "KEYS/carl.key"], 4, "is not a root key of this version or of the version before"),
    ],
)
def test_a_version_that_nobody_could_follow_is_not_written(
    keys: Path, chain: Path, stellar: Cosmos, words: list[str], code: int, problem: str
) -> None:
    before = sorted(chain.iterdir())
    texts = [word.replace("KEYS", str(keys)) for word in words]
    problem = problem.replace("KEYS", str(keys))
    assert problem in stellar("trust", "rotate", chain / "1.toml", *texts).fails(code).err
    assert sorted(chain.iterdir()) == before


@pytest.mark.objective("SO-12")
def test_a_revocation_is_not_taken_back(keys: Path, chain: Path, stellar: Cosmos) -> None:
    stellar("trust", "revoke", chain / "1.toml", "our-author").ok()
    outcome = stellar("trust", "revoke", chain / "2.toml", "our-author", "--effective-seq", "9").fails(4)
    assert "takes back a part of the revocation" in outcome.err
    assert not (chain / "3.toml").exists()


def test_without_a_key_the_signatures_are_counted(chain: Path, keys: Path, stellar: Cosmos) -> None:
    stellar("trust", "rotate", chain / "1.toml", "--description", "ours").ok()
    out = stellar("trust", "sign", chain / "2.toml").ok().out
    assert "signed by 0 of 2: the version before" in out
    elsewhere = chain.parent / "alone.toml"
    shutil.copy(chain / "2.toml", elsewhere)
    assert "--previous" in stellar("trust", "sign", elsewhere, "--key", keys / "alice.key").ok().err
