"""Accepting trust anchors: by digest alone, once, all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.folders import FileIn
from cosmos.keyring.anchors import accept_trust, home_anchor, load_trust
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import BadEnvelope, NotSigned
from cosmos.trust.roles import TRUST_TYPE

ROOT = SecretKey(name=KeyName("root"), role="root", seed=bytes(32))
MALLORY = SecretKey(name=KeyName("root"), role="root", seed=b"m" * 32)


def document(version: int = 1) -> bytes:
    roles = {"root": {"threshold": 1, "keys": [ROOT.public.line]}}
    return tomli_w.dumps({"trust-version": 1, "version": version, "roles": roles}).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A document that came from somewhere."""
    path = tmp_path / "stick" / "trust.toml"
    path.parent.mkdir()
    path.write_bytes(document())
    return path


@pytest.fixture
def anchor(tmp_path: Path) -> FileIn:
    """Where this home keeps what it accepts; nothing is there yet."""
    return home_anchor(tmp_path / "home")


def test_a_document_with_the_digest_that_was_given_is_accepted_and_read(file: Path, anchor: FileIn) -> None:
    accepted = accept_trust(file, Digest.of(document()), anchor)
    assert (accepted.is_new, accepted.is_signed, accepted.roots.keys("root")) == (True, False, (ROOT.public,))
    assert anchor.path.read_bytes() == document()
    assert load_trust(anchor).roots == accepted.roots


def test_another_digest_is_refused_and_nothing_is_written(file: Path, anchor: FileIn) -> None:
    with pytest.raises(Refused, match="want sha256:") as caught:
        accept_trust(file, Digest.of(document() + b"\n"), anchor)
    assert caught.value.exit_code == 4
    assert not anchor.path.parent.exists()


def test_the_digest_is_judged_before_the_document_is_read(file: Path, anchor: FileIn) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(Refused, match="want sha256:"):
        accept_trust(file, Digest.of(document()), anchor)


def test_a_malformed_document_is_refused_even_with_its_digest(file: Path, anchor: FileIn) -> None:
    file.write_bytes(b"trust-version = 1\n")
    with pytest.raises(Malformed):
        accept_trust(file, Digest.of(b"trust-version = 1\n"), anchor)
    assert not anchor.path.parent.exists()


def test_a_second_document_does_not_replace_the_first(file: Path, anchor: FileIn) -> None:
    accept_trust(file, Digest.of(document()), anchor)
    file.write_bytes(document(2))
    with pytest.raises(Refused, match="another document was accepted before") as caught:
        accept_trust(file, Digest.of(document(2)), anchor)
    assert (caught.value.exit_code, str(anchor) in str(caught.value.hint)) == (4, True)
    assert anchor.path.read_bytes() == document()


def test_to_accept_the_same_bytes_again_changes_nothing(file: Path, anchor: FileIn) -> None:
    accept_trust(file, Digest.of(document()), anchor)
    before = anchor.path.stat()
    again = accept_trust(file, Digest.of(document()), anchor)
    assert (again.is_new, anchor.path.stat().st_ino) == (False, before.st_ino)


def test_an_envelope_beside_the_document_is_verified_and_kept(file: Path, anchor: FileIn) -> None:
    beside = file.with_name("trust.toml.dsse")
    for envelope, family in ((MALLORY.sign(TRUST_TYPE, document()), NotSigned), (b"{}", BadEnvelope)):
        beside.write_bytes(envelope)
        with pytest.raises(family):
            accept_trust(file, Digest.of(document()), anchor)
        assert not anchor.path.parent.exists()
    beside.write_bytes(ROOT.sign(TRUST_TYPE, document()))
    assert accept_trust(file, Digest.of(document()), anchor).is_signed
    assert load_trust(anchor).is_signed


def test_a_changed_anchor_with_an_envelope_is_refused_when_it_is_read(file: Path, anchor: FileIn) -> None:
    file.with_name("trust.toml.dsse").write_bytes(ROOT.sign(TRUST_TYPE, document()))
    accept_trust(file, Digest.of(document()), anchor)
    anchor.path.write_bytes(document(2))
    with pytest.raises(BadEnvelope):
        load_trust(anchor)


def test_what_an_attempt_that_was_cut_short_left_does_no_harm(file: Path, anchor: FileIn) -> None:
    anchor.path.parent.mkdir(parents=True)
    anchor.path.with_name("trust.toml.dsse").write_bytes(b"{}")
    assert not accept_trust(file, Digest.of(document()), anchor).is_signed
    assert not load_trust(anchor).is_signed


def test_without_anchors_no_signature_can_be_judged(anchor: FileIn) -> None:
    with pytest.raises(Refused, match="no trust anchors were accepted") as caught:
        load_trust(anchor)
    assert "cosmos trust init" in str(caught.value.hint)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, anchor: FileIn) -> None:
    with pytest.raises(WorldFailed, match="cannot be read: no such file"):
        accept_trust(tmp_path / "nothing.toml", Digest.of(b""), anchor)
