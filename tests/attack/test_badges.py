"""Badges and rebuilds: only a pinned attester's word, about these very bytes, is ever counted."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.release.attest import attest_unlike, what_was_built
from cosmos.trust.badges import (
    MAX_BADGES,
    MAX_BADGES_BYTES,
    Badge,
    Claim,
    Mismatch,
    Result,
    add_badge,
    counted,
    judge_badges,
    unlike,
)
from cosmos.trust.dsse import Signature, assemble, pae
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import IN_TOTO_TYPE, RELEASE_TYPE, Role
from cosmos.trust.roots import RoleKeys, TrustRoots
from fakes.galaxies import make_signers
from fakes.huge_files import grow, hash_no_huge_file
from fakes.images import APP, BASE, META, ImageFixture, make_image, write_image
from fakes.programs import Cosmos


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


ALICE, BOB, MALLORY = (secret(name, "attester") for name in ("alice", "bob", "mallory"))
LOG = secret("core-log", "log")
ARCHIVE = Digest.of(b"the archive")
LOCK = Digest.of(b"the lock")


def roots() -> TrustRoots:
    honest = make_signers().roots()
    roles: dict[Role, RoleKeys] = dict(honest.roles)
    roles["attester"] = RoleKeys(threshold=1, keys=(ALICE.public, BOB.public))
    roles["log"] = RoleKeys(threshold=1, keys=(LOG.public,))
    return dataclasses.replace(honest, roles=roles)


def claim(result: Result = "PASSED", digest: Digest = ARCHIVE) -> bytes:
    return Claim(kind="test", name="zlib-1.3.1", digest=digest, result=result).to_bytes()


def file_of(*envelopes: bytes) -> bytes:
    data = b""
    for envelope in envelopes:
        data = add_badge(data, envelope, "x")
    return data


def judged(data: bytes, trusted: TrustRoots | None = None) -> tuple[Badge, ...]:
    return judge_badges(data, digest=ARCHIVE, roots=trusted or roots(), source="zlib-1.3.1.intoto.jsonl")


def by(key: SecretKey, payload: bytes, kind: str = IN_TOTO_TYPE, keyid: str | None = None) -> bytes:
    """Return what a signer without our rule about roles would make, in anybody's name."""
    raw = key._signing.sign(pae(kind, payload)).signature
    return assemble(kind, payload, [Signature(keyid=key.public.id if keyid is None else keyid, raw=raw)])


@pytest.mark.objective("SO-14")
def test_badges_of_two_pinned_attesters_are_verified_and_counted_once_each() -> None:
    data = file_of(ALICE.sign(IN_TOTO_TYPE, claim()), BOB.sign(IN_TOTO_TYPE, claim()), by(ALICE, claim(), keyid=""))
    assert [badge.standing for badge in judged(data)] == ["verified"] * 3
    assert counted(judged(data), "test") == tuple(sorted((ALICE.public.id, BOB.public.id)))
    assert counted(judged(data), "scan") == ()


NOT_COUNTED: dict[str, tuple[bytes, str]] = {
    "by a key that is not pinned": (by(MALLORY, claim()), "unpinned"),
    "by an author's key": (by(make_signers()["author"], claim()), "unpinned"),
    "by a release's key": (by(make_signers()["release"], claim()), "unpinned"),
    "in a pinned key's name": (by(MALLORY, claim(), keyid=ALICE.public.id), "unverifiable"),
    "of other bytes": (by(ALICE, claim(digest=Digest.of(b"others"))), "unverifiable"),
    "that says it failed": (by(ALICE, claim("FAILED")), "verified"),
    "signed as another kind of document": (by(ALICE, claim(), RELEASE_TYPE), "unverifiable"),
    "that is no Statement": (by(ALICE, b"{}"), "unverifiable"),
    "of another predicate": (by(ALICE, claim().replace(b"test-result/v0.1", b"test-result/v9")), "unverifiable"),
    "of two subjects": (by(ALICE, claim().replace(b'"subject":[', b'"subject":[{},')), "unverifiable"),
}


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize("what", NOT_COUNTED)
def test_a_badge_that_proves_nothing_is_shown_as_that_and_never_counted(what: str) -> None:
    envelope, standing = NOT_COUNTED[what]
    (badge,) = judged(file_of(envelope))
    assert badge.standing == standing
    assert badge.why or standing == "verified"
    assert counted([badge], "test") == ()
    beside_a_good_one = judged(file_of(envelope, BOB.sign(IN_TOTO_TYPE, claim())))
    assert counted(beside_a_good_one, "test") == (BOB.public.id,)


