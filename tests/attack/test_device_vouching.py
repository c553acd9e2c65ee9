"""What a system's operator demands of every star: its galaxy's log, and the badges of attesters. As commands.

`install`, `install --dry-run`, `sync` and `freeze` are tried with a galaxy that withholds, forges or forks.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.model.statement import Statement
from cosmos.trust.badges import Claim, Mismatch, add_badge
from cosmos.trust.log import LogProof, log_origin
from cosmos.trust.merkle import Tree, leaf_hash, root_of
from cosmos.trust.notes import Head, Note, NoteSignature, log_key_id
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import IN_TOTO_TYPE, Role
from cosmos.trust.roots import RoleKeys, TrustRoots
from cosmos.trust.tiles import log_files, read_entries
from fakes.galaxies import GalaxyFixture, make_galaxy, make_signers
from fakes.growing_galaxies import carry
from fakes.http_servers import serving
from fakes.images import APP, BASE, META
from fakes.programs import Cosmos, Outcome

LOGGED, BADGED = "log = true", "badges = { test = 2 }"
INSTALL, DRY_RUN, SYNC, FREEZE = ("install", "app"), ("install", "app", "--dry-run"), ("sync",), ("freeze",)
COMMANDS = (INSTALL, DRY_RUN, SYNC, FREEZE)


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


ALICE, BOB, MALLORY = (secret(name, "attester") for name in ("alice", "bob", "mallory"))
LOG = secret("core-log", "log")


class Device:
    """A system that has accepted a trust document with a log key and two attesters, and its galaxy."""

    def __init__(self, where: Path, cosmos: Cosmos, stellar: Cosmos, address: str | None = None) -> None:
        self.where, self.cosmos, self.stellar = where, cosmos, stellar
        self.signers = make_signers()
        self.galaxy: GalaxyFixture = make_galaxy(where / "galaxy", "core", (BASE, APP, META), self.signers)
        self.root = where / "root"
        self.root.mkdir()
        for key in (ALICE, BOB, MALLORY, LOG):
            key.save(where / f"{key.public.name}.key", None)
        roles: dict[Role, RoleKeys] = dict(self.signers.roots().roles)
        roles["attester"] = RoleKeys(threshold=1, keys=(ALICE.public, BOB.public))
        roles["log"] = RoleKeys(threshold=1, keys=(LOG.public,))
        self.roots: TrustRoots = replace(self.signers.roots(), roles=roles)
        carry(self.galaxy.path, self.roots, self.signers)
        trust = self.galaxy.path / "trust/1.toml"
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()
        cosmos("add-galaxy", "core", address or self.galaxy.path, "--root", self.root).ok()

    def __call__(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.root)

    def demand(self, *lines: str) -> None:
        """Write the operator's policy."""
        settings = self.root / "etc/cosmos/config.toml"
        before = settings.read_text().split("\n[policy]\n")[0]
        settings.write_text("\n".join((before, "[policy]", *lines, "")))

    def append(self) -> None:
        self.stellar("log", "append", self.galaxy.path, "--key", self.where / "core-log.key").ok()

    def attest(self, *keys: SecretKey) -> None:
        """Say of every star that its test passed."""
        for key in keys:
            for name in ("base-1.2.0", "app-2.0.0", "everything-1.0.0"):
                words = (self.galaxy.statement(name), "--kind", "test", "--result", "passed")
                self.stellar("attest", *words, "--key", self.where / f"{key.public.name}.key").ok()

    def beside(self, ending: str) -> Path:
        """A file beside the statement of the star `app`."""
        return self.galaxy.path / f"stars/app-2.0.0{ending}"

    def archive_of_app(self) -> Digest:
        return Statement.parse(self.galaxy.statement("app-2.0.0").read_bytes(), "app").archive

    def fork(self) -> None:
        """Show another log of the same stars, signed by the log's own key: each proof is good."""
        log = self.galaxy.path / "log"
        entries = tuple(reversed(read_entries(3, lambda path, _: (log / path).read_bytes(), "log")))
        leaves = [leaf_hash(entry) for entry in entries]
        head = Head(origin=log_origin(self.galaxy.name), size=3, root=root_of(leaves))
        raw = LOG.head_signature(head.to_text())
        row = NoteSignature(name=head.origin, key_id=log_key_id(head.origin, LOG.public), raw=raw)
        note = Note(text=head.to_text(), signatures=(row,)).to_bytes()
        for path, data in log_files(entries).items():
            (log / path).write_bytes(data)
        (log / "checkpoint").write_bytes(note)
        for place, entry in enumerate(entries):
            name, version = entry.decode().split(" ")[3:5]
            file = self.galaxy.path / "stars" / f"{name}-{version}.tlog-proof"
            file.write_bytes(LogProof(index=place, hashes=Tree(leaves).inclusion(place), note=note).to_bytes())

    @property
    def state(self) -> str:
        return (self.root / "var/lib/cosmos/trust-state.toml").read_text()

    def refused(self, *words: str) -> str:
        """Run a command that must be refused, and return what it said. The system stays as it was."""
        universe = (self.root / "var/lib/cosmos/universe.toml").read_bytes()
        outcome = self(*words).fails(4)
        assert (self.root / "var/lib/cosmos/universe.toml").read_bytes() == universe
        assert not (self.root / "var/lib/cosmos/universe.lock.toml").exists()
        assert "cosmos: hint: " in outcome.err
        return outcome.err


