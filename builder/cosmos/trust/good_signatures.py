"""Signatures over statements that were found good once: whether one is good depends on its bytes alone.

Ed25519 takes most of what it costs to judge a statement that has not changed. A name of such a finding is the SHA-256
of the key's bytes, the signature's bytes and the signed message. Nothing else is remembered: which keys count, how many
must have signed, what was revoked, what the statement says, all of this is judged each time.

The caller says how long the memory counts (`remembering`), and where it comes from. Whoever can add a name to it can
forge a signature, so it must come from a place where nobody else can write (image.known_signatures).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Self

from cosmos.limits import MAX_REMEMBERED_SIGNATURES
from cosmos.trust.ed25519 import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify_signature

_CONTEXT: Final = b"cosmos-good-signature-v1\0"
_NAME_BYTES: Final = 32


class GoodSignatures:
    """The names of signatures that are known to be good, of which `new` were found in this run."""

    __slots__ = ("_known", "_used", "new")

    def __init__(self, known: frozenset[bytes] = frozenset()) -> None:
        self._known = known
        self._used: set[bytes] = set()
        self.new: set[bytes] = set()

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return what `to_bytes` gave; bytes of another form are an empty memory."""
        if len(data) % _NAME_BYTES:
            return cls()
        return cls(frozenset(data[at : at + _NAME_BYTES] for at in range(0, len(data), _NAME_BYTES)))

    def to_bytes(self) -> bytes:
        """Return the names, sorted; if these are too many, the ones of this run alone."""
        every = {*self._known, *self.new}
        kept = every if len(every) <= MAX_REMEMBERED_SIGNATURES else {*self._used, *self.new}
        return b"".join(sorted(kept)[:MAX_REMEMBERED_SIGNATURES])

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Do what `ed25519.verify_signature` does, unless the signature is known to be good."""
        name = hashlib.sha256(_CONTEXT + public_key + signature + message).digest()
        if name in self._known and len(public_key) == PUBLIC_KEY_BYTES and len(signature) == SIGNATURE_BYTES:
            self._used.add(name)
            return
        verify_signature(public_key, message, signature)
        self.new.add(name)


_memory: ContextVar[GoodSignatures | None] = ContextVar("good signatures", default=None)


@contextmanager
def remembering(memory: GoodSignatures) -> Iterator[None]:
    """Believe `memory` in the block, and add to it what is found good there."""
    before = _memory.set(memory)
    try:
        yield
    finally:
        _memory.reset(before)


def verify_statement_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Return if `signature` over a statement's `message` is by `public_key`, else raise `BadSignature`."""
    memory = _memory.get()
    if memory is None:
        verify_signature(public_key, message, signature)
    else:
        memory.verify(public_key, message, signature)
