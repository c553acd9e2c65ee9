"""Verify `RELEASE.json.dsse` with public keys alone: the first step of `cosmos verify OUT --key PUB`; also a delta.

The document is an in-toto Statement. Its envelope must be byte for byte as Cosmos writes it, with each counted
signature under its key's own id. So no byte of a release can change without being found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

from cosmos.errors import Refused
from cosmos.limits import MAX_DELTA_ENVELOPE_BYTES, MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.records import dataclass
from cosmos.trust.dsse import BadEnvelope, Envelope, VerifiedPayload, verify_envelope
from cosmos.trust.keys import PublicKey
from cosmos.trust.payloads import Demand, verify_beside
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import DELTA_TYPE, IN_TOTO_TYPE
from cosmos.trust.roots import TrustRoots

_WHOSE_KEY: Final = "name the public key that the release's maker gave you: cosmos verify OUT --key PUB"
_UNSIGNED: Final = "nobody signed it; its maker signs it with: cosmos build IMAGE --key RELEASE.key"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseKeys:
    """The keys of which `threshold` must have signed a release, or a delta.

    The keys `revoked` never count; a refusal names the one that signed.
    """

    keys: tuple[PublicKey, ...]
    threshold: int = 1
    revoked: tuple[tuple[PublicKey, Revoked], ...] = ()

    @classmethod
    def pinned(cls, roots: TrustRoots) -> Self:
        """Return the release keys of the trust anchors."""
        return cls(
            keys=roots.keys("release"), threshold=roots.threshold("release"), revoked=roots.revoked_keys("release")
        )


def verify_release(document: bytes, envelope: bytes | None, signers: ReleaseKeys, *, source: str) -> VerifiedPayload:
    """Return `document` and those who signed it, if enough of `signers` did, or raise `Refused`."""
    if len(document) > MAX_RELEASE_BYTES:
        raise Refused(source, f"has {len(document)} bytes, the limit is {MAX_RELEASE_BYTES}")
    demand = Demand(
        payload_type=IN_TOTO_TYPE,
        keys=signers.keys,
        threshold=signers.threshold,
        revoked=signers.revoked,
        hint=_WHOSE_KEY if envelope is not None else _UNSIGNED,
        max_bytes=MAX_SIGNED_BYTES,
    )
    signed_by = verify_beside(document, envelope, demand, source)
    if envelope is not None:
        _demand_our_form(envelope, signed_by, f"{source}.dsse")
    return VerifiedPayload(payload=document, signers=signed_by)


def verify_delta(envelope: bytes, *, keys: Iterable[PublicKey], threshold: int = 1, source: str) -> VerifiedPayload:
    """Return the head of a delta and its signers if `threshold` distinct `keys` have signed it, or raise `Refused`."""
    verified = verify_envelope(
        envelope,
        payload_type=DELTA_TYPE,
        keys=keys,
        threshold=threshold,
        source=source,
        max_bytes=MAX_DELTA_ENVELOPE_BYTES,
    )
    _demand_our_form(envelope, verified.signers, source, MAX_DELTA_ENVELOPE_BYTES)
    return verified


def _demand_our_form(data: bytes, signers: tuple[str, ...], source: str, max_bytes: int = MAX_SIGNED_BYTES) -> None:
    parsed = Envelope.parse(data, source, max_bytes=max_bytes)
    if parsed.to_bytes() != data:
        raise BadEnvelope(source, "is signed, but not byte for byte as it was written")
    if set(signers) - {signature.keyid for signature in parsed.signatures}:
        raise BadEnvelope(source, "is signed, but a key id in it was changed")