@pytest.fixture
def device(tmp_path: Path, cosmos: Cosmos, stellar: Cosmos) -> Device:
    return Device(tmp_path, cosmos, stellar)


@pytest.fixture
def settled(device: Device) -> Device:
    """A device with the star `app` from before the policy; its galaxy has a log and all badges."""
    device.append()
    device.attest(ALICE, BOB)
    device("install", "app").ok()
    return device


@pytest.mark.objective("SO-13")
def test_with_all_that_the_policy_demands_every_command_goes_on(device: Device) -> None:
    device.append()
    device.attest(ALICE, BOB)
    device.demand(LOGGED, BADGED)
    for command in (DRY_RUN, SYNC, INSTALL, FREEZE):
        device(*command).ok()
    assert '[logs."core/log"]\nsize = 3\n' in device.state


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_star_whose_log_proof_is_withheld_is_refused(settled: Device, command: tuple[str, ...]) -> None:
    settled.demand(LOGGED)
    if command in (INSTALL, DRY_RUN):
        command = ("install", "everything", *command[2:])
        settled.galaxy.path.joinpath("stars/everything-1.0.0.tlog-proof").unlink()
    else:
        settled.beside(".tlog-proof").unlink()
    err = settled.refused(*command)
    assert re.search(r"core: stars/(app-2|everything-1)\.0\.0\.tlog-proof: is not there, and policy\.log wants", err)


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_galaxy_without_its_log_is_refused(settled: Device, command: tuple[str, ...]) -> None:
    settled.demand(LOGGED)
    shutil.rmtree(settled.galaxy.path / "log")
    if command in (INSTALL, DRY_RUN):
        command = ("install", "everything", *command[2:])
    assert "log/checkpoint: is not there, and policy.log wants every star in the log" in settled.refused(*command)


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("attack", ["fork", "cut"])
def test_a_log_that_does_not_continue_the_remembered_one_is_refused(
    settled: Device, command: tuple[str, ...], attack: str
) -> None:
    settled.demand(LOGGED)
    settled("sync").ok()
    before = settled.state
    if attack == "fork":
        settled.fork()
    else:
        shutil.rmtree(settled.galaxy.path / "log")
        make_galaxy(settled.galaxy.path, "core", (BASE, APP), settled.signers)
        settled.append()
        make_galaxy(settled.galaxy.path, "core", (BASE, APP, META), settled.signers)
    if command in (INSTALL, DRY_RUN):
        command = ("install", "everything", *command[2:])
    err = settled.refused(*command)
    assert {"fork": "it was forked or rewritten", "cut": "has 2 entries, but 3 were seen before: it was cut"}[
        attack
    ] in err
    assert settled.state == before


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("first", [DRY_RUN, ("sync", "--index"), INSTALL])
def test_a_split_view_is_found_by_the_head_that_an_earlier_command_saw(device: Device, first: tuple[str, ...]) -> None:
    """The galaxy shows one log to the world, and another one to this device."""
    device.append()
    device.demand(LOGGED)
    device(*first).ok()
    stick = device.where / "stick"
    shutil.copytree(device.galaxy.path, stick)
    device.fork()
    assert "it was forked or rewritten" in device("sync").fails(4).err
    device("sync", "core", "--from", stick).ok()


