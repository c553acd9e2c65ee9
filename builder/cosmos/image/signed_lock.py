"""Sign a lock: `cosmos freeze --sign KEY`. `image.policy` says what a build demands of that signature.

`universe.lock.toml.dsse` signs the lock's exact bytes with a key of the role `release`.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.durable import write_durably
from cosmos.image.definition import Definition
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.reading import read_envelope
from cosmos.trust.dsse import BadEnvelope, Envelope
from cosmos.trust.roles import LOCK_TYPE


def sign_lock(definition: Definition, data: bytes, key: SecretKey | None) -> bool:
    """Sign the lock with the bytes `data`, or, with no key, drop a signature that is over other bytes.

    Returns whether the lock is signed now. Raises `Refused` for a key that does not sign locks.
    """
    file = definition.lock_envelope
    if key is not None:
        write_durably(file, key.sign(LOCK_TYPE, data))
        return True
    envelope = read_envelope(definition.lock_file, MAX_SIGNED_BYTES)
    if envelope is not None and _is_stale(envelope, data, file):
        file.unlink()
        return False
    return envelope is not None


def _is_stale(envelope: bytes, data: bytes, file: Path) -> bool:
    try:
        parsed = Envelope.parse(envelope, str(file), max_bytes=MAX_SIGNED_BYTES)
    except BadEnvelope:
        return True
    return parsed.payload != data
