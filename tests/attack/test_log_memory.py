"""Attacks on the memory of a galaxy's log: a fork online and offline, a stolen log key, witnesses. As commands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import GalaxyName, KeyName
from cosmos.trust.floors import Recovered
from cosmos.trust.log import LogProof, log_origin
from cosmos.trust.merkle import Tree, leaf_hash, root_of
from cosmos.trust.notes import Head, Note, NoteSignature, log_key_id
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import TRUST_TYPE, Role
from cosmos.trust.roots import RoleKeys, TrustRoots
from cosmos.trust.tiles import read_entries
from fakes.galaxies import StarSpec, make_galaxy, write_index, write_spec
from fakes.growing_galaxies import pin
from fakes.images import APP, BASE, META, ImageFixture, make_image, write_image
from fakes.programs import Cosmos, Outcome

CORE = GalaxyName("core")
LOGGED = "[policy]\nlog = true"
NOT_HAD = "is not one that the galaxy's log ever had: a fork"


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


LOG, NEXT_LOG = secret("core-log", "log"), secret("next-log", "log")
WATCHER, WATCHMAN = secret("watcher", "witness"), secret("watchman", "witness")


class Site:
    """A galaxy with a log, and a home that wants every star in it; `witnesses` are pinned."""

    def __init__(self, where: Path, cosmos: Cosmos, stellar: Cosmos, witnesses: Sequence[SecretKey] = ()) -> None:
        self.where, self.cosmos, self.stellar = where, cosmos, stellar
        self.image: ImageFixture = make_image(where, (BASE, APP, META), tables=LOGGED)
        roles = dict(self.image.signers.roots().roles)
        roles["log"] = RoleKeys(threshold=1, keys=(LOG.public,))
        if witnesses:
            roles["witness"] = RoleKeys(threshold=1, keys=tuple(key.public for key in witnesses))
        pin(self.image.signers, self.image.home, roles=roles)
        self.roots = replace(self.image.signers.roots(), roles=roles)
        for key in (LOG, NEXT_LOG, WATCHER, WATCHMAN):
            key.save(where / f"{key.public.name}.key", None)

    def key(self, key: SecretKey) -> Path:
        return self.where / f"{key.public.name}.key"

    def wish(self, *names: str) -> None:
        """Let the image wish for these stars, and lock them."""
        write_image(self.image, dict.fromkeys(names, "*"), tables=LOGGED)
        (self.image.folder / "universe.lock.toml").unlink(missing_ok=True)
        self.cosmos("freeze", self.image.folder, "--home", self.image.home).ok()

    def append(self, key: SecretKey = LOG) -> None:
        self.stellar("log", "append", self.image.galaxy.path, "--key", self.key(key)).ok()

    def cosign(self, key: SecretKey = WATCHER) -> Outcome:
        seen = self.where / f"{key.public.name}.head"
        words = ("--key", self.key(key), "--seen", seen, "--home", self.image.home)
        return self.stellar("log", "cosign", self.image.galaxy.path, *words)

    def check(self) -> Outcome:
        words = ("--seen", self.where / "mine.head", "--home", self.image.home)
        return self.stellar("log", "check", self.image.galaxy.path, *words)

    def build(self, *words: str) -> Outcome:
        return self.cosmos("build", self.image.folder, "--home", self.image.home, *words)

    def trust(self, change: Callable[[TrustRoots], TrustRoots]) -> None:
        """Give out the next trust.toml, and take it."""
        self.roots = replace(change(self.roots), version=self.roots.version + 1)
        file = self.where / f"{self.roots.version}.toml"
        file.write_bytes(tomli_w.dumps(self.roots.to_toml()).encode())
        Path(f"{file}.dsse").write_bytes(self.image.signers["root"].sign(TRUST_TYPE, file.read_bytes()))
        self.cosmos("trust", "update", file, "--home", self.image.home).ok()

    @property
    def state(self) -> bytes:
        return (self.image.home / "trust/state.toml").read_bytes()

    def proof_of_a_fork(self, star: str, size: int = 3) -> None:
        """Put in place a proof of `star` in another log, of the same stars, that the log's own key has signed."""
        log = self.image.galaxy.path / "log"
        entries = read_entries(3, lambda path, _: (log / path).read_bytes(), "log")
        mine = next(entry for entry in entries if f" {star} " in entry.decode())
        leaves = [leaf_hash(mine), *(leaf_hash(b"another %d" % number) for number in range(size - 1))]
        head = Head(origin=log_origin(CORE), size=size, root=root_of(leaves))
        raw = LOG.head_signature(head.to_text())
        row = NoteSignature(name=head.origin, key_id=log_key_id(head.origin, LOG.public), raw=raw)
        note = Note(text=head.to_text(), signatures=(row,)).to_bytes()
        proof = LogProof(index=0, hashes=Tree(leaves).inclusion(0), note=note)
        (file,) = self.image.galaxy.path.glob(f"stars/{star}-*.tlog-proof")
        file.write_bytes(proof.to_bytes())


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos, stellar: Cosmos) -> Site:
    site = Site(tmp_path, cosmos, stellar)
    site.append()
    return site


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_proof_of_a_head_that_the_log_never_had_is_refused_online_and_offline(site: Site, size: int) -> None:
    site.wish("base")
    site.build().ok()  # the home remembers the true head of 3, and has seen no proof of app
    before = site.state
    site.wish("everything")
    site.proof_of_a_fork("app", size)
    assert NOT_HAD in site.build().fails(4).err
    assert site.state == before
    refused = site.build("--offline").fails(4)
    assert "app-2.0.0.tlog-proof: is not there" in refused.err, "a refused proof is not kept"


