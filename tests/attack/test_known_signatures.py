"""A signature that was found good is not verified again; nobody but the home can say that one was found good."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from cosmos.image.known_signatures import _KEY
from cosmos.keyring.store_key import store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from cosmos.trust import good_signatures
from cosmos.trust.dsse import pae
from cosmos.trust.ed25519 import BadSignature
from cosmos.trust.good_signatures import GoodSignatures
from cosmos.trust.roles import STAR_TYPE
from fakes.galaxies import make_signers
from fakes.images import BASE, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome

BAD = b"\x01" * 64
NAMED = "was not written by this home: somebody changed the store; it is not believed, and every signature is verified"


@pytest.fixture
def frozen(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


def build(image: ImageFixture, cosmos: Cosmos, *words: object) -> Outcome:
    return cosmos("build", image.folder, "--home", image.home, *words)


def exchange(image: ImageFixture) -> bytes:
    """Put a bad signature into the envelope of a statement; return the name under which it would be known as good."""
    file = image.galaxy.statement(BASE.id).with_suffix(".toml.dsse")
    envelope = json.loads(file.read_bytes())
    envelope["signatures"][0]["sig"] = base64.b64encode(BAD).decode()
    file.write_text(json.dumps(envelope, indent=2, sort_keys=True) + "\n")
    return name_of(image.signers["author"].public.raw, BAD, base64.b64decode(envelope["payload"]))


def name_of(key: bytes, signature: bytes, statement: bytes) -> bytes:
    return hashlib.sha256(good_signatures._CONTEXT + key + signature + pae(STAR_TYPE, statement)).digest()


def sealed(image: ImageFixture) -> SealedStore:
    return SealedStore(StoreFolder(image.home / "store"), Seal(store_key(image.home)))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every message over which the memory had a signature verified."""
    seen: list[bytes] = []
    verify = good_signatures.verify_signature

    def noting(key: bytes, message: bytes, signature: bytes) -> None:
        seen.append(message)
        verify(key, message, signature)

    monkeypatch.setattr(good_signatures, "verify_signature", noting)
    return seen


def test_a_signature_is_verified_once_by_freeze_and_build(
    tmp_path: Path, cosmos: Cosmos, verified: list[bytes]
) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert len(verified) == 3
    cosmos("freeze", image.folder, "--home", image.home, "--upgrade").ok()
    build(image, cosmos).ok()
    assert len(verified) == 3


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("attack", ["unsealed", "sealed by the thief", "with the seal of another record"])
def test_a_forged_memory_of_signatures_is_named_and_a_bad_signature_is_refused(
    frozen: ImageFixture, cosmos: Cosmos, attack: str
) -> None:
    forged = exchange(frozen)
    record = {
        "unsealed": forged,
        "sealed by the thief": Seal(b"a thief").code(_KEY, forged) + forged,
        "with the seal of another record": sealed(frozen).seal.code(_KEY, b"") + forged,
    }[attack]
    StoreFolder(frozen.home / "store").put_result(sealed(frozen)._place(_KEY), record)
    said = build(frozen, cosmos).fails(4)
    assert NAMED in said.err
    assert "want a signature by a pinned key, got none" in said.err
    assert NAMED in cosmos("freeze", frozen.folder, "--home", frozen.home).fails(4).err


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("damage", ["flipped", "half", "missing", "empty"])
def test_a_damaged_memory_of_signatures_is_none(frozen: ImageFixture, cosmos: Cosmos, damage: str) -> None:
    place = sealed(frozen)._place(_KEY).hex
    (file,) = (frozen.home / "store" / "results").rglob(place)
    data = file.read_bytes()
    file.chmod(0o644)
    if damage == "missing":
        file.unlink()
    else:
        half, flipped = data[: len(data) // 2], data[:-1] + bytes([data[-1] ^ 1])
        file.write_bytes({"flipped": flipped, "half": half, "empty": b""}[damage])
    assert "lint" not in build(frozen, cosmos).ok().err
    exchange(frozen)
    build(frozen, cosmos).fails(4)


@pytest.mark.objective("SO-27")
def test_a_signed_release_and_a_signed_lock_believe_no_memory(frozen: ImageFixture, cosmos: Cosmos) -> None:
    """A thief with the home's key can make a build believe a bad signature. A signed document says so to others."""
    forged = exchange(frozen)
    sealed(frozen).put_result(_KEY, forged)
    signed = ("--key", frozen.secret_key)
    for words in (signed, ("--unsigned-release",)):
        assert "want a signature by a pinned key, got none" in build(frozen, cosmos, *words).fails(4).err
    cosmos("freeze", frozen.folder, "--home", frozen.home, "--sign", frozen.secret_key).fails(4)
    build(frozen, cosmos).ok()  # it is believed here
    (frozen.home / "config.toml").write_text("[store]\nsigned-from-memory = true\n")
    build(frozen, cosmos, *signed).ok()


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("other", ["key", "message", "signature"])
def test_a_known_signature_is_good_for_its_key_and_message_alone(other: str) -> None:
    author = make_signers()["author"]
    found = author.signature(STAR_TYPE, b"a statement")
    message, memory = pae(STAR_TYPE, b"a statement"), GoodSignatures()
    memory.verify(author.public.raw, message, found.raw)
    known = GoodSignatures.read(memory.to_bytes())
    known.verify(author.public.raw, message, found.raw)
    assert not known.new
    key = make_signers("other")["author"].public.raw if other == "key" else author.public.raw
    with pytest.raises(BadSignature):
        known.verify(key, message + b"!" * (other == "message"), BAD if other == "signature" else found.raw)


def test_of_too_many_names_those_of_this_run_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    author = make_signers()["author"]
    monkeypatch.setattr(good_signatures, "MAX_REMEMBERED_SIGNATURES", 2)
    memory = GoodSignatures(frozenset({b"\0" * 32, b"\1" * 32}))
    memory.verify(author.public.raw, b"message", author._signing.sign(b"message").signature)
    assert memory.to_bytes() == b"".join(memory.new)
    assert GoodSignatures.read(b"no names").to_bytes() == b""
