"""Verify `RELEASE.json.dsse` with public keys alone: the first step of `cosmos verify OUT --key PUB`; also a delta.

The document is an in-toto Statement. Its envelope must be byte for byte as Cosmos writes it, with each counted
signature under its key's own id. So no byte of a release can change without being found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cosmos.errors import Refused
from cosmos.limits import MAX_DELTA_ENVELOPE_BYTES, MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.trust.dsse import BadEnvelope, Envelope, VerifiedPayload, verify_envelope
from cosmos.trust.keys import PublicKey
from cosmos.trust.payloads import Demand, verify_beside
from cosmos.trust.roles import DELTA_TYPE, IN_TOTO_TYPE

_WHOSE_KEY: Final = "name the public key that the release's maker gave you: cosmos verify OUT --key PUB"
_UNSIGNED: Final = "nobody signed it; its maker signs it with: cosmos build IMAGE --key RELEASE.key"


def verify_release(
    document: bytes, envelope: bytes | None, *, keys: Iterable[PublicKey], threshold: int = 1, source: str
) -> VerifiedPayload:
    """Return `document` and its signers if `threshold` distinct `keys` have signed it, or raise `Refused`."""
    if len(document) > MAX_RELEASE_BYTES:
        raise Refused(source, f"has {len(document)} bytes, the limit is {MAX_RELEASE_BYTES}")
    demand = Demand(
        payload_type=IN_TOTO_TYPE,
        keys=tuple(keys),
        threshold=threshold,
        hint=_WHOSE_KEY if envelope is not None else _UNSIGNED,
        max_bytes=MAX_SIGNED_BYTES,
    )
    signers = verify_beside(document, envelope, demand, source)
    if envelope is not None:
        _demand_our_form(envelope, signers, f"{source}.dsse")
    return VerifiedPayload(payload=document, signers=signers)


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
