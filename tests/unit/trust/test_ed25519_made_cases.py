"""Strict Ed25519 against keys and signatures that the tests make with their own arithmetic, and no honest signer makes.

What foreign vectors prove (test_ed25519.py), without them. Each forgery satisfies an equation that some verifier is
content with, and the test says which: with the cofactor, without it, or both.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cosmos.trust.ed25519 import BadSignature, is_strong_point, verify_signature
from fakes.edwards import (
    BASE,
    ORDER,
    TORSION,
    ZERO,
    P,
    Signed,
    added,
    challenge,
    equation_holds,
    honest,
    negated,
    point_with,
    read,
    signed,
    spellings,
    spelt,
    times,
)

SECRET, NONCE = 0x1234567 * ORDER // 0x7654321, 0x7654321 * ORDER // 0x12345678
KEY, COMMITMENT = times(SECRET, BASE), times(NONCE, BASE)
HONEST = honest(bytes(range(32)), b"message")
NO_KEY, NO_R = "public key is not a canonical point", "R is not a canonical point"
ODD_SPELLINGS = [raw for point in TORSION for raw in spellings(point)[1:]]


def refused(case: Signed, match: str) -> None:
    with pytest.raises(BadSignature, match=match):
        verify_signature(*case.parts)


def first(cases: Iterator[Signed], *, cofactor: int) -> Signed:
    """Return the first case for which the equation holds with this cofactor."""
    return next(case for case in cases if equation_holds(case, cofactor=cofactor))


def test_the_tests_curve_is_that_of_rfc_8032() -> None:
    # RFC 8032 section 7.1, test 2
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    case = honest(seed, b"\x72")
    assert case.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert case.signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert times(ORDER, BASE) == ZERO
    assert len(set(TORSION)) == 8
    assert {times(8, point) for point in TORSION} == {ZERO}


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("length", [0, 1, 31, 63, 64, 65, 127, 128, 129, 1000])
def test_what_the_tests_sign_themselves_is_good(length: int) -> None:
    case = honest(bytes([length % 256]) * 32, bytes(range(256)) * 4)
    verify_signature(*case.parts)
    short = honest(bytes([length % 256]) * 32, b"\xa5" * length)
    verify_signature(*short.parts)
    refused(Signed(public=short.public, message=case.message, signature=short.signature), "does not fit")


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("part", ["key", "R", "S", "message"])
def test_no_bit_of_key_message_or_signature_may_be_another(part: str) -> None:
    whole = bytearray(HONEST.public + HONEST.signature + HONEST.message)
    start = {"key": 0, "R": 32, "S": 64, "message": 96}[part]
    for bit in range(8 * start, 8 * min(start + 32, len(whole))):
        whole[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            verify_signature(bytes(whole[:32]), bytes(whole[96:]), bytes(whole[32:96]))
        whole[bit // 8] ^= 1 << bit % 8
    verify_signature(*HONEST.parts)


def test_a_signature_is_64_bytes_and_a_key_32() -> None:
    for length in {*range(130)} - {64}:
        bent = (HONEST.signature * 3)[:length]
        refused(Signed(public=HONEST.public, message=b"message", signature=bent), "signature of 64 bytes")
    for length in {*range(70)} - {32}:
        bent = (HONEST.public * 3)[:length]
        refused(Signed(public=bent, message=b"message", signature=HONEST.signature), "public key of 32 bytes")


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("often", range(1, 16))
def test_the_group_order_may_not_be_added_to_s_however_often(often: int) -> None:
    number = int.from_bytes(HONEST.signature[32:], "little") + often * ORDER
    case = Signed(
        public=HONEST.public, message=b"message", signature=HONEST.signature[:32] + number.to_bytes(32, "little")
    )
    assert equation_holds(case, cofactor=1)
    refused(case, "S is not reduced")


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**252, 2**253, 2**255 - 1, 2**255, 2**256 - 1])
def test_an_s_of_the_group_order_or_more_is_refused_before_the_equation_is_looked_at(number: int) -> None:
    s = number.to_bytes(32, "little")
    match = "S is not reduced" if number >= ORDER else "does not fit"
    refused(Signed(public=HONEST.public, message=b"message", signature=HONEST.signature[:32] + s), match)


@pytest.mark.parametrize("number", [0, 1, ORDER - 1])
def test_an_s_at_the_edge_is_judged_by_the_equation(number: int) -> None:
    s = number.to_bytes(32, "little")
    refused(Signed(public=HONEST.public, message=b"message", signature=HONEST.signature[:32] + s), "does not fit")


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("order", range(8))
def test_a_key_of_small_order_is_refused_in_every_spelling_although_the_equation_holds(order: int) -> None:
    """Whoever has such a key signs any message without a secret."""
    for raw in spellings(TORSION[order]):
        forged = (signed(0, NONCE, raw, spelt(COMMITMENT), b"%d" % number) for number in range(200))
        refused(first(forged, cofactor=1), NO_KEY)
        assert not is_strong_point(raw)


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("order", range(8))
def test_an_r_of_small_order_is_refused_in_every_spelling_although_an_equation_holds(order: int) -> None:
    for raw in spellings(TORSION[order]):
        case = signed(SECRET, 0, spelt(KEY), raw, b"message")
        assert equation_holds(case, cofactor=8)
        assert equation_holds(case, cofactor=1) == (order == 0)
        refused(case, NO_R)


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("order", range(1, 8))
def test_a_key_of_mixed_order_is_refused_whichever_equation_holds(order: int) -> None:
    public = spelt(added(KEY, TORSION[order]))
    vanishes = {}
    for number in range(200):
        case = signed(SECRET, NONCE, public, spelt(COMMITMENT), b"%d" % number)
        vanishes[challenge(spelt(COMMITMENT), public, case.message) * order % 8 == 0] = case
    for without_cofactor, case in vanishes.items():
        assert equation_holds(case, cofactor=1) is without_cofactor
        assert equation_holds(case, cofactor=8)
        refused(case, NO_KEY)
    assert len(vanishes) == 2
    assert not is_strong_point(public)


@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("order", range(1, 8))
def test_an_r_of_mixed_order_is_refused_although_the_equation_with_the_cofactor_holds(order: int) -> None:
    case = signed(SECRET, NONCE, spelt(KEY), spelt(added(COMMITMENT, TORSION[order])), b"message")
    assert equation_holds(case, cofactor=8)
    assert not equation_holds(case, cofactor=1)
    refused(case, NO_R)


@pytest.mark.parametrize("order", range(1, 8))
def test_a_key_and_an_r_of_mixed_order_that_make_up_for_each_other_are_refused(order: int) -> None:
    """R = r B - k T and A = a B + T: the equation holds without the cofactor, with no luck in the message."""
    public = spelt(added(KEY, TORSION[order]))

    def cases() -> Iterator[Signed]:
        for number in range(200):
            for back in TORSION:
                commitment = spelt(added(COMMITMENT, negated(back)))
                if times(challenge(commitment, public, b"%d" % number) % 8, TORSION[order]) == back:
                    yield signed(SECRET, NONCE, public, commitment, b"%d" % number)

    case = first(cases(), cofactor=1)
    refused(case, NO_KEY)


@pytest.mark.objective("SO-01")
def test_no_y_of_p_or_more_and_no_sign_of_nought_is_a_point() -> None:
    odd = {(y | sign << 255).to_bytes(32, "little") for y in range(P, 2**255) for sign in (0, 1)}
    assert len(odd) == 38
    assert {*ODD_SPELLINGS} - odd == {
        spellings(TORSION[0])[1],
        spellings(TORSION[4])[1],
    }  # x is nought, its sign is set
    assert sum(read(raw) is not None for raw in odd) > 10
    for raw in sorted(odd | {*ODD_SPELLINGS}):
        assert not is_strong_point(raw)
        refused(Signed(public=raw, message=b"", signature=HONEST.signature), NO_KEY)
        refused(Signed(public=HONEST.public, message=b"", signature=raw + bytes(32)), NO_R)


def test_a_y_with_no_x_is_no_point_and_one_of_prime_order_is() -> None:
    verdicts = {True: 0, False: 0}
    for y in range(2, 60):
        raw = y.to_bytes(32, "little")
        point = point_with(y, 0)
        good = point is not None and times(ORDER, point) == ZERO
        assert is_strong_point(raw) is good
        verdicts[good] += 1
    assert min(verdicts.values()) > 3