@pytest.mark.objective("SO-13")
def test_a_refused_installation_remembers_the_log_all_the_same(device: Device) -> None:
    device.append()
    device.demand(LOGGED, BADGED)
    device.refused(*INSTALL)
    device.fork()
    assert "it was forked or rewritten" in device.refused(*INSTALL)


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize("command", [INSTALL, DRY_RUN, FREEZE])
def test_a_star_whose_badges_are_withheld_is_refused(settled: Device, command: tuple[str, ...]) -> None:
    settled.demand(BADGED)
    if command in (INSTALL, DRY_RUN):
        command = ("install", "everything", *command[2:])
        settled.galaxy.path.joinpath("stars/everything-1.0.0.intoto.jsonl").unlink()
        want = "everything-1.0.0: policy.badges wants 2 pinned attesters to say that its test passed, got none of 0"
    else:
        settled.beside(".intoto.jsonl").unlink()
        want = "app-2.0.0: policy.badges wants 2 pinned attesters to say that its test passed, got none of 0"
    assert want in settled.refused(*command)


@pytest.mark.objective("SO-14")
def test_sync_names_a_star_without_its_badges_and_does_not_bring_it(device: Device) -> None:
    device.attest(ALICE, BOB)
    device.beside(".intoto.jsonl").unlink()
    device.demand(BADGED)
    (row,) = device("sync", "--full", "--json").ok().json()["galaxies"]
    assert (row["without-badges"], row["stars"], row["archives"]) == (["app-2.0.0"], 3, 2)
    outcome = device("sync").ok()
    assert "left out: app-2.0.0: policy.badges wants 2 pinned attesters" in outcome.err
    assert "1 without the badges of [policy]: app-2.0.0" in outcome.out


LIES = ("unpinned key", "another archive", "failed", "another kind", "a mismatch", "one attester twice", "revoked")


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize("lie", LIES)
def test_a_badge_that_proves_nothing_never_counts_on_a_device(device: Device, lie: str) -> None:
    device.attest(ALICE, BOB)
    device.demand(BADGED)
    right = Claim(kind="test", name="app-2.0.0", digest=device.archive_of_app(), result="PASSED")
    lying = {
        "unpinned key": (MALLORY, right),
        "another archive": (BOB, replace(right, digest=Digest.of(b"another"))),
        "failed": (BOB, replace(right, result="FAILED")),
        "another kind": (BOB, replace(right, kind="scan")),
        "a mismatch": (
            BOB,
            replace(
                right,
                kind="rebuild",
                result="FAILED",
                lock=Digest.of(b"lock"),
                found=Digest.of(b"x"),
                mismatch=Mismatch.of(["usr/bin/app"], 0),
            ),
        ),
        "one attester twice": (ALICE, replace(right, name="app")),
        "revoked": (BOB, right),
    }
    key, claim = lying[lie]
    data = b""
    for signer, said in ((ALICE, right), (key, claim)):
        data = add_badge(data, signer.sign(IN_TOTO_TYPE, said.to_bytes()), "badges")
    device.beside(".intoto.jsonl").write_bytes(data)
    if lie == "revoked":
        device(*DRY_RUN).ok()
        revoked = Revoked(key=BOB.public.id, reason="stolen laptop", effective_seq=0)
        carry(device.galaxy.path, replace(device.roots, version=2, revoked=(revoked,)), device.signers)
    err = device.refused(*INSTALL)
    assert "app-2.0.0: policy.badges wants 2 pinned attesters to say that its test passed, got 1 of 2 badges" in err
    assert "base-1.2.0" not in err or lie == "revoked"


