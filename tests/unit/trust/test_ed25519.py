"""Strict Ed25519 against vectors that no one here wrote, and against points and scalars that no honest signer makes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cryptography_vectors
import pytest
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
)
from nacl.signing import SigningKey, VerifyKey

from cosmos.trust.ed25519 import BadSignature, is_strong_point, verify_signature

ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = bytes([1]) + bytes(31)
ORDER_TWO = bytes.fromhex("ec" + "ff" * 30 + "7f")
ORDER_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
SMALL = {
    "identity": IDENTITY,
    "order two": ORDER_TWO,
    "order four": bytes(32),
    "order four, other sign": bytes(31) + b"\x80",
    "order eight": ORDER_EIGHT,
    "order eight, inverse": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "identity, not canonical": bytes.fromhex("ee" + "ff" * 30 + "7f"),
    "zero, not canonical": bytes.fromhex("ed" + "ff" * 30 + "7f"),
    "no point at all": bytes([2]) + bytes(31),
}


def passes(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify_signature(public, message, signature)
    except BadSignature:
        return False
    return True


def test_wycheproof_has_151_cases_and_all_are_judged_right(vectors: Path) -> None:
    document = json.loads((vectors / "ed25519/wycheproof_ed25519_test.json").read_text())
    cases = [
        (
            test["tcId"],
            test["result"] == "valid",
            *map(bytes.fromhex, (group["publicKey"]["pk"], test["msg"], test["sig"])),
        )
        for group in document["testGroups"]
        for test in group["tests"]
    ]
    assert len(cases) == 151
    assert [number for number, valid, *case in cases if passes(*case) is not valid] == []


@pytest.mark.objective("SO-01")
def test_all_1024_cases_of_the_rfc_8032_set_are_judged_right() -> None:
    text = (Path(cryptography_vectors.__file__).parent / "asymmetric/Ed25519/sign.input").read_text()
    rows = [[bytes.fromhex(field) for field in line.split(":")[:4]] for line in text.splitlines()]
    assert len(rows) == 1024
    for _, public, message, signed in rows:
        assert passes(public, message, signed[:64])
        assert not passes(public, message + b"\0", signed[:64])


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("point", SMALL.values(), ids=SMALL)
def test_a_key_of_small_order_or_odd_spelling_is_refused(point: bytes) -> None:
    assert not is_strong_point(point)
    with pytest.raises(BadSignature, match="public key is not a canonical point"):
        verify_signature(point, b"message", IDENTITY + bytes(32))


@pytest.mark.parametrize("point", SMALL.values(), ids=SMALL)
def test_a_signature_whose_r_is_of_small_order_or_odd_spelling_is_refused(point: bytes) -> None:
    public = bytes(SigningKey(bytes(32)).verify_key)
    with pytest.raises(BadSignature, match="R is not a canonical point"):
        verify_signature(public, b"message", point + bytes(32))


def test_a_key_of_mixed_order_is_refused_although_the_library_alone_takes_it() -> None:
    public, message, signature = mixed_order_signature()
    VerifyKey(public).verify(message, signature)  # the library's own answer
    with pytest.raises(BadSignature, match="public key is not a canonical point"):
        verify_signature(public, message, signature)


@pytest.mark.objective("SO-01")
def test_a_signature_with_the_group_order_added_to_s_is_refused() -> None:
    signer = SigningKey(bytes(32))
    signature = signer.sign(b"message").signature
    raised = int.from_bytes(signature[32:], "little") + ORDER
    verify_signature(bytes(signer.verify_key), b"message", signature)
    with pytest.raises(BadSignature, match="S is not reduced"):
        verify_signature(bytes(signer.verify_key), b"message", signature[:32] + raised.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadSignature, match="public key of 32 bytes"):
        verify_signature(bytes(length), b"", bytes(64))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadSignature, match="signature of 64 bytes"):
        verify_signature(bytes(SigningKey(bytes(32)).verify_key), b"", bytes(length))


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_a_flipped_bit_anywhere_in_a_signature_is_refused(place: int) -> None:
    signer = SigningKey(bytes(32))
    signature = bytearray(signer.sign(b"message").signature)
    signature[place] ^= 1
    assert not passes(bytes(signer.verify_key), b"message", bytes(signature))


def mixed_order_signature() -> tuple[bytes, bytes, bytes]:
    """Return a key A + T with T of order 8, and a signature for which k T happens to vanish (RFC 8032's k)."""
    secret = crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"secret").digest())
    public = crypto_core_ed25519_add(crypto_scalarmult_ed25519_base_noclamp(secret), ORDER_EIGHT)
    nonce = crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"nonce").digest())
    commitment = crypto_scalarmult_ed25519_base_noclamp(nonce)
    for number in range(1000):
        message = b"message %d" % number
        challenge = crypto_core_ed25519_scalar_reduce(hashlib.sha512(commitment + public + message).digest())
        if challenge[0] % 8 == 0:
            break
    response = crypto_core_ed25519_scalar_add(nonce, crypto_core_ed25519_scalar_mul(challenge, secret))
    return public, message, commitment + response