@pytest.mark.objective("SO-14")
def test_a_revoked_attester_is_not_counted() -> None:
    trusted = dataclasses.replace(roots(), revoked=(Revoked(key=ALICE.public.id, reason="stolen"),))
    (badge,) = judged(file_of(ALICE.sign(IN_TOTO_TYPE, claim())), trusted)
    assert (badge.standing, counted([badge], "test")) == ("unpinned", ())


@pytest.mark.objective("SO-14")
def test_a_changed_byte_of_a_badge_never_counts_for_more() -> None:
    good = file_of(ALICE.sign(IN_TOTO_TYPE, claim()))
    for place in range(len(good) - 1):
        changed = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        assert counted(judged(changed), "test") in ((), (ALICE.public.id,))
    assert counted(judged(good.replace(b'"sig": "', b'"sig": "A')), "test") == ()


@pytest.mark.objective("SO-14")
def test_an_attester_s_key_signs_no_star_and_no_index() -> None:
    from cosmos.errors import Refused
    from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE

    for kind in (STAR_TYPE, GALAXY_TYPE):
        with pytest.raises(Refused, match="does not sign"):
            ALICE.sign(kind, b"x")


@pytest.mark.objective("SO-14")
@given(st.binary(max_size=200))
def test_any_bytes_are_badges_that_prove_nothing(data: bytes) -> None:
    assert counted(judged(data), "test") == ()


def test_a_file_of_badges_has_so_many_and_no_more() -> None:
    """Each costs a verification. The file is refused before the first one, and no command writes such a file."""
    good = by(ALICE, claim())
    most = file_of(good) + b"x\n" * (MAX_BADGES - 1)
    assert len(judged(most)) == MAX_BADGES
    assert add_badge(most, good, "x") == most
    for data in (most + b"x\n", b"x" * (MAX_BADGES_BYTES + 1)):
        with pytest.raises(Refused, match="the limit is 256"):
            judged(data)
    with pytest.raises(Refused, match="has 256 badges, the limit is 256"):
        add_badge(most, by(BOB, claim()), "x")


# As commands


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    made = make_image(tmp_path, (BASE, APP, META))
    (made.home / "trust" / "trust.toml").write_text(tomli_w.dumps(roots().to_toml()))
    (made.home / "trust" / "state.toml").unlink()
    for key in (ALICE, BOB, MALLORY):
        key.save(tmp_path / f"{key.public.name}.key", None)
    return made


def attest_all(image: ImageFixture, stellar: Cosmos, *names: str) -> None:
    for name in names:
        for star in ("base-1.2.0", "app-2.0.0", "everything-1.0.0"):
            words = ("--kind", "test", "--result", "passed", "--key", image.home.parent / f"{name}.key")
            stellar("attest", image.galaxy.statement(star), *words).ok()


@pytest.mark.objective("SO-14")
def test_a_policy_that_wants_two_badges_of_a_kind_is_kept(image: ImageFixture, cosmos: Cosmos, stellar: Cosmos) -> None:
    write_image(image, {"everything": "*"}, tables="[policy]\nbadges = { test = 2 }")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    build = ("build", image.folder, "--home", image.home)
    assert "wants 2 pinned attesters" in cosmos(*build).fails(4).err
    attest_all(image, stellar, "alice", "mallory")
    assert "got 1 of 2 badges" in cosmos(*build).fails(4).err
    assert not image.out.exists()
    attest_all(image, stellar, "bob")
    cosmos(*build).ok()
    shutil.rmtree(image.galaxy.path)
    cosmos(*build, "--offline").ok()


@pytest.mark.objective("SO-14")
def test_an_author_s_key_makes_no_badge(image: ImageFixture, stellar: Cosmos, cosmos: Cosmos, tmp_path: Path) -> None:
    author = tmp_path / "author.key"
    make_signers()["author"].save(author, None)
    words = ("--kind", "scan", "--result", "passed", "--key", author)
    assert "only an attester's badge" in stellar("attest", image.galaxy.statement("base-1.2.0"), *words).fails(4).err
    assert not list(image.galaxy.path.rglob("*.jsonl"))


