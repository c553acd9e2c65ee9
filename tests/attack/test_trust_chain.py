"""Attack by attack on rotation, revocation and memory, as an operator would type it.

Each is refused with exit code 4 and one sentence, and nothing is written.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.model.names import GalaxyName, StarName
from cosmos.trust.floors import Floors, Recovered
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import LOCK_TYPE
from cosmos.trust.roots import TrustRoots
from fakes.chains import Chain, document, first, secret, signed, with_roots
from fakes.programs import Cosmos, Outcome

CORE, ZLIB = GalaxyName("core"), StarName("zlib")
CAROL = secret("carol", "author").public
Tree = dict[str, bytes]


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """A stick with version 1: root key alice, a floor and a revocation."""
    lost = Revoked(key=secret("old", "author").public.id, reason="lost", effective_seq=3)
    start = replace(first(), floors=Floors(galaxies={CORE: 7}, stars={ZLIB: "1.3.1"}), revoked=(lost,))
    return Chain(tmp_path / "stick").start(start)


@pytest.fixture
def home(tmp_path: Path, chain: Chain, cosmos: Cosmos) -> Path:
    """A builder's home that has accepted version 1."""
    cosmos("trust", "init", chain.file(1), "--sha256", chain.digest(), "--home", tmp_path / "home").ok()
    return tmp_path / "home"


def tree(folder: Path) -> Tree:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def refused(home: Path, chain: Chain, cosmos: Cosmos) -> Callable[..., str]:
    """Run `trust update`, demand the refusal whole, and return its sentence."""

    def attack(source: Path | None = None) -> str:
        before = tree(home)
        outcome = cosmos("trust", "update", source or chain.folder, "--home", home).fails(4)
        assert tree(home) == before, "nothing is written"
        return sentence(outcome)

    return attack


def sentence(outcome: Outcome) -> str:
    lines = [line for line in outcome.err.splitlines() if "error: " in line]
    assert len(lines) == 1, outcome.err
    return lines[0]


def version_of(home: Path, cosmos: Cosmos) -> int:
    return int(cosmos("trust", "show", "--home", home, "--json").json()["version"])


# What passes


@pytest.mark.objective("SO-11")
def test_a_machine_that_slept_through_five_rotations_catches_up_from_a_stick(
    home: Path, chain: Chain, cosmos: Cosmos
) -> None:
    holders = ["alice", "bob", "carl", "dora", "emil", "fritz"]
    for old, new in itertools.pairwise(holders):
        chain.step(lambda roots, name=new: with_roots(roots, name), [old, new])
    done = cosmos("trust", "update", chain.folder, "--offline", "--home", home, "--json").json()
    assert (done["taken"], done["version"], done["rollback-judged"]) == ([2, 3, 4, 5, 6], 6, True)
    shown = cosmos("trust", "show", "--home", home, "--json").json()
    assert [key["name"] for key in shown["keys"] if key["role"] == "root"] == ["fritz"]
    assert shown["kept-versions"] == [1, 2, 3, 4, 5, 6]
    assert (home / "trust/state.toml").stat().st_mode & 0o777 == 0o600
    assert "no news" in cosmos("trust", "update", chain.folder, "--home", home).ok().out


@pytest.mark.objective("SO-11")
def test_a_galaxy_carries_its_versions_in_its_folder_trust(
    home: Path, tmp_path: Path, chain: Chain, cosmos: Cosmos
) -> None:
    chain.step()
    shutil.copytree(chain.folder, tmp_path / "galaxy" / "trust")
    assert cosmos("trust", "update", tmp_path / "galaxy", "--home", home, "--json").json()["taken"] == [2]


@pytest.mark.objective("SO-11")
def test_one_file_with_its_envelope_is_enough_for_one_step(
    home: Path, tmp_path: Path, chain: Chain, cosmos: Cosmos
) -> None:
    chain.step()
    mail = tmp_path / "mail"
    mail.mkdir()
    shutil.copy(chain.file(2), mail / "new.toml")
    shutil.copy(f"{chain.file(2)}.dsse", mail / "new.toml.dsse")
    assert cosmos("trust", "update", mail / "new.toml", "--home", home, "--json").json()["taken"] == [2]