@pytest.mark.objective("SO-13")
def test_offline_the_proofs_badges_and_heads_that_sync_kept_are_judged(
    tmp_path: Path, cosmos: Cosmos, stellar: Cosmos
) -> None:
    (tmp_path / "galaxy").mkdir()
    with serving(tmp_path / "galaxy") as address:
        device = Device(tmp_path, cosmos, stellar, address)
        device.append()
        device.attest(ALICE, BOB)
        device("sync", "--full").ok()
        device.demand(LOGGED, BADGED)
        assert "app-2.0.0.tlog-proof: is not there" in device.refused(*INSTALL, "--offline")
        device("sync", "--full").ok()
    shutil.rmtree(device.galaxy.path)
    outcome = device(*INSTALL, "--offline").ok()
    assert "core: offline; cannot judge whether its log was forked meanwhile" in outcome.err
    device("freeze", "--offline").ok()
    honest = device.state
    forged = re.sub(r"(size = 3\nroot = \"sha256:)[0-9a-f]{64}", r"\g<1>" + "0" * 64, honest)
    assert forged != honest
    (device.root / "var/lib/cosmos/trust-state.toml").write_text(forged)
    (device.root / "var/lib/cosmos/universe.lock.toml").unlink()
    assert "is not one that the galaxy's log ever had: a fork" in device.refused("freeze", "--offline")


@pytest.mark.objective("SO-14")
def test_offline_a_badge_of_a_revoked_attester_counts_no_more(tmp_path: Path, cosmos: Cosmos, stellar: Cosmos) -> None:
    (tmp_path / "galaxy").mkdir()
    with serving(tmp_path / "galaxy") as address:
        device = Device(tmp_path, cosmos, stellar, address)
        device.attest(ALICE, BOB)
        device.demand(BADGED)
        device("sync", "--full").ok()
    revoked = Revoked(key=BOB.public.id, reason="stolen laptop", effective_seq=0)
    carry(device.galaxy.path, replace(device.roots, version=2, revoked=(revoked,)), device.signers)
    device("trust", "update", device.galaxy.path / "trust").ok()
    assert "got 1 of 2 badges" in device.refused(*INSTALL, "--offline")


@pytest.mark.parametrize("line", [LOGGED, BADGED])
def test_a_policy_that_no_trust_document_can_judge_is_refused(device: Device, line: str) -> None:
    """A galaxy of unsigned stars needs no trust document; a log or a badge does."""
    (device.root / "etc/cosmos/trust.toml").unlink()
    (device.root / "var/lib/cosmos/trust-state.toml").unlink()
    shutil.rmtree(device.galaxy.path / "trust")
    for envelope in device.galaxy.path.rglob("*.dsse"):
        envelope.unlink()
    settings = device.root / "etc/cosmos/config.toml"
    address = f'{{ url = "{device.galaxy.path}", allow-unsigned = true }}'
    settings.write_text(re.sub(r"(?m)^core = .*$", f"core = {address}", settings.read_text()))
    device(*DRY_RUN).ok()
    device.demand(line)
    for command in (INSTALL, DRY_RUN, SYNC):
        err = device.refused(*command)
        assert f"/etc/cosmos/config.toml: [policy] wants {line.split()[0]} for every star, but no trust.toml" in err
        assert "cosmos trust init FILE --sha256 DIGEST" in err


def test_status_says_which_demands_hold_and_which_no_star_can_meet(device: Device) -> None:
    assert "policy" not in device("status").ok().out
    device.demand(LOGGED, "badges = { test = 3, scan = 1 }")
    said = device("status").ok().out
    assert (
        "policy        every star must be in its galaxy's log, 3 test badges for every star, 1 scan badge for" in said
    )
    assert "but only 2 attesters are pinned, so no star can be installed" in said
    assert device("status", "--json").ok().json()["policy"] == {"log": True, "badges": {"test": 3, "scan": 1}}
    device.demand(BADGED)
    assert "so no star can be installed" not in device("status").ok().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("badges = { rebuild = 1 }", "policy.badges.rebuild: unknown key"),
        ("badges = { test = 0 }", "policy.badges.test"),
        ("log = 1", "policy.log"),
    ],
)
def test_a_policy_that_says_nothing_sensible_is_an_error(device: Device, line: str, said: str) -> None:
    device.demand(line)
    assert said in device("status").fails(2).err


def test_a_line_of_the_policy_below_the_galaxies_is_named(device: Device) -> None:
    settings = device.root / "etc/cosmos/config.toml"
    for line in (LOGGED, BADGED):
        before = settings.read_text()
        settings.write_text(f"{before}\n{line}\n")
        err = device("status").fails(2).err
        assert "stands below [galaxies], so that TOML counts it as a galaxy" in err
        assert "below a line [policy]" in err
        settings.write_text(before)