def test_nobody_attests_to_an_archive_that_is_not_there(image: ImageFixture, stellar: Cosmos) -> None:
    (archive,) = image.galaxy.path.glob("packages/base-1.2.0*")
    archive.unlink()
    words = ("--kind", "test", "--result", "passed", "--key", image.home.parent / "alice.key")
    told = stellar("attest", image.galaxy.statement("base-1.2.0"), *words).fails(2)
    assert f"base-1.2.0.toml: names the archive packages/{archive.name}, which is not there" in told.err
    assert not list(image.galaxy.path.rglob("*.jsonl"))


@pytest.mark.objective("SO-14")
def test_nobody_attests_to_an_archive_that_is_not_the_stated_one(image: ImageFixture, stellar: Cosmos) -> None:
    image.galaxy.archive("base-1.2.0").write_bytes(b"another")
    words = ("--kind", "test", "--result", "passed", "--key", image.home.parent / "alice.key")
    assert "the archive is" in stellar("attest", image.galaxy.statement("base-1.2.0"), *words).fails(4).err


@pytest.mark.objective("SO-14")
def test_show_tells_how_each_badge_stands(image: ImageFixture, cosmos: Cosmos, stellar: Cosmos, tmp_path: Path) -> None:
    attest_all(image, stellar, "alice", "mallory")
    badges = image.galaxy.path / "stars" / "base-1.2.0.intoto.jsonl"
    badges.write_bytes(badges.read_bytes() + b"{}\n")
    root = tmp_path / "system"
    root.mkdir()
    cosmos("init", "--root", root).ok()
    (root / "etc/cosmos/trust.toml").write_text(tomli_w.dumps(roots().to_toml()))
    cosmos("add-galaxy", "core", image.galaxy.path, "--root", root).ok()
    row = cosmos("show", "base", "--root", root, "--json").json()["galaxies"][0]
    assert [badge["standing"] for badge in row["badges"]] == ["verified", "unpinned", "unverifiable"]
    said = cosmos("show", "base", "--root", root).ok().out
    assert "verified: test PASSED, by ed25519:" in said
    assert "unpinned: test PASSED, signed by ed25519:" in said


