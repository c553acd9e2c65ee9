"""`SealedStore`: a store whose results are believed only if this home wrote them.

A result is kept by the digest of its inputs, and nothing but the work itself could tell whether it is the right one. So
a person who can write into a store, which may be shared or copied, could exchange a finished layer for another. Here
each result is kept with a message authentication code. The key of that code lies in the builder's home, outside of the
store (`keyring.store_key`).

    cosmos-seal 1 MAC\\n       HMAC-SHA-256 (RFC 2104) in hex, of `cosmos-seal-v1`, NUL, the key in hex, NUL, the data
    DATA…

The code binds the data to its key: two results that change places are refused as well. The store keeps the result under
the digest of its key and of the seal's id. So two homes that share a store do not meet each other's results, and a
result that a home meets and did not write is a forged one: `NotSealed`. Blobs are checked by their own digests.

A seal cannot say that a result is the newest. That costs nothing here: every result follows from its key alone.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn

from cosmos.canon import canonical_json
from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.store.interface import Store
from cosmos.tables import Table

_CONTEXT: Final = b"cosmos-seal-v1"
_HEAD: Final = b"cosmos-seal 1 "


class NotSealed(Refused):
    """A result in the store was not written by this home: somebody put it there, or changed it."""


class Seal:
    """The key of the code. `id` tells seals apart, and reveals nothing of the key."""

    __slots__ = ("_code", "id")

    def __init__(self, secret: bytes) -> None:
        self._code = hmac.new(secret, digestmod=hashlib.sha256)  # a copy of it costs less than a new one
        self.id = hmac.digest(secret, b"cosmos-seal-id-v1", hashlib.sha256).hex()

    def code(self, key: Digest, data: bytes) -> bytes:
        """Return the line that vouches for `data` under `key`."""
        message = b"\0".join((_CONTEXT, key.hex.encode(), data))
        code = self._code.copy()
        code.update(message)
        return _HEAD + code.hexdigest().encode() + b"\n"

    def __repr__(self) -> str:
        return f"Seal(id={self.id[:8]!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: the key would leave its place."""
        raise TypeError("a seal is not pickled or copied")


@dataclass(frozen=True, slots=True)
class SealedStore:
    """The store `inner`, whose results are sealed by `seal`. Everything else passes through."""

    inner: Store
    seal: Seal

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether the store has a blob of that name and size."""
        return self.inner.has(digest, size_bytes)

    def get(self, digest: Digest, size_bytes: int) -> Content:
        """Return the blob, hashed again. Raises `Refused` if it is damaged, `NotStored` if it is missing."""
        return self.inner.get(digest, size_bytes)

    def unchecked(self, digest: Digest, size_bytes: int) -> Content:
        """Return the file under the blob's name, for a caller that hashes it. Raises `NotStored`."""
        return self.inner.unchecked(digest, size_bytes)

    def put(self, data: Content) -> Digest:
        """Keep `data` durably and return its digest. Raises `WorldFailed`."""
        return self.inner.put(data)

    def put_hashed(self, digest: Digest, data: Content) -> None:
        """Keep `data` under its digest. Raises `WorldFailed`."""
        self.inner.put_hashed(digest, data)

    def put_hashed_soon(self, digest: Digest, data: Content) -> None:
        """Keep `data` under its digest, for others and durably once `settle` was called. Raises `WorldFailed`."""
        self.inner.put_hashed_soon(digest, data)

    def spool(self) -> Spool:
        """Return a spool on the store's disk."""
        return self.inner.spool()

    def get_result(self, key: Digest) -> bytes | None:
        """Return the document kept under `key`, or None. Raises `NotSealed` for one that this home did not write."""
        record = self.inner.get_result(self._place(key))
        if record is None:
            return None
        code, data = record[: record.find(b"\n") + 1], record[record.find(b"\n") + 1 :]
        if not hmac.compare_digest(code, self.seal.code(key, data)):
            raise NotSealed(
                f"the store's record of {key.short}",
                "was not written by this home: somebody changed the store",
                hint="find out who can write into the store; to begin with an empty one, remove its folder",
            )
        return data

    def put_result(self, key: Digest, data: bytes) -> None:
        """Keep the small document `data` under `key`, sealed and durably. Raises `WorldFailed`."""
        self.inner.put_result(self._place(key), self.seal.code(key, data) + data)

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        """Keep `data` as `put_result` does, but durably only once `settle` was called. Raises `WorldFailed`."""
        self.inner.put_result_soon(self._place(key), self.seal.code(key, data) + data)

    def settle(self) -> None:
        """Make durable what was kept with `put_hashed_soon` and `put_result_soon`. Raises `WorldFailed`."""
        self.inner.settle()

    def get_made(self, key: Digest) -> Content | None:
        """Return the blob that `put_made` kept for `key`, checked, or None.

        Raises `NotSealed` for a record that this home did not write.
        """
        record = self.get_result(key)
        if record is None:
            return None
        table = Table.from_json(record, f"the store's record {key.short}")
        blob, size_bytes = table.read("blob", Digest.parse), table.count("size-bytes")
        return self.get(blob, size_bytes) if self.has(blob, size_bytes) else None

    def put_made(self, key: Digest, data: Content) -> None:
        """Keep a product under `key`, the digest of all its inputs."""
        self.put_result(key, canonical_json({"blob": str(self.put(data)), "size-bytes": len(data)}))

    def sweep(self) -> bool:
        """Remove what killed writers left behind; return False while another process writes."""
        return self.inner.sweep()

    def _place(self, key: Digest) -> Digest:
        return Digest.of(b'{"by":"%b","key":"%b","what":"sealed"}' % (self.seal.id.encode(), key.encode()))
