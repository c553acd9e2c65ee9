"""A galaxy's transparency log: forged, forked, shrunken and unfinished ones are refused; as commands, and as rules."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import CosmosError, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import GalaxyName, KeyName, StarName
from cosmos.model.version import Version
from cosmos.trust.keys import PublicKey
from cosmos.trust.log import (
    MAX_PROOF_BYTES,
    BadLog,
    LogProof,
    VerifiedHead,
    demand_continued,
    star_entry,
    verify_head,
    verify_logged,
)
from cosmos.trust.merkle import EMPTY_ROOT, MAX_PROOF_HASHES, BadProof, Tree, leaf_hash, root_of
from cosmos.trust.notes import (
    MAX_NOTE_BYTES,
    MAX_NOTE_SIGNATURES,
    BadNote,
    Head,
    Note,
    NoteSignature,
    cosigned,
    log_key_id,
    witness_key_id,
)
from cosmos.trust.roles import Role
from cosmos.trust.roots import RoleKeys, TrustRoots
from cosmos.trust.tiles import MAX_LOG_ENTRIES, TILE_WIDTH, leaf_tiles, log_files, read_entries, read_leaves
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.images import APP, BASE, META
from fakes.programs import Cosmos

CORE = GalaxyName("core")
STARS = (BASE, APP, META)


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


LOG, WITNESS, STRANGER = secret("core-log", "log"), secret("watcher", "witness"), secret("mallory", "log")


def roots(**more: SecretKey) -> TrustRoots:
    roles: dict[Role, RoleKeys] = dict(make_signers().roots().roles)
    roles["log"] = RoleKeys(threshold=1, keys=(LOG.public,))
    for key in more.values():
        roles[key.role] = RoleKeys(threshold=1, keys=(key.public,))
    return dataclasses.replace(make_signers().roots(), roles=roles)


class Site:
    """A galaxy with a log, and a home that trusts it."""

    def __init__(self, where: Path, stellar: Cosmos) -> None:
        self.where, self.stellar = where, stellar
        self.home, self.key, self.seen = where / "home", where / "log.key", where / "seen"
        self.galaxy: GalaxyFixture = make_galaxy(where / "galaxy", "core", STARS, make_signers())
        LOG.save(self.key, None)
        self.trust(roots())
        self.append()

    def trust(self, trusted: TrustRoots) -> None:
        file = self.home / "trust" / "trust.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(tomli_w.dumps(trusted.to_toml()))

    def append(self) -> None:
        self.stellar("log", "append", self.galaxy.path, "--key", self.key).ok()

    def check(self) -> object:
        return self.stellar("log", "check", self.galaxy.path, "--home", self.home, "--seen", self.seen)

    @property
    def log(self) -> Path:
        return self.galaxy.path / "log"

    def grow(self, *more: StarSpec, seq: int = 2) -> None:
        make_galaxy(self.galaxy.path, "core", (*STARS, *more), make_signers(), seq=seq)


@pytest.fixture
def site(tmp_path: Path, stellar: Cosmos) -> Site:
    return Site(tmp_path, stellar)


NEWER = StarSpec("base", "1.3.0", {"bin/tool": b"newer"})
FORKED = StarSpec("base", "1.3.0", {"bin/tool": b"shown to others"})


@pytest.mark.objective("SO-13")
def test_an_honest_log_is_checked_appended_to_and_remembered(site: Site) -> None:
    first = site.stellar("log", "check", site.galaxy.path, "--home", site.home, "--seen", site.seen, "--json").json()
    assert (first["origin"], first["size"], first["continues"]) == ("core/log", 3, None)
    grown = site.log / "tile" / "0" / "000.p"
    assert sorted(file.name for file in grown.iterdir()) == ["3"]
    site.galaxy.statement("base-1.2.0")
    rest = [StarSpec(f"star{number}", "1.0.0", {"a": b"%d" % number}) for number in range(4)]
    make_galaxy(site.galaxy.path, "core", STARS, make_signers())
    site.append()
    assert site.stellar("log", "append", site.galaxy.path, "--key", site.key, "--json").json()["added"] == 0
    make_galaxy(site.galaxy.path, "core", (*STARS, *rest), make_signers())
    site.append()
    second = site.stellar("log", "check", site.galaxy.path, "--home", site.home, "--seen", site.seen, "--json").json()
    assert (second["size"], second["continues"], second["stars"]) == (7, 3, 7)


@pytest.mark.objective("SO-13")
def test_without_memory_and_without_a_witness_it_says_that_nothing_is_detected(site: Site) -> None:
    outcome = site.stellar("log", "check", site.galaxy.path, "--home", site.home).ok()
    assert "no head was remembered" in outcome.err


@pytest.mark.objective("SO-13")
def test_a_shrunken_log_is_refused_by_who_remembers_it(site: Site) -> None:
    kept = shutil.copytree(site.galaxy.path, site.where / "kept")
    make_galaxy(site.galaxy.path, "core", (*STARS, StarSpec("more", "1.0.0", {"a": b"a"})), make_signers())
    site.append()
    site.check().ok()
    before = site.seen.read_bytes()
    shutil.rmtree(site.galaxy.path)
    kept.rename(site.galaxy.path)
    assert "it was cut" in site.check().fails(4).err
    assert site.seen.read_bytes() == before


@pytest.mark.objective("SO-13")
def test_a_forked_log_is_refused_by_who_remembers_the_other_side(site: Site) -> None:
    """Both sides are signed by the log's own key: this is what only a memory or a witness can tell."""
    other = Site(site.where / "other", site.stellar)
    for one, spec in ((site, NEWER), (other, FORKED)):
        shutil.rmtree(one.galaxy.path)
        make_galaxy(one.galaxy.path, "core", (spec, APP, META), make_signers())
        one.append()
    site.check().ok()
    shutil.copy(site.seen, other.seen)
    assert "it was forked or rewritten" in other.check().fails(4).err


