"""`LayeredStore`: a new store above an old one. What is written goes into the new one; the old one is only read.

What is found in the old store alone is copied into the new one. So after some work the new store has exactly what this
work asked for, and nothing else that others kept in the old one. Blobs are hashed at every read, and results are judged
by their callers, as in any store.
"""

from __future__ import annotations

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.store.interface import Store


@dataclass(frozen=True, slots=True)
class LayeredStore:
    """`upper` is read first and written; what was found in `lower` alone is kept in `upper` as well."""

    upper: Store
    lower: Store

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether one of the stores has the blob."""
        return self.upper.has(digest, size_bytes) or self.lower.has(digest, size_bytes)

    def get(self, digest: Digest, size_bytes: int) -> Content:
        """Return the blob, hashed again. Raises `Refused` if it is damaged, `NotStored` if it is missing."""
        if self.upper.has(digest, size_bytes):
            return self.upper.get(digest, size_bytes)
        data = self.lower.get(digest, size_bytes)
        self.upper.put_hashed(digest, data)
        return data

    def unchecked(self, digest: Digest, size_bytes: int) -> Content:
        """Return the file under the blob's name, for a caller that hashes it. Raises `NotStored`."""
        if self.upper.has(digest, size_bytes):
            return self.upper.unchecked(digest, size_bytes)
        return self.get(digest, size_bytes)  # what is kept above must be good

    def put(self, data: Content) -> Digest:
        """Keep `data` in the upper store. Raises `WorldFailed`."""
        return self.upper.put(data)

    def put_hashed(self, digest: Digest, data: Content) -> None:
        """Keep `data` in the upper store under its digest. Raises `WorldFailed`."""
        self.upper.put_hashed(digest, data)

    def put_hashed_soon(self, digest: Digest, data: Content) -> None:
        """Keep `data` under its digest, for others and durably once `settle` was called. Raises `WorldFailed`."""
        self.upper.put_hashed_soon(digest, data)

    def spool(self) -> Spool:
        """Return a spool on the upper store's disk."""
        return self.upper.spool()

    def get_result(self, key: Digest) -> bytes | None:
        """Return the document kept under `key`, or None."""
        data = self.upper.get_result(key)
        if data is None and (data := self.lower.get_result(key)) is not None:
            self.upper.put_result_soon(key, data)
        return data

    def put_result(self, key: Digest, data: bytes) -> None:
        """Keep the document in the upper store. Raises `WorldFailed`."""
        self.upper.put_result(key, data)

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        """Keep the document in the upper store, durably once `settle` was called. Raises `WorldFailed`."""
        self.upper.put_result_soon(key, data)

    def settle(self) -> None:
        """Make durable what was kept with `put_hashed_soon` and `put_result_soon`. Raises `WorldFailed`."""
        self.upper.settle()

    def get_made(self, key: Digest) -> Content | None:
        """Return the blob that was made for `key`, checked, or None."""
        data = self.upper.get_made(key)
        if data is None and (data := self.lower.get_made(key)) is not None:
            self.upper.put_made(key, data)
        return data

    def put_made(self, key: Digest, data: Content) -> None:
        """Keep a product in the upper store."""
        self.upper.put_made(key, data)

    def sweep(self) -> bool:
        """Sweep the upper store."""
        return self.upper.sweep()