@pytest.mark.objective("SO-11")
def test_a_system_is_updated_like_a_builder(tmp_path: Path, chain: Chain, cosmos: Cosmos) -> None:
    system = tmp_path / "system"
    cosmos("trust", "init", chain.file(1), "--sha256", chain.digest(), "--root", system).ok()
    chain.step()
    assert cosmos("trust", "update", chain.folder, "--root", system, "--json").json()["version"] == 2
    assert (system / "var/lib/cosmos/trust-state.toml").stat().st_mode & 0o777 == 0o600
    assert (system / "etc/cosmos/chain/2.toml.dsse").is_file()


@pytest.mark.objective("SO-11")
def test_anchors_that_an_image_laid_are_kept_as_the_start_of_the_chain(
    tmp_path: Path, chain: Chain, cosmos: Cosmos
) -> None:
    system = tmp_path / "system"
    (system / "etc/cosmos").mkdir(parents=True)
    shutil.copy(chain.file(1), system / "etc/cosmos/trust.toml")
    chain.step()
    cosmos("trust", "update", chain.folder, "--root", system).ok()
    shown = cosmos("trust", "show", "--root", system, "--json").json()
    assert (shown["kept-versions"], shown["version"]) == ([1, 2], 2)


@pytest.mark.objective("SO-09")
def test_without_memory_the_report_says_that_rollback_cannot_be_judged(
    home: Path, chain: Chain, cosmos: Cosmos
) -> None:
    (home / "trust/state.toml").unlink()
    chain.step()
    outcome = cosmos("trust", "update", chain.folder, "--home", home).ok()
    assert "so that a rollback cannot be judged" in outcome.err
    assert "cannot be judged" not in cosmos("trust", "update", chain.folder, "--home", home).ok().err


# Who signs a rotation


@pytest.mark.objective("SO-11")
def test_a_rotation_signed_by_the_new_keys_only_is_refused(chain: Chain, refused: Callable[..., str]) -> None:
    chain.step(lambda roots: with_roots(roots, "mallory"), ["mallory"])
    assert "by the root keys of version 1, which is trusted: want a signature by a pinned key, got none" in refused()


@pytest.mark.objective("SO-11")
def test_a_rotation_signed_by_the_old_keys_only_is_refused(chain: Chain, refused: Callable[..., str]) -> None:
    chain.step(lambda roots: with_roots(roots, "bob"), ["alice"])
    assert "by its own root keys, those of version 2: want a signature by a pinned key, got none" in refused()


@pytest.mark.objective("SO-11")
@pytest.mark.parametrize("signers", [["alice"], ["alice", "alice"], ["alice", "alice", "alice", "bob"]])
def test_one_key_counted_twice_under_two_ids_is_refused(
    chain: Chain, home: Path, cosmos: Cosmos, refused: Callable[..., str], signers: list[str]
) -> None:
    three = ["alice", "bob", "carl"]
    chain.step(lambda roots: with_roots(roots, *three, threshold=2), ["alice", "bob"])
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    chain.step(lambda roots: with_roots(roots, *three, threshold=3), signers)
    assert "distinct pinned keys, got" in refused()


@pytest.mark.objective("SO-11")
def test_an_unsigned_step_and_a_step_signed_for_something_else_are_refused(
    chain: Chain, refused: Callable[..., str]
) -> None:
    chain.step()
    beside = chain.file(2).with_name("2.toml.dsse")
    beside.write_bytes(secret("ship", "release").sign(LOCK_TYPE, chain.file(2).read_bytes()))
    assert "want a signature for application/vnd.cosmos.trust" in refused()
    beside.unlink()
    assert "is not signed" in refused()


@pytest.mark.objective("SO-11")
def test_a_changed_byte_under_a_good_signature_is_refused_before_it_is_read(
    chain: Chain, refused: Callable[..., str]
) -> None:
    chain.step()
    chain.file(2).write_bytes(b"not TOML \xff")
    assert "signs sha256:" in refused()


# Order


@pytest.mark.objective("SO-11")
def test_a_skipped_version_is_refused(chain: Chain, refused: Callable[..., str]) -> None:
    chain.step(lambda roots: replace(roots, revoked=(*roots.revoked, Revoked(key=CAROL.id, reason="stolen"))))
    chain.step()
    chain.file(2).unlink()
    assert "holds version 3, but not version 2" in refused()
    assert "is version 3, but version 1 is trusted: version 2 comes first" in refused(chain.file(3))