@pytest.mark.objective("SO-13")
def test_a_log_that_is_forked_behind_its_head_is_refused(site: Site) -> None:
    site.check().ok()
    shutil.rmtree(site.galaxy.path)
    make_galaxy(site.galaxy.path, "core", (FORKED, APP, META, StarSpec("more", "1.0.0", {"a": b"a"})), make_signers())
    site.append()
    assert "it was forked or rewritten" in site.check().fails(4).err


@pytest.mark.objective("SO-13")
def test_a_head_by_a_key_that_is_not_pinned_is_refused(site: Site) -> None:
    stranger = site.where / "stranger.key"
    STRANGER.save(stranger, None)
    shutil.rmtree(site.log)
    site.stellar("log", "append", site.galaxy.path, "--key", stranger).ok()
    assert "signed by 1 pinned keys of the role log, got none" in site.check().fails(4).err


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("file", ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"])
def test_every_changed_byte_of_a_log_is_found(site: Site, file: str) -> None:
    good = (site.log / file).read_bytes()
    for place in range(len(good)):
        (site.log / file).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert site.check().code in (4, 7), place
    (site.log / file).unlink()
    assert site.check().code in (2, 4)


@pytest.mark.objective("SO-13")
def test_a_star_that_was_never_published_is_named(site: Site) -> None:
    make_galaxy(site.galaxy.path, "core", (*STARS, StarSpec("hidden", "1.0.0", {"a": b"a"})), make_signers())
    assert "hidden-1.0.0" in site.check().fails(7).err


@pytest.mark.objective("SO-13")
def test_a_log_that_was_changed_by_hand_is_not_appended_to(site: Site) -> None:
    bundle = site.log / "tile" / "entries" / "000.p" / "3"
    bundle.write_bytes(bundle.read_bytes().replace(b"base", b"bass"))
    failed = site.stellar("log", "append", site.galaxy.path, "--key", site.key).fails(4)
    assert "changed by hand" in failed.err


def test_a_log_is_not_appended_to_without_a_key(site: Site) -> None:
    before = (site.log / "checkpoint").read_bytes()
    site.grow(NEWER)
    told = site.stellar("log", "append", site.galaxy.path).fails(2)
    assert "--key" in told.err
    assert (site.log / "checkpoint").read_bytes() == before


def test_the_remembered_head_of_another_log_is_named(site: Site) -> None:
    other = dataclasses.replace(HEAD, origin="other/log")
    site.seen.write_bytes(signed(other, origin="other/log"))
    told = site.check().fails(2)
    assert f"{site.seen}: is the head of other/log, but this log is core/log" in told.err
    assert site.seen.read_bytes() == signed(other, origin="other/log")


@pytest.mark.objective("SO-13")
def test_where_witnesses_are_pinned_a_head_without_them_is_refused_and_a_witness_remembers(site: Site) -> None:
    key, memory = site.where / "witness.key", site.where / "witness.seen"
    WITNESS.save(key, None)
    site.trust(roots(witness=WITNESS))
    assert "role witness, got none" in site.check().fails(4).err
    words = ("log", "cosign", site.galaxy.path, "--key", key, "--seen", memory, "--home", site.home)
    site.stellar(*words).ok()
    site.check().ok()
    shutil.rmtree(site.galaxy.path)
    make_galaxy(site.galaxy.path, "core", (FORKED, APP, META), make_signers())
    site.append()
    assert "forked" in site.stellar(*words).fails(4).err


@pytest.mark.objective("SO-13")
def test_a_log_is_signed_by_keys_of_its_role_alone(site: Site) -> None:
    author = site.where / "author.key"
    make_signers()["author"].save(author, None)
    shutil.rmtree(site.log)
    assert (
        "does not sign the heads of logs"
        in site.stellar("log", "append", site.galaxy.path, "--key", author).fails(4).err
    )


def test_a_head_is_cosigned_by_keys_of_witnesses_alone(site: Site) -> None:
    seen = site.where / "witness-saw"
    told = site.stellar("log", "cosign", site.galaxy.path, "--key", site.key, "--seen", seen, "--home", site.home)
    assert "has the role log; heads are cosigned by witnesses" in told.fails(2).err
    assert "cosmos key new NAME --role witness" in told.err
    assert not seen.exists()


# The rules

ENTRIES = tuple(
    star_entry(CORE, StarName("zlib"), Version.parse(f"1.0.{number}"), Digest.of(b"s%d" % number), Digest.of(b"a"))
    for number in range(5)
)
HEAD = Head(origin="core/log", size=5, root=root_of([leaf_hash(entry) for entry in ENTRIES]))


def signed(head: Head = HEAD, key: SecretKey = LOG, origin: str = "core/log") -> bytes:
    raw = key.head_signature(head.to_text())
    row = NoteSignature(name=origin, key_id=log_key_id(origin, key.public), raw=raw)
    return Note(text=head.to_text(), signatures=(row,)).to_bytes()


def witnessed(note: bytes, key: SecretKey = WITNESS, seconds: int = 1_700_000_000) -> bytes:
    parsed = Note.parse(note, "x")
    raw = seconds.to_bytes(8, "big") + key.head_signature(cosigned(parsed.text, seconds))
    row = NoteSignature(name=str(key.public.name), key_id=witness_key_id(key.public), raw=raw)
    return Note(text=parsed.text, signatures=(*parsed.signatures, row)).to_bytes()


def proof(note: bytes | None = None, index: int = 2) -> bytes:
    hashes = Tree([leaf_hash(entry) for entry in ENTRIES]).inclusion(index)
    return LogProof(index=index, hashes=hashes, note=note or signed()).to_bytes()


def logged(data: bytes, entry: bytes = ENTRIES[2], trusted: TrustRoots | None = None) -> VerifiedHead:
    return verify_logged(entry, data, galaxy=CORE, roots=trusted or roots(), source="zlib.tlog-proof")


@pytest.mark.objective("SO-13")
def test_an_honest_proof_passes_and_names_who_signed() -> None:
    assert logged(proof()).signers == (LOG.public.id,)
    assert logged(proof(witnessed(signed())), trusted=roots(w=WITNESS)).witnesses == (WITNESS.public.id,)
    assert proof().startswith(b"c2sp.org/tlog-proof@v1\nindex 2\n")


@pytest.mark.objective("SO-13")
def test_a_proof_serves_no_other_star_version_or_bytes() -> None:
    for entry in (*ENTRIES[:2], *ENTRIES[3:], ENTRIES[2].replace(b"core", b"cove"), b""):
        with pytest.raises(BadProof, match="does not show"):
            logged(proof(), entry)


@pytest.mark.objective("SO-13")
def test_every_flipped_byte_of_a_proof_is_refused() -> None:
    good = proof(witnessed(signed()))
    for place in range(len(good)):
        with pytest.raises(Refused):
            logged(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :], trusted=roots(w=WITNESS))


