"""`Digest`: the SHA-256 of some bytes, written `sha256:` and 64 lower-case hex digits."""

from __future__ import annotations

import re
from typing import BinaryIO, Self

from cosmos.limits import HASH_BUFFER_BYTES, READ_CHUNK_BYTES

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(str):
    """A SHA-256 as text. A `Digest` is always well formed.

    >>> Digest.of(b"")
    Digest('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    >>> Digest.of(b"").hex[:8]
    'e3b0c442'
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as a digest, or raise `ValueError`."""
        if not _FORM.fullmatch(text):
            raise ValueError(_problem(text, text, "sha256: and 64 lower-case hex digits"))
        return cls(text)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Return 64 bare hex digits (upstream's `[checksums]`) as a digest, or raise `ValueError`."""
        if not _FORM.fullmatch(f"sha256:{text}"):
            bare = text.lower().removeprefix("sha256:")
            raise ValueError(_problem(text, f"sha256:{bare}", "64 lower-case hex digits", bare))
        return cls(f"sha256:{text}")

    @classmethod
    def of(cls, data: bytes | memoryview) -> Self:
        """Return the digest of `data`."""
        import hashlib  # loads OpenSSL: 10 ms that a command without a digest need not wait

        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Self:
        """Return the digest of the rest of `stream`, read in bounded pieces."""
        import hashlib

        hasher = hashlib.sha256()
        fill = getattr(stream, "readinto", None)
        if fill is None:
            while piece := stream.read(READ_CHUNK_BYTES):
                hasher.update(piece)
        else:
            view = memoryview(bytearray(HASH_BUFFER_BYTES))
            while count := fill(view):
                hasher.update(view[:count])
        return cls("sha256:" + hasher.hexdigest())

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first twelve hex digits, for people."""
        return self[7:19]

    def __repr__(self) -> str:
        return f"Digest({str(self)!r})"


def _problem(text: str, close: str, wanted: str, meant: str = "") -> str:
    """Return what is wrong with `text`; if only its capitals or its prefix are, with the text that is meant."""
    if _FORM.fullmatch(close.lower()):
        return f"want {wanted}: write {meant or close.lower()}"
    return f"want {wanted}, got {text[:80]!r}"