@pytest.mark.objective("SO-07")
def test_a_rolled_back_folder_is_refused(home: Path, chain: Chain, cosmos: Cosmos, refused: Callable[..., str]) -> None:
    chain.step()
    chain.step()
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    chain.file(3).unlink()
    assert "ends with version 2, but version 3 is accepted here" in refused()
    assert "is version 2, but version 3 is trusted already" in refused(chain.file(2))


@pytest.mark.objective("SO-07")
def test_an_old_copy_put_back_on_the_machine_itself_is_refused(home: Path, chain: Chain, cosmos: Cosmos) -> None:
    old = tree(home / "trust")
    chain.step(lambda roots: replace(roots, revoked=(*roots.revoked, Revoked(key=CAROL.id, reason="stolen"))))
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    for name in ("trust.toml", "trust.toml.dsse"):
        (home / "trust" / name).write_bytes(old[name])
    outcome = cosmos("trust", "show", "--home", home).fails(4)
    assert "has version 1, but version 2 was seen before" in sentence(outcome)


@pytest.mark.objective("SO-07")
def test_a_second_document_with_an_accepted_number_is_refused(
    home: Path, chain: Chain, tmp_path: Path, cosmos: Cosmos, refused: Callable[..., str]
) -> None:
    chain.step()
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    fork = Chain(tmp_path / "fork", [chain.versions[0]])
    fork.step(lambda roots: replace(roots, description="another"))
    fork.step()
    assert "was accepted as version 2" in refused(fork.folder)


@pytest.mark.objective("SO-11")
def test_of_five_steps_with_one_bad_one_none_is_taken(chain: Chain, refused: Callable[..., str]) -> None:
    for place in range(5):
        chain.step(signers=["mallory"] if place == 4 else ["alice"])
    assert "6.toml.dsse" in refused()


# What a step may not say


def drop_revocation(roots: TrustRoots) -> TrustRoots:
    return replace(roots, revoked=())


def shrink_revocation(roots: TrustRoots) -> TrustRoots:
    return replace(roots, revoked=(replace(roots.revoked[0], effective_seq=4),))


def drop_floor(roots: TrustRoots) -> TrustRoots:
    return replace(roots, floors=Floors(galaxies=roots.floors.galaxies))


def lower_floor(roots: TrustRoots) -> TrustRoots:
    return replace(roots, floors=replace(roots.floors, galaxies={CORE: 6}))


def lower_star(roots: TrustRoots) -> TrustRoots:
    return replace(roots, floors=replace(roots.floors, stars={ZLIB: "1.3.0"}))


def recover_earlier(roots: TrustRoots) -> TrustRoots:
    return replace(lower_floor(roots), recovered=Recovered(galaxies={CORE: 1}))


@pytest.mark.objective("SO-11")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (drop_revocation, "revocations are only added"),
        (shrink_revocation, "takes back a part of the revocation"),
        (drop_floor, "floor.stars.zlib was 1.3.1, and is gone: floors only rise"),
        (lower_floor, "floor.galaxies.core was 7, and is 6: floors only rise"),
        (lower_star, "floor.stars.zlib was 1.3.1, and is 1.3.0: floors only rise"),
        (recover_earlier, "a recovery begins with the version that states it, 2"),
    ],
)
def test_a_step_that_takes_something_back_is_refused(
    chain: Chain, refused: Callable[..., str], change: Callable[[TrustRoots], TrustRoots], problem: str
) -> None:
    chain.step(change)
    assert problem in refused()


@pytest.mark.objective("SO-12")
def test_a_revocation_dropped_from_a_copy_is_refused(home: Path, chain: Chain, cosmos: Cosmos) -> None:
    chain.step(lambda roots: replace(roots, revoked=(*roots.revoked, Revoked(key=CAROL.id, reason="stolen"))))
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    anchor = home / "trust/trust.toml"
    stripped = document(replace(chain.versions[-1], revoked=chain.versions[0].revoked))
    anchor.write_bytes(stripped)
    assert "is the signature of another document" in sentence(cosmos("trust", "show", "--home", home).fails(4))
    anchor.with_name("trust.toml.dsse").unlink()
    assert "another with the same version 2 was seen before" in sentence(
        cosmos("trust", "show", "--home", home).fails(4)
    )