@pytest.mark.objective("SO-13")
def test_the_head_of_another_log_or_by_another_key_is_refused() -> None:
    other = dataclasses.replace(HEAD, origin="other/log")
    for note in (signed(key=STRANGER), signed(origin="core"), signed(other), signed(other, origin="other/log")):
        with pytest.raises(Refused, match=r"want the head signed|is the head of other"):
            verify_head(note, galaxy=CORE, roots=roots(), source="x")


@pytest.mark.objective("SO-13")
def test_a_signature_in_a_known_key_s_name_that_does_not_fit_condemns_the_note() -> None:
    raw = STRANGER.head_signature(HEAD.to_text())
    row = NoteSignature(name="core/log", key_id=log_key_id("core/log", LOG.public), raw=raw)
    forged = Note(text=HEAD.to_text(), signatures=(*Note.parse(signed(), "x").signatures, row)).to_bytes()
    with pytest.raises(BadNote, match="is forged"):
        verify_head(forged, galaxy=CORE, roots=roots(), source="x")


@pytest.mark.objective("SO-13")
def test_a_revoked_log_key_signs_no_head() -> None:
    from cosmos.trust.revocation import Revoked

    trusted = dataclasses.replace(roots(), revoked=(Revoked(key=LOG.public.id, reason="stolen"),))
    with pytest.raises(Refused, match="want the head signed"):
        verify_head(signed(), galaxy=CORE, roots=trusted, source="x")