def test_a_command_that_writes_the_settings_keeps_the_demands(device: Device) -> None:
    device.demand(LOGGED, BADGED)
    device("add-galaxy", "more", device.galaxy.path).ok()
    assert device("status", "--json").ok().json()["policy"] == {"log": True, "badges": {"test": 2}}


def test_whatever_acquires_a_star_on_a_system_asks_the_judge_of_its_policy() -> None:
    rooms = Path(__file__).parents[2] / "builder/cosmos/device"
    fetching = [file.name for file in rooms.rglob("*.py") if "acquire_star(" in file.read_text()]
    assert fetching == ["fetching.py"], "its callers hand in the judge"
    found = [
        file.name for file in sorted(rooms.rglob("*.py")) if re.search(r"(?<!def )acquired_stars\(", file.read_text())
    ]
    assert found, "the search finds the place where stars are acquired"
    assert [name for name in found if "system_judge(" not in (rooms / name).read_text()] == []


def test_an_update_to_a_version_without_its_badges_is_refused(settled: Device) -> None:
    newer = replace(APP, version="2.1.0")
    make_galaxy(settled.galaxy.path, "core", (BASE, newer, META), settled.signers, seq=2)
    settled.demand(BADGED)
    for words in (("update", "--all", "--dry-run"), ("update", "--all", "--yes")):
        assert "app-2.1.0: policy.badges wants 2 pinned attesters" in settled.refused(*words)


# --- repair puts back only what an installation would take


@pytest.mark.parametrize("words", [("repair",), ("repair", "--dry-run"), ("repair", "app")])
def test_a_star_whose_log_proof_or_badges_are_withheld_gets_nothing_back(
    settled: Device, words: tuple[str, ...]
) -> None:
    binary, library = settled.root / "usr/bin/app", settled.root / "usr/share/doc/base"
    for policy, ending, said in (
        (LOGGED, ".tlog-proof", "is not there, and policy.log wants every star in the log"),
        (BADGED, ".intoto.jsonl", "policy.badges wants 2 pinned attesters"),
    ):
        settled.demand(policy)
        aside = settled.beside(ending).rename(settled.where / "aside")
        for file in (binary, library):
            file.unlink(missing_ok=True)
        refused = settled(*words).fails(4).err
        assert said in refused
        assert "/usr/bin/app (app): is missing; not repaired" in refused
        assert not binary.exists()
        assert library.exists() == (words == ("repair",)), "the other star has all that is demanded"
        aside.rename(settled.beside(ending))
    settled("repair").ok()
    assert binary.exists()


def test_a_fork_of_the_log_stops_a_repair_of_every_star(settled: Device) -> None:
    settled.demand(LOGGED)
    settled("repair").ok()
    (settled.root / "usr/bin/app").unlink()
    settled("repair").ok()
    (settled.root / "usr/bin/app").unlink()
    settled.fork()
    assert "fork" in settled("repair").fails(4).err
    assert not (settled.root / "usr/bin/app").exists()


def test_a_repair_without_the_galaxy_believes_the_proofs_that_were_kept(device: Device) -> None:
    device.append()
    device.attest(ALICE, BOB)
    device.demand(LOGGED, BADGED)
    device(*INSTALL).ok()
    device.galaxy.path.rename(device.where / "gone")
    (device.root / "usr/bin/app").unlink()
    device("repair", "--offline").ok()
    device.galaxy.path.mkdir()  # as the mount point of a stick that is away
    (device.root / "usr/bin/app").unlink()
    device("repair", "--offline").ok()
    assert (device.root / "usr/bin/app").exists()
    device.demand("badges = { test = 3 }")
    (device.root / "usr/bin/app").unlink()
    assert "policy.badges wants 3 pinned attesters" in device("repair", "--offline").fails(4).err


def test_a_policy_that_nobody_can_judge_stops_a_repair(settled: Device) -> None:
    settled.demand(LOGGED)
    for file in ("trust.toml", "trust.toml.dsse"):
        (settled.root / "etc/cosmos" / file).unlink(missing_ok=True)
    assert "cosmos trust init" in settled("repair").fails(4).err