@pytest.mark.objective("SO-10")
def test_a_floor_falls_only_with_a_recovery_of_the_same_version(home: Path, chain: Chain, cosmos: Cosmos) -> None:
    chain.step(lambda roots: replace(lower_floor(roots), recovered=Recovered(galaxies={CORE: 2})))
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    chain.step(lambda roots: replace(roots, floors=replace(roots.floors, galaxies={CORE: 5})))
    outcome = cosmos("trust", "update", chain.folder, "--home", home).fails(4)
    assert "floors only rise" in sentence(outcome)
    assert version_of(home, cosmos) == 2


@pytest.mark.objective("SO-10")
def test_a_recovery_that_is_dropped_again_is_refused(home: Path, chain: Chain, cosmos: Cosmos) -> None:
    chain.step(lambda roots: replace(lower_floor(roots), recovered=Recovered(galaxies={CORE: 2})))
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    chain.step(lambda roots: replace(roots, recovered=Recovered()))
    outcome = cosmos("trust", "update", chain.folder, "--home", home).fails(4)
    assert "drops recovered.galaxies.core, which version 2 has" in sentence(outcome)


def test_the_first_document_names_who_decides_and_no_stick_can(tmp_path: Path, chain: Chain, cosmos: Cosmos) -> None:
    outcome = cosmos("trust", "update", chain.folder, "--home", tmp_path / "nobody").fails(4)
    assert "no trust anchors were accepted" in sentence(outcome)
    assert not (tmp_path / "nobody").exists()


@pytest.mark.objective("SO-11")
def test_a_cut_between_document_and_envelope_leaves_trust_that_reads(home: Path, chain: Chain, cosmos: Cosmos) -> None:
    """Power fails after the new document stands and before its envelope does."""
    beside = home / "trust/trust.toml.dsse"
    old = beside.read_bytes()
    chain.step()
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    beside.write_bytes(old)
    assert version_of(home, cosmos) == 2
    beside.write_bytes(signed(document(chain.versions[-1]), ["mallory"]))
    assert version_of(home, cosmos) == 2, "the kept copy has its own envelope"


@pytest.mark.parametrize("left", ["the old one", "none"])
def test_the_same_command_again_puts_the_envelope_beside_the_document_that_a_cut_left_alone(
    home: Path, chain: Chain, cosmos: Cosmos, left: str
) -> None:
    beside = home / "trust/trust.toml.dsse"
    old = beside.read_bytes()
    chain.step()
    cosmos("trust", "update", chain.folder, "--home", home).ok()
    new = beside.read_bytes()
    if left == "none":
        beside.unlink()
    else:
        beside.write_bytes(old)
    assert cosmos("trust", "update", chain.folder, "--home", home, "--json").json()["taken"] == []
    assert beside.read_bytes() == new != old


@pytest.mark.objective("SO-16")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_offline_no_socket_is_made_for_a_newer_trust(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    chain = Chain(tmp_path / "stick").start(first())
    home = tmp_path / "home"
    cosmos("trust", "init", chain.file(1), "--sha256", f"sha256:{chain.digest()}", "--home", home).ok()
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    words = ("trust", "update", f"{scheme}://galaxy.example/trust", "--offline", "--home", home)
    assert "is not reached offline" in cosmos(*words).fails(5).err


@pytest.mark.objective("SO-11")
def test_a_later_version_that_was_written_by_hand_was_not_accepted(home: Path, cosmos: Cosmos) -> None:
    """It follows from nothing: no threshold of the old root keys has signed it."""
    cosmos("trust", "show", "--home", home).ok()
    anchor = home / "trust/trust.toml"
    anchor.write_text(anchor.read_text().replace("\nversion = 1\n", "\nversion = 2\n"))
    anchor.with_name("trust.toml.dsse").unlink(missing_ok=True)
    refused = cosmos("trust", "update", home / "trust/chain", "--home", home).fails(4)
    assert "is version 2, but the last version that was accepted here is 1" in refused.err