@pytest.mark.objective("SO-13")
def test_a_proof_that_was_kept_before_is_judged_by_the_memory_offline(site: Site) -> None:
    """It stands in the store as an honest one, but this home remembers another log."""
    site.wish("everything")
    site.build().ok()
    state = site.image.home / "trust/state.toml"
    honest = state.read_text()
    shutil.rmtree(site.image.home / "store")
    state.write_text(honest[: honest.index("[logs.")])
    shutil.rmtree(site.image.galaxy.path / "log")
    galaxy = make_galaxy(site.image.galaxy.path, "core", (BASE,), site.image.signers)
    site.append()  # a fork that begins with base alone
    make_galaxy(galaxy.path, "core", (BASE, APP, META), site.image.signers)
    site.append()
    site.wish("everything")
    site.build().ok()  # on a machine without the memory
    assert state.read_text() != honest
    logs = honest[honest.index("[logs.") :]
    now = state.read_text()
    state.write_text(now[: now.index("[logs.")] + logs)
    said = site.build("--offline").fails(4).err
    assert "cannot be compared with the log" in said or NOT_HAD in said


@pytest.mark.objective("SO-13")
def test_what_was_judged_online_is_taken_offline_while_the_log_grows(site: Site) -> None:
    site.wish("everything")
    site.build().ok()
    galaxy = site.image.galaxy
    rows = GalaxyIndex.parse(galaxy.index.read_bytes(), "meta.toml").snapshot
    write_index(galaxy, (*rows, write_spec(galaxy, StarSpec("more", "1.0.0", {"a": b"a"}), 2)), seq=2)
    before = {file: file.read_bytes() for file in site.image.galaxy.path.glob("stars/*.tlog-proof")}
    site.append()
    for file, data in before.items():
        file.write_bytes(data)  # proofs of the smaller head stay good
    site.build().ok()
    away = site.image.galaxy.path.rename(site.where / "away")
    site.build("--offline").ok()
    away.rename(site.image.galaxy.path)


def stolen(site: Site) -> None:
    """A thief of the log's key, and of nothing else, adds an entry; the home sees the thief's head of 4."""
    site.wish("everything")
    site.build().ok()
    shutil.copytree(site.image.galaxy.path, site.where / "honest")
    make_galaxy(site.image.galaxy.path, "core", (BASE, APP, META, StarSpec("bad", "1.0.0", {"a": b"a"})),
                site.image.signers, seq=1)  # fmt: skip
    site.append()
    shutil.copytree(site.image.galaxy.path / "log", site.where / "thief" / "log")
    shutil.copytree(site.image.galaxy.path / "stars", site.where / "thief" / "stars")
    for name in ("meta.toml", "meta.toml.dsse"):
        shutil.copy(site.where / "honest" / name, site.image.galaxy.path / name)


def recovered(site: Site, **rows: dict[GalaxyName, int]) -> None:
    """Revoke and replace the log's key, and recover what `rows` name; the honest log begins again under the new key."""
    shutil.rmtree(site.image.galaxy.path)
    (site.where / "honest").rename(site.image.galaxy.path)
    shutil.rmtree(site.image.galaxy.path / "log")
    for file in site.image.galaxy.path.glob("stars/*.tlog-proof"):
        file.unlink()
    site.append(NEXT_LOG)

    def rotate(roots: TrustRoots) -> TrustRoots:
        keys = RoleKeys(threshold=1, keys=(LOG.public, NEXT_LOG.public))
        gone = Revoked(key=LOG.public.id, reason="stolen")
        return replace(
            roots, roles={**roots.roles, "log": keys}, revoked=(*roots.revoked, gone), recovered=Recovered(**rows)
        )

    site.trust(rotate)


