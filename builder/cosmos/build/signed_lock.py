"""A lock and the signature beside it: `cosmos freeze --sign KEY`, and images whose policy demands it.

`universe.lock.toml.dsse` signs the lock's exact bytes with a key of the role `release`. Where image.toml says `[policy]
signed-lock = true`, nothing is built from a lock that a threshold of those keys has not signed. Where it does not, a
signature may be missing; one that is there must be over these very bytes all the same.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.build.definition import Definition
from cosmos.build.world import World
from cosmos.durable import write_durably
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.reading import envelope_of, read_envelope
from cosmos.trust.dsse import BadEnvelope, Envelope
from cosmos.trust.payloads import Demand, verify_beside
from cosmos.trust.roles import LOCK_TYPE


def lock_envelope(definition: Definition) -> Path:
    """Return where the signature of an image's lock lies."""
    return envelope_of(definition.lock_file)


def sign_lock(definition: Definition, data: bytes, key: SecretKey | None) -> bool:
    """Sign the lock with the bytes `data`, or, with no key, drop a signature that is over other bytes.

    Returns whether the lock is signed now. Raises `Refused` for a key that does not sign locks.
    """
    file = lock_envelope(definition)
    if key is not None:
        write_durably(file, key.sign(LOCK_TYPE, data))
        return True
    envelope = read_envelope(definition.lock_file, MAX_SIGNED_BYTES)
    if envelope is not None and _is_stale(envelope, data, file):
        file.unlink()
        return False
    return envelope is not None


def demand_signed_lock(definition: Definition, world: World, data: bytes) -> bytes | None:
    """Return the envelope of the lock with the bytes `data`, None where there is none and none is demanded.

    Raises `BadEnvelope` or `NotSigned`.
    """
    demanded = definition.image.policy.signed_lock
    envelope = read_envelope(definition.lock_file, MAX_SIGNED_BYTES)
    if envelope is None and not demanded:
        return None
    roots = world.roots(signed=demanded)
    demand = Demand(
        payload_type=LOCK_TYPE,
        keys=roots.keys("release"),
        threshold=roots.threshold("release"),
        hint=f"image.toml demands a signed lock: cosmos freeze {definition.folder} --sign RELEASE.key",
        allow_unsigned=not demanded,
        max_bytes=MAX_SIGNED_BYTES,
        revoked=roots.revoked_keys("release"),
    )
    verify_beside(data, envelope, demand, str(definition.lock_file))
    return envelope


def _is_stale(envelope: bytes, data: bytes, file: Path) -> bool:
    try:
        parsed = Envelope.parse(envelope, str(file), max_bytes=MAX_SIGNED_BYTES)
    except BadEnvelope:
        return True
    return parsed.payload != data
