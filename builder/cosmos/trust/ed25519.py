"""Ed25519 (RFC 8032), strictly: one signature has one verdict, whatever library or version judges it.

Libraries differ on inputs that no honest signer makes: points of small or mixed order, points not written canonically,
an S that is not reduced. RFC 8032 section 5.1.7 leaves open whether a library multiplies the verification equation by
the cofactor, and on such inputs the two equations give different answers ("Taming the many EdDSAs", Chalkias, Garillot,
Nikolaenko, 2020). This module refuses such inputs before it evaluates the equation. On all other inputs both agree.

Signatures are never verified in batches: a batch's equation is multiplied by the cofactor.
"""

from __future__ import annotations

import functools
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from cosmos.errors import Refused

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493  # L of RFC 8032 section 5.1


class BadSignature(Refused):
    """A signature, or its public key, is bad."""


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Return if `signature` (R, then S) over `message` is by `public_key`, else raise `BadSignature`.

    In this order: both lengths; the key is a canonical point of prime order; so is R; S < L; the equation of
    RFC 8032 section 5.1.7.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise BadSignature("", f"want a public key of {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}")
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("", f"want a signature of {SIGNATURE_BYTES} bytes, got {len(signature)}")
    if not _is_strong_key(bytes(public_key)):
        raise BadSignature("", "the public key is not a canonical point of prime order")
    if not is_strong_point(signature[:32]):
        raise BadSignature("", "the signature's R is not a canonical point of prime order")
    if int.from_bytes(signature[32:], "little") >= _ORDER:
        raise BadSignature("", "the signature's S is not reduced")
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError:
        raise BadSignature("", "the signature does not fit the message and the key") from None


@functools.lru_cache(256)
def _is_strong_key(key: bytes) -> bool:
    """Return `is_strong_point` of a key: a few keys sign thousands of statements."""
    return is_strong_point(key)


def is_strong_point(point: bytes) -> bool:
    """Return whether `point` is 32 bytes that write, canonically, a point of the prime-order group other than zero."""
    return len(point) == PUBLIC_KEY_BYTES and bool(crypto_core_ed25519_is_valid_point(bytes(point)))