@pytest.mark.objective("SO-10")
@pytest.mark.parametrize("what", ["galaxies", "logs"])
def test_a_stolen_log_key_does_not_lock_the_operator_out(site: Site, what: str) -> None:
    stolen(site)
    site.build().ok()
    recovered(site, **{what: {CORE: 2}})
    refused = site.build("--offline").fails(4)
    assert "begins again with version 2 of trust.toml, and was not read since" in refused.err
    site.build().ok()
    site.build("--offline").ok()
    assert site.state.count(b"trust-version = 2") >= 1
    shutil.rmtree(site.image.galaxy.path / "log")  # the thief's log is not taken again
    shutil.copytree(site.where / "thief" / "log", site.image.galaxy.path / "log")
    assert "role log, got none" in site.build().fails(4).err


@pytest.mark.objective("SO-10")
def test_without_a_recovery_a_log_that_begins_again_is_refused(site: Site) -> None:
    stolen(site)
    site.build().ok()
    recovered(site)
    assert "it was cut" in site.build().fails(4).err


@pytest.mark.objective("SO-10")
def test_a_witness_and_a_person_who_watches_go_on_after_a_recovery(
    tmp_path: Path, cosmos: Cosmos, stellar: Cosmos
) -> None:
    site = Site(tmp_path, cosmos, stellar, (WATCHER,))
    site.append()
    site.cosign().ok()
    site.check().ok()
    stolen(site)
    site.cosign().ok()
    site.check().ok()
    site.build().ok()
    recovered(site)
    assert "it was cut" in site.cosign().fails(4).err
    site.trust(lambda roots: replace(roots, recovered=Recovered(logs={CORE: roots.version + 1})))
    assert "role witness, got none" in site.check().fails(4).err
    site.cosign().ok()
    assert site.check().ok().err.count("was cut") == 0
    site.build().ok()
    shutil.rmtree(site.image.galaxy.path / "log")  # what was seen since the recovery counts
    make_galaxy(site.image.galaxy.path, "core", (BASE,), site.image.signers, seq=3)
    site.append(NEXT_LOG)
    assert "it was cut" in site.cosign().fails(4).err


@pytest.mark.objective("SO-13")
def test_a_head_that_an_older_cosmos_remembered_is_read(site: Site) -> None:
    """It wrote the note alone."""
    (site.where / "mine.head").write_bytes((site.image.galaxy.path / "log/checkpoint").read_bytes())
    assert "continues the 3 seen before" in site.check().ok().out
    assert (site.where / "mine.head").read_bytes().startswith(b"cosmos-seen-v1 trust-version 1\ncore/log\n")
    assert "continues the 3 seen before" in site.check().ok().out


@pytest.mark.objective("SO-13")
def test_revoking_every_witness_does_not_take_the_witnesses_away(
    tmp_path: Path, cosmos: Cosmos, stellar: Cosmos
) -> None:
    site = Site(tmp_path, cosmos, stellar, (WATCHER, WATCHMAN))
    site.append()
    site.cosign().ok()
    site.wish("everything")
    site.build().ok()
    gone = tuple(Revoked(key=key.public.id, reason="stolen") for key in (WATCHER, WATCHMAN))
    site.trust(lambda roots: replace(roots, revoked=gone))
    assert "signed by 1 pinned keys of the role witness, got none" in site.build().fails(4).err
    assert "role witness, got none" in site.check().fails(4).err


@pytest.mark.objective("SO-10")
def test_rotate_recovers_a_log_by_name(site: Site) -> None:
    root = site.where / "root.key"
    site.image.signers["root"].save(root, None)
    first = site.where / "1.toml"
    first.write_bytes((site.image.home / "trust/trust.toml").read_bytes())
    site.stellar("trust", "rotate", first, "--recover", "log:core", "--sign", root).ok()
    written = (site.where / "2.toml").read_text()
    assert "[recovered.logs]\ncore = 2" in written
    assert "trust-version = 2\n" in written
    site.cosmos("trust", "update", site.where / "2.toml", "--home", site.image.home).ok()
    old = written.replace("trust-version = 2\n", "trust-version = 1\n")
    with pytest.raises(Malformed, match=r"recovered\.logs: unknown key"):
        TrustRoots.parse(old.encode(), "trust.toml")
