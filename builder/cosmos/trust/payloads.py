"""A document and the envelope beside it: the one rule for stars, indexes, locks and releases.

A signature is over the exact bytes of the whole file. An unsigned document passes only if the operator allows it for
its galaxy. Even then, an envelope beside it must have the right form and type, and hold these exact bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from cosmos.digest import Digest
from cosmos.limits import MAX_ENVELOPE_BYTES
from cosmos.records import dataclass
from cosmos.trust.dsse import BadEnvelope, Envelope, NotSigned, RevokedSigner, demand_threshold, signers_of
from cosmos.trust.keys import PublicKey
from cosmos.trust.revocation import Revoked
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The conditions under which a signature counts; `hint` says what to do if none counts.

    `unsigned_hint` says what to do if nobody signed.

    `revoked` are keys of the role that were revoked: they never count, but the refusal names them.
    """

    payload_type: str
    keys: tuple[PublicKey, ...]
    threshold: int
    hint: str
    unsigned_hint: str | None = None
    allow_unsigned: bool = False
    max_bytes: int = MAX_ENVELOPE_BYTES
    revoked: tuple[tuple[PublicKey, Revoked], ...] = ()


def verify_beside(data: bytes, envelope: bytes | None, demand: Demand, source: str) -> tuple[str, ...]:
    """Return the sorted ids of the keys that signed `data`; raises `BadEnvelope` or `NotSigned`.

    The result is empty only if `demand.allow_unsigned` is set and too few of its keys have signed.
    """
    beside = f"{source}.dsse"
    if envelope is None:
        if demand.allow_unsigned:
            return ()
        raise NotSigned(
            source, "is not signed: there is no .dsse file beside it", hint=demand.unsigned_hint or demand.hint
        )
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
    if len(signers) < demand.threshold:
        refuse_revoked(signers_of(parsed, (key for key, _ in demand.revoked)), demand.revoked, beside)
    demand_threshold(signers, demand.threshold, beside, demand.hint)
    return signers


def refuse_revoked(signers: tuple[str, ...], revoked: Iterable[tuple[PublicKey, Revoked]], source: str) -> None:
    """Raise `RevokedSigner` if one of `signers` (key ids) is among the `revoked`."""
    for key, row in revoked:
        if key.id in signers:
            raise RevokedSigner(
                source,
                f"is signed by {key.name}, whose key was {row}",
                hint="get the newest version, signed by a trusted key; see the keys with: cosmos trust show",
            )


def demand_still_good(
    signers: tuple[str, ...], seq: int, demand: Demand, roots: TrustRoots, source: str
) -> tuple[str, ...]:
    """Return those `signers` of a document with this `seq` that were not retired before it; raises `RevokedSigner`.

    The second half of `verify_beside` if `demand.keys` hold retired keys: the seq is known only after the parse.
    """
    good = roots.still_good(signers, seq)
    if len(good) == len(signers) or len(good) >= demand.threshold:
        return good
    if demand.allow_unsigned:
        return ()
    refuse_revoked(tuple(signer for signer in signers if signer not in good), demand.revoked, f"{source}.dsse")
    demand_threshold(good, demand.threshold, f"{source}.dsse", demand.hint)
    return good