@pytest.mark.objective("SO-13")
def test_a_log_s_own_signature_is_no_witness_s() -> None:
    with pytest.raises(Refused, match="role witness"):
        verify_head(signed(), galaxy=CORE, roots=roots(w=WITNESS), source="x")
    swapped = witnessed(signed()).replace(b"\xe2\x80\x94 watcher ", b"\xe2\x80\x94 watchman ")
    with pytest.raises(Refused, match="role witness"):
        verify_head(swapped, galaxy=CORE, roots=roots(w=WITNESS), source="x")


@pytest.mark.objective("SO-13")
def test_no_one_else_makes_a_verified_head() -> None:
    with pytest.raises(TypeError):
        VerifiedHead(head=HEAD, signers=(), witnesses=(), seal=object())  # type: ignore[arg-type]  # the attack


LEAVES = tuple(map(leaf_hash, ENTRIES))


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("seen", [0, 3, 5])
@pytest.mark.parametrize("leaves", [LEAVES[:4], LEAVES[::-1], (*LEAVES[:4], LEAVES[0]), (*LEAVES, LEAVES[0]), ()])
def test_a_server_of_other_entries_than_those_of_the_signed_head_is_refused(
    leaves: tuple[bytes, ...], seen: int
) -> None:
    """Whatever was seen of the log before: nothing, a part, or this very head."""
    now = verify_head(signed(), galaxy=CORE, roots=roots(), source="x")
    before = Head(origin="core/log", size=seen, root=root_of(LEAVES[:seen]) if seen else EMPTY_ROOT)
    demand_continued(before, now, LEAVES, "core")
    with pytest.raises(BadLog, match=f"its {len(leaves)} entries are not those of its signed head"):
        demand_continued(before, now, leaves, "core")


BAD_HEADS = {
    "two lines": (b"core/log\n5\n", "want three lines"),
    "four lines": (HEAD.to_text() + b"more\n", "want three lines"),
    "no last newline": (HEAD.to_text()[:-1], "want three lines"),
    "no origin": (HEAD.to_text().replace(b"core/log", b""), "want three lines"),
    "a number with a zero before it": (HEAD.to_text().replace(b"\n5\n", b"\n05\n"), "want three lines"),
    "a number below zero": (HEAD.to_text().replace(b"\n5\n", b"\n-5\n"), "want three lines"),
    "a short root": (b"core/log\n5\n" + base64.b64encode(bytes(31)) + b"\n", "want a root hash of 32 bytes, got 31"),
    "a long root": (b"core/log\n5\n" + base64.b64encode(bytes(33)) + b"\n", "want a root hash of 32 bytes, got 33"),
    "a root that is no base64": (b"core/log\n5\n!\n", "root hash: want canonical base64"),
}


