"""A document and the envelope beside it: the one rule for stars, indexes, locks and releases.

The bytes that are signed are the bytes of the file, whole and exact. An unsigned document passes only where the
operator has said so of the galaxy that it comes from; even then an envelope that is there must be of the right form and
kind and hold these very bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from cosmos.digest import Digest
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.trust.dsse import BadEnvelope, Envelope, NotSigned, demand_threshold, signers_of
from cosmos.trust.keys import PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a signature must be to count; `hint` says what a person does where it is missing."""

    payload_type: str
    keys: tuple[PublicKey, ...]
    threshold: int
    hint: str
    allow_unsigned: bool = False
    max_bytes: int = MAX_ENVELOPE_BYTES


def verify_beside(data: bytes, envelope: bytes | None, demand: Demand, source: str) -> tuple[str, ...]:
    """Return the sorted ids of the keys that signed `data`; raises `BadEnvelope` or `NotSigned`.

    The result is empty only where `demand.allow_unsigned` and too few of its keys have signed.
    """
    beside = f"{source}.dsse"
    if envelope is None:
        if demand.allow_unsigned:
            return ()
        raise NotSigned(source, "is not signed: there is no .dsse file beside it", hint=demand.hint)
    parsed = Envelope.parse(envelope, beside, max_bytes=demand.max_bytes)
    if parsed.payload_type != demand.payload_type:
        raise BadEnvelope(
            beside, f"want a signature for {demand.payload_type}, got one for {parsed.payload_type[:120]!r}"
        )
    if parsed.payload != data:
        raise BadEnvelope(beside, f"signs {Digest.of(parsed.payload)}, but {source} is {Digest.of(data)}")
    signers = signers_of(parsed, demand.keys)
    beside = parsed.with_strangers(beside, demand.keys)
    if demand.allow_unsigned and len(signers) < demand.threshold:
        return ()
    demand_threshold(signers, demand.threshold, beside, demand.hint)
    return signers
