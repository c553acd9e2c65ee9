"""The curve of Ed25519 in plain Python (RFC 8032 section 5.1), to make signatures that no honest signer makes.

It is for tests alone, because its timing reveals the secret. A point is a pair (x, y). It does not call the library
under test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
ZERO: Point = (0, 1)


def added(one: Point, other: Point) -> Point:
    """Return the sum of two points."""
    return _flat(_sum(_raised(one), _raised(other)))


def times(number: int, point: Point) -> Point:
    """Return `point` added to itself `number` times."""
    total, power = _raised(ZERO), _raised(point)
    while number:
        if number & 1:
            total = _sum(total, power)
        power, number = _sum(power, power), number >> 1
    return _flat(total)


Raised = tuple[int, int, int, int]
"""X, Y, Z, T of RFC 8032 section 5.1.4: x = X/Z, y = Y/Z, x y = T/Z. One division at the end is enough."""


def _raised(point: Point) -> Raised:
    x, y = point
    return x, y, 1, x * y % P


def _flat(point: Raised) -> Point:
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def _sum(one: Raised, other: Raised) -> Raised:
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def negated(point: Point) -> Point:
    """Return the point that makes zero with this one."""
    return -point[0] % P, point[1]


def spelt(point: Point) -> bytes:
    """Return the 32 bytes that RFC 8032 section 5.1.2 writes for `point`."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def point_with(y: int, sign: int) -> Point | None:
    """Return the point with this y, which may be P or more, and lowest bit of x, or None if the curve has none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (-x % P if x & 1 != sign else x), y % P


def read(raw: bytes) -> Point | None:
    """Return the point that `raw` encodes, canonically or not; None if it encodes no point."""
    number = int.from_bytes(raw, "little")
    return point_with(number & (1 << 255) - 1, number >> 255)


def spellings(point: Point) -> list[bytes]:
    """Return every encoding of `point` that a careless reader accepts; the canonical one is the first."""
    x, y = point
    ys = [y] if y >= 19 else [y, y + P]
    signs = [x & 1] if x else [0, 1]
    return [(each | sign << 255).to_bytes(32, "little") for each in ys for sign in signs]


def _base() -> Point:
    found = point_with(4 * pow(5, -1, P), 0)
    assert found is not None
    return found


BASE = _base()


def _torsion() -> tuple[Point, ...]:
    for y in range(2, 100):
        point = point_with(y, 0)
        small = times(ORDER, point) if point else ZERO
        if times(4, small) != ZERO:
            return tuple(times(number, small) for number in range(8))
    raise AssertionError("no point of order eight")


TORSION = _torsion()
"""The eight points whose order divides eight: number k is k times a point of order eight."""


def challenge(commitment: bytes, public: bytes, message: bytes) -> int:
    """Return k of RFC 8032 section 5.1.7, over the very bytes that were sent."""
    return int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little") % ORDER


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A key, a message and a signature that belong together in some verifier's eyes."""

    public: bytes
    message: bytes
    signature: bytes

    @property
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The arguments of a verifier."""
        return self.public, self.message, self.signature


def signed(secret: int, nonce: int, public: bytes, commitment: bytes, message: bytes) -> Signed:
    """Return a signature by `secret` with the given bytes as A and R."""
    answer = (nonce + challenge(commitment, public, message) * secret) % ORDER
    return Signed(public=public, message=message, signature=commitment + answer.to_bytes(32, "little"))


def honest(seed: bytes, message: bytes) -> Signed:
    """Sign as RFC 8032 section 5.1.6 says."""
    hashed = hashlib.sha512(seed).digest()
    secret = int.from_bytes(hashed[:32], "little") & (1 << 254) - 8 | 1 << 254
    nonce = int.from_bytes(hashlib.sha512(hashed[32:] + message).digest(), "little") % ORDER
    return signed(secret, nonce, spelt(times(secret, BASE)), spelt(times(nonce, BASE)), message)


def equation_holds(case: Signed, *, cofactor: int) -> bool:
    """Return whether `cofactor` S B = `cofactor` (R + k A): the only check of a careless verifier."""
    key, commitment = read(case.public), read(case.signature[:32])
    if key is None or commitment is None:
        return False
    number = int.from_bytes(case.signature[32:], "little")
    right = added(commitment, times(challenge(case.signature[:32], *case.parts[:2]), key))
    return times(cofactor * number, BASE) == times(cofactor, right)
