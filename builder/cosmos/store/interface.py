"""`Store`: what the rest of the program asks of a store of bytes. `store.blobs` keeps one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cosmos.digest import Digest


class Store(Protocol):
    """Blobs by their digest, and small results by the digest of whatever shaped them. A cache, never a reason to trust.

    A blob is hashed again whenever it is read. A result cannot be checked against what asked for it: a caller who uses
    one for more than speed checks it.
    """

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether a blob of that name and size is there."""

    def get(self, digest: Digest, size_bytes: int) -> bytes:
        """Return the blob, hashed again. Raises `Refused` for a damaged one, `NotStored` where it is missing."""

    def unchecked(self, digest: Digest, size_bytes: int) -> bytes:
        """Return what lies under the blob's name, for a caller who hashes it. Raises `NotStored`.

        Where it turns out to be damaged, the caller asks `get`, which takes it out of the way and says so.
        """

    def put(self, data: bytes | memoryview) -> Digest:
        """Keep `data` durably and return its digest. Raises `WorldFailed`."""

    def put_hashed(self, digest: Digest, data: bytes | memoryview) -> None:
        """Keep `data` durably under the `digest` that the caller has just found for it. Raises `WorldFailed`."""

    def get_result(self, key: Digest) -> bytes | None:
        """Return what was kept under `key`, or None."""

    def put_result(self, key: Digest, data: bytes) -> None:
        """Keep the small document `data` under `key` durably. Raises `WorldFailed`."""

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        """Keep `data` as `put_result` does, but for others and durably only once `settle` was called.

        Raises `WorldFailed`.
        """

    def settle(self) -> None:
        """Make durable what was kept with `put_result_soon`. Raises `WorldFailed`."""

    def get_made(self, key: Digest) -> bytes | None:
        """Return the blob that `put_made` kept for `key`, checked, or None."""

    def put_made(self, key: Digest, data: bytes) -> None:
        """Keep what was made from all that `key` is the digest of; unlike a result it may be large."""

    def sweep(self) -> bool:
        """Remove what killed writers left behind; return False while another process writes."""


@contextmanager
def settling(store: Store) -> Iterator[None]:
    """Settle `store` at the end of the block, and where the block fails: what was fetched is not fetched again."""
    try:
        yield
    finally:
        store.settle()
