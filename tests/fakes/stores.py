"""A store in memory."""

from __future__ import annotations

from cosmos.content import Content, content_digest
from cosmos.digest import Digest
from cosmos.spool import Spool
from cosmos.store.blobs import NotStored


class MemoryStore:
    """Blobs and results in two mappings. It cannot be damaged, and workers in other processes do not share it."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.results: dict[Digest, bytes] = {}
        self.is_settled = True

    def has(self, digest: Digest, size_bytes: int) -> bool:
        return digest in self.blobs and len(self.blobs[digest]) == size_bytes

    def get(self, digest: Digest, size_bytes: int) -> bytes:
        if not self.has(digest, size_bytes):
            raise NotStored(digest, "the store in memory does not hold it")
        return self.blobs[digest]

    def unchecked(self, digest: Digest, size_bytes: int) -> bytes:
        return self.get(digest, size_bytes)

    def put_hashed(self, digest: Digest, data: Content) -> None:
        self.blobs[digest] = bytes(data)

    def put_hashed_soon(self, digest: Digest, data: Content) -> None:
        self.is_settled = False
        self.blobs[digest] = bytes(data)

    def put(self, data: Content) -> Digest:
        digest = content_digest(data)
        self.blobs[digest] = bytes(data)
        return digest

    def get_result(self, key: Digest) -> bytes | None:
        return self.results.get(key)

    def put_result(self, key: Digest, data: bytes) -> None:
        self.results[key] = data

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        self.is_settled = False
        self.results[key] = data

    def settle(self) -> None:
        self.is_settled = True

    def get_made(self, key: Digest) -> bytes | None:
        return self.results.get(key)

    def put_made(self, key: Digest, data: Content) -> None:
        self.results[key] = bytes(data)

    def spool(self) -> Spool:
        return Spool()

    def sweep(self) -> bool:
        return True