@pytest.mark.parametrize("text, said", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_head_of_another_form_is_refused_though_the_log_s_own_key_signed_it(text: bytes, said: str) -> None:
    row = NoteSignature(name="core/log", key_id=log_key_id("core/log", LOG.public), raw=LOG.head_signature(text))
    assert Head.parse(HEAD.to_text(), "x") == HEAD
    with pytest.raises(BadNote, match=said):
        Head.parse(text, "x")
    if text.endswith(b"\n"):  # else it is no text of a note
        with pytest.raises(Refused):
            verify_head(Note(text=text, signatures=(row,)).to_bytes(), galaxy=CORE, roots=roots(), source="x")


def test_a_note_has_so_many_bytes_and_signatures_and_no_more() -> None:
    def many(count: int) -> bytes:
        return signed() + b"".join(f"— x{number} AAAAAAA=\n".encode() for number in range(count - 1))

    assert len(Note.parse(many(MAX_NOTE_SIGNATURES), "x").signatures) == MAX_NOTE_SIGNATURES
    with pytest.raises(BadNote, match=f"has {MAX_NOTE_SIGNATURES + 1} signatures, the limit is 64"):
        Note.parse(many(MAX_NOTE_SIGNATURES + 1), "x")
    full = b"a" * (MAX_NOTE_BYTES - len(signed())) + signed()
    assert Note.parse(full, "x").to_bytes() == full
    with pytest.raises(BadNote, match=f"has {MAX_NOTE_BYTES + 1} bytes, the limit of a note is 65536"):
        Note.parse(b"a" + full, "x")


@pytest.mark.objective("SO-13")
@pytest.mark.parametrize("size", [0, 7, 71, 73])
def test_a_cosignature_of_another_length_condemns_the_note(size: int) -> None:
    row = NoteSignature(name="watcher", key_id=witness_key_id(WITNESS.public), raw=bytes(size) or b"\0")
    note = Note(text=HEAD.to_text(), signatures=(*Note.parse(signed(), "x").signatures, row)).to_bytes()
    with pytest.raises(BadNote, match=f"the cosignature of watcher has {size or 1} bytes"):
        verify_head(note, galaxy=CORE, roots=roots(w=WITNESS), source="x")


def test_a_signature_of_four_bytes_is_a_key_s_id_without_a_signature() -> None:
    with pytest.raises(BadNote, match="the signature of core/log is too short"):
        Note.parse(HEAD.to_text() + b"\n" + "— core/log AAAAAA==\n".encode(), "x")


def test_a_proof_has_so_many_bytes_and_hashes_and_no_more() -> None:
    def long(hashes: int, note: bytes = b"x\n") -> bytes:
        return LogProof(index=2, hashes=(bytes(32),) * hashes, note=note).to_bytes()

    assert len(LogProof.parse(long(MAX_PROOF_HASHES), "x").hashes) == MAX_PROOF_HASHES
    with pytest.raises(BadProof, match=f"has {MAX_PROOF_HASHES + 1} hashes, no log is that large"):
        LogProof.parse(long(MAX_PROOF_HASHES + 1), "x")
    full = long(0, b"a" * (MAX_PROOF_BYTES - len(long(0, b""))))
    assert LogProof.parse(full, "x").to_bytes() == full
    with pytest.raises(BadProof, match=rf"has {MAX_PROOF_BYTES + 1} bytes, the limit of a proof is \d+"):
        LogProof.parse(full + b"a", "x")


def test_a_log_has_so_many_entries_and_no_more() -> None:
    """Before anything is asked for: the head alone says how many there are."""
    assert len(leaf_tiles(MAX_LOG_ENTRIES, "x")) == MAX_LOG_ENTRIES // TILE_WIDTH
    with pytest.raises(Refused, match=f"has {MAX_LOG_ENTRIES + 1} entries, the limit is 4194304"):
        leaf_tiles(MAX_LOG_ENTRIES + 1, "x")


def test_a_signed_note_is_as_c2sp_writes_it() -> None:
    """The key id and the layout of the specification's own text: name, newline, kind, key."""
    lines = signed().decode().split("\n")
    assert lines[:2] == ["core/log", "5"]
    assert lines[3] == ""
    dash, name, blob = lines[4].split(" ")
    assert (dash, name, len(base64.b64decode(blob))) == ("—", "core/log", 68)


@pytest.mark.objective("SO-13")
@given(st.binary(max_size=300))
def test_any_bytes_are_a_proof_or_a_clean_refusal(data: bytes) -> None:
    for whole in (data, proof()[:40] + data, proof() + data):
        try:
            logged(whole)
        except CosmosError:
            continue
        assert whole == proof()


@given(st.integers(0, 70_000).filter(lambda size: size < 600 or size % 997 == 0))
def test_tiles_read_back_at_any_size(size: int) -> None:
    entries = [b"%d" % number for number in range(min(size, 1500))]
    files = log_files(entries)
    assert read_entries(len(entries), lambda path, _: files[path], "x") == tuple(entries)
    assert read_leaves(len(entries), lambda path, _: files[path], "x") == tuple(map(leaf_hash, entries))


def test_the_tiles_of_256_entries_are_one_full_and_one_of_width_one() -> None:
    assert sorted(log_files([b"x"] * 256)) == ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    assert len(json.dumps(sorted(log_files([b"x"] * 300)))) > 0


def test_a_note_of_the_go_project_is_verified() -> None:
    """The example of golang.org/x/mod/sumdb/note: its verifier key, its text, its signature."""
    raw = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert raw[:1] == b"\x01"
    key = PublicKey(name=KeyName("neumann"), raw=raw[1:])
    assert log_key_id("PeterNeumann", key).hex() == "c74f20a3"
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    parsed = Note.parse(note, "x")
    assert parsed.log_signers("PeterNeumann", (key,), "x") == (key.id,)
    assert parsed.to_bytes() == note
    with pytest.raises(BadNote, match="forged"):
        Note.parse(note.replace(b"answer", b"anchor"), "x").log_signers("PeterNeumann", (key,), "x")