@pytest.mark.objective("SO-14")
def test_a_quorum_of_rebuilds_is_distinct_pinned_keys_for_this_root_and_this_lock(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()

    def verify(quorum: int) -> tuple[object, ...]:
        return ("verify", image.out, "--key", image.public_key, "--home", image.home, "--quorum", quorum)

    assert "got none of 0 badges" in cosmos(*verify(1)).fails(4).err
    for name in ("alice", "alice", "mallory"):
        cosmos("attest", image.out, "--key", tmp_path / f"{name}.key").ok()
    cosmos(*verify(1)).ok()
    assert "got 1 of 2 badges" in cosmos(*verify(2)).fails(4).err
    cosmos("attest", image.out, "--key", tmp_path / "bob.key").ok()
    assert len(cosmos(*verify(2), "--json").json()["rebuilt-by"]) == 2
    assert "cosmos attest" in cosmos(*verify(3)).fails(4).err
    cosmos("verify", image.out, "--key", image.public_key).ok()


@pytest.mark.objective("SO-14")
def test_a_rebuild_from_another_lock_is_not_counted() -> None:
    def rebuilt(lock: Digest) -> bytes:
        return Claim(kind="rebuild", name="manifest.txt", digest=ARCHIVE, result="PASSED", lock=lock).to_bytes()

    data = file_of(ALICE.sign(IN_TOTO_TYPE, rebuilt(LOCK)), BOB.sign(IN_TOTO_TYPE, rebuilt(Digest.of(b"other"))))
    assert counted(judged(data), "rebuild", LOCK) == (ALICE.public.id,)


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize(
    ("more", "number"),
    [({}, "v2"), ({"mismatch": Mismatch.of(["/etc/a", "/etc/b"], 1)}, "v3"), ({"mismatch": Mismatch.of([], 0)}, "v3")],
    ids=["bare", "with its paths", "without a path"],
)
def test_a_mismatch_never_counts_and_cancels_nobody(more: dict[str, object], number: str) -> None:
    def said(result: str, **fields: object) -> bytes:
        return Claim(kind="rebuild", name="manifest.txt", digest=ARCHIVE, result=result, lock=LOCK, **fields).to_bytes()

    other = Digest.of(b"other root")
    mismatch = said("FAILED", found=other, **more)
    assert Claim.parse(mismatch, "x") == Claim(
        kind="rebuild", name="manifest.txt", digest=ARCHIVE, result="FAILED", lock=LOCK, found=other, **more
    )
    assert f"urn:cosmos:badge:rebuild:{number}".encode() in mismatch
    lie = mismatch.replace(b"FAILED", b"PASSED")
    badges = judged(
        file_of(
            ALICE.sign(IN_TOTO_TYPE, mismatch),
            ALICE.sign(IN_TOTO_TYPE, said("PASSED")),
            BOB.sign(IN_TOTO_TYPE, lie),
            MALLORY.sign(IN_TOTO_TYPE, mismatch),
        )
    )
    assert [badge.standing for badge in badges] == ["verified", "verified", "unverifiable", "unpinned"]
    assert counted(badges, "rebuild", LOCK) == (ALICE.public.id,)
    assert unlike(badges, LOCK) == ((ALICE.public.id, other),)
    assert unlike(badges, Digest.of(b"another lock")) == ()


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize(
    "changes",
    [
        [(b'"FAILED"', b'"PASSED"')],
        [(b'"differing":40', b'"differing":31')],
        [(b'"differing":40', b'"differing":-1')],
        [(b'"waived":3', b'"waived":41')],
        [(b'"found":', b'"find":')],
        [(b"rebuild:v3", b"rebuild:v1")],
        [(b"rebuild:v3", b"rebuild:v1"), (b'"FAILED"', b'"PASSED"')],
        [(b"rebuild:v3", b"rebuild:v2"), (b'"FAILED"', b'"PASSED"')],
    ],
)
def test_a_badge_of_a_mismatch_that_was_made_up_is_unverifiable(changes: list[tuple[bytes, bytes]]) -> None:
    mismatch = Claim(
        kind="rebuild", name="manifest.txt", digest=ARCHIVE, result="FAILED", lock=LOCK, found=Digest.of(b"other"),
        mismatch=Mismatch.of([f"/etc/{number}" for number in range(40)], 3),
    ).to_bytes()  # fmt: skip
    assert mismatch.count(b"/etc/") == 32
    for old, new in changes:
        assert old in mismatch
        mismatch = mismatch.replace(old, new)
    badges = judged(file_of(ALICE.sign(IN_TOTO_TYPE, mismatch)))
    assert [badge.standing for badge in badges] == ["unverifiable"]
    assert counted(badges, "rebuild", LOCK) == ()
    assert unlike(badges, LOCK) == ()


@pytest.mark.objective("SO-14")
def test_a_quorum_names_those_who_got_another_content_root(image: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    cosmos("attest", image.out, "--key", tmp_path / "alice.key").ok()
    other = Digest.of(b"other root")
    attest_unlike(image.out, BOB, other, Mismatch.of([], 0))
    words = ("verify", image.out, "--key", image.public_key, "--home", image.home, "--quorum", 1)
    assert cosmos(*words, "--json").json()["rebuilt-otherwise"] == [[BOB.public.id, str(other)]]
    assert f"NOT rebuilt   by {BOB.public.id}, who got {other}" in cosmos(*words).ok().out
    with pytest.raises(Refused, match="no mismatch"):
        attest_unlike(image.out, BOB, what_was_built(image.out).content_root, Mismatch.of([], 0))


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize("is_long", [False, True], ids=["a mode", "a very long manifest"])
def test_a_release_that_was_changed_is_not_attested(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, is_long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    manifest = image.out / "manifest.txt"
    manifest.write_bytes(manifest.read_bytes().replace(b"0755", b"4755", 1))
    if is_long:
        grow(manifest)
    hash_no_huge_file(monkeypatch)
    failed = cosmos("attest", image.out, "--key", tmp_path / "alice.key").fails(4)
    assert "does not name the manifest" in failed.err


@pytest.mark.objective("SO-14")
@pytest.mark.parametrize("what", ["image", "lock", "more", "less"])
def test_nobody_attests_to_files_that_are_not_what_the_release_lists(
    image: ImageFixture, cosmos: Cosmos, tmp_path: Path, what: str
) -> None:
    """The manifest is right, and the image beside it has one other byte: "I rebuilt this" would be a lie."""
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    attest = ("attest", image.out, "--key", tmp_path / "alice.key")
    (packed,) = image.out.glob("*.tar.zst")
    if what == "image":
        data = bytearray(packed.read_bytes())
        data[60] ^= 1
        packed.write_bytes(data)
    elif what == "less":
        packed.unlink()
    elif what == "more":
        (image.out / "another").write_bytes(b"x")
    else:
        lock = image.out / "universe.lock.toml"
        lock.write_bytes(lock.read_bytes() + b"\n")
    cosmos(*attest).fails(4 if what == "lock" else 7)
    assert not (image.folder / "out.intoto.jsonl").exists()


@pytest.mark.objective("SO-14")
def test_badges_that_were_refused_are_not_kept(image: ImageFixture, cosmos: Cosmos, stellar: Cosmos) -> None:
    """The store keeps the last good ones for an offline build, whatever a mirror serves in between."""
    write_image(image, {"everything": "*"}, tables="[policy]\nbadges = { test = 1 }")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    build = ("build", image.folder, "--home", image.home)
    attest_all(image, stellar, "alice")
    cosmos(*build).ok()
    for file in image.galaxy.path.glob("stars/*.intoto.jsonl"):
        file.write_bytes(b"{}\n")
    assert "got none of 1 badges" in cosmos(*build).fails(4).err
    cosmos(*build, "--offline").ok()


# The log, where the policy asks


@pytest.mark.objective("SO-13")
def test_a_policy_that_wants_the_log_is_kept_and_remembers_it(
    image: ImageFixture, cosmos: Cosmos, stellar: Cosmos, tmp_path: Path
) -> None:
    key, build = tmp_path / "log.key", ("build", image.folder, "--home", image.home)
    LOG.save(key, None)
    write_image(image, {"everything": "*"}, tables="[policy]\nlog = true")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    refused = cosmos(*build).fails(4)
    assert "log/checkpoint: is not there, and policy.log wants every star in the log" in refused.err
    assert "stellar log append GALAXY" in refused.err
    stellar("log", "append", image.galaxy.path, "--key", key).ok()
    cosmos(*build).ok()
    proof = image.galaxy.path / "stars" / "app-2.0.0.tlog-proof"
    good = proof.read_bytes()
    proof.unlink()
    assert "app-2.0.0.tlog-proof: is not there" in cosmos(*build).fails(4).err
    proof.write_bytes((image.galaxy.path / "stars" / "base-1.2.0.tlog-proof").read_bytes())
    assert "does not show" in cosmos(*build).fails(4).err
    proof.write_bytes(good)
    cosmos(*build).ok()
    away = image.galaxy.path.rename(tmp_path / "away")
    cosmos(*build, "--offline").ok()
    away.rename(image.galaxy.path)
    shutil.rmtree(image.galaxy.path / "log")
    extra = image.galaxy.path / "log"
    assert not extra.exists()
    assert "log/checkpoint: is not there" in cosmos(*build).fails(4).err


@pytest.mark.objective("SO-13")
def test_a_build_that_remembers_the_log_refuses_a_forked_one(
    image: ImageFixture, cosmos: Cosmos, stellar: Cosmos, tmp_path: Path
) -> None:
    """The same stars in another order, signed by the log's own key: every proof is good, and the log is another."""
    key, build = tmp_path / "log.key", ("build", image.folder, "--home", image.home)
    LOG.save(key, None)
    write_image(image, {"everything": "*"}, tables="[policy]\nlog = true")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    stellar("log", "append", image.galaxy.path, "--key", key).ok()
    cosmos(*build).ok()
    from cosmos.trust.log import LogProof, log_origin
    from cosmos.trust.merkle import Tree, leaf_hash, root_of
    from cosmos.trust.notes import Head, Note, NoteSignature, log_key_id
    from cosmos.trust.tiles import log_files, read_entries

    log = image.galaxy.path / "log"
    entries = read_entries(3, lambda path, _: (log / path).read_bytes(), "log")
    forked = tuple(reversed(entries))
    leaves = [leaf_hash(entry) for entry in forked]
    head = Head(origin=log_origin(image.galaxy.name), size=3, root=root_of(leaves))
    raw = LOG.head_signature(head.to_text())
    row = NoteSignature(name=head.origin, key_id=log_key_id(head.origin, LOG.public), raw=raw)
    note = Note(text=head.to_text(), signatures=(row,)).to_bytes()
    for path, data in log_files(forked).items():
        (log / path).write_bytes(data)
    (log / "checkpoint").write_bytes(note)
    for place, entry in enumerate(forked):
        name, version = entry.decode().split(" ")[3:5]
        file = image.galaxy.path / "stars" / f"{name}-{version}.tlog-proof"
        file.write_bytes(LogProof(index=place, hashes=Tree(leaves).inclusion(place), note=note).to_bytes())
    assert "forked or rewritten" in cosmos(*build).fails(4).err
    (image.home / "trust" / "state.toml").unlink()
    cosmos(*build).ok()  # who remembers nothing detects nothing
