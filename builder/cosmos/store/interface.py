"""`Store`: the interface to a store of bytes. `store.blobs` keeps one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.spool import Spool


class Damaged(Refused):
    """A blob in the store did not have the bytes of its name. It was removed, and can be fetched or made again."""


class Store(Protocol):
    """Blobs by their digest, and small results by the digest of their inputs. A cache, never a reason to trust.

    A blob is hashed again whenever it is read. The store cannot check a result against its inputs: a caller that relies
    on one for more than speed must check it.
    """

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether the store has a blob of that name and size."""

    def get(self, digest: Digest, size_bytes: int) -> Content:
        """Return the blob, hashed again; a large one stays on the disk.

        Raises `Damaged`, and `NotStored` if it is missing.
        """

    def unchecked(self, digest: Digest, size_bytes: int) -> Content:
        """Return the file under the blob's name, for a caller that hashes it. Raises `NotStored`.

        If it is damaged, the caller calls `get`, which removes it and raises.
        """

    def put(self, data: Content) -> Digest:
        """Keep `data` durably and return its digest. Raises `WorldFailed`."""

    def put_hashed(self, digest: Digest, data: Content) -> None:
        """Keep `data` durably under the `digest` that the caller has just found for it. Raises `WorldFailed`.

        A file that has changed since then is not kept: `Refused`.
        """

    def put_hashed_soon(self, digest: Digest, data: Content) -> None:
        """Keep `data` as `put_hashed` does, but for other processes and durably only once `settle` was called.

        A later one may be kept first. Raises `WorldFailed`, and `Refused` as `put_hashed` does.
        """

    def spool(self) -> Spool:
        """Return a spool on the store's disk, for what is made of its blobs."""

    def get_result(self, key: Digest) -> bytes | None:
        """Return the document kept under `key`, or None."""

    def put_result(self, key: Digest, data: bytes) -> None:
        """Keep the small document `data` under `key` durably. Raises `WorldFailed`."""

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        """Keep `data` as `put_result` does, but for others and durably only once `settle` was called.

        Raises `WorldFailed`.
        """

    def settle(self) -> None:
        """Make durable what was kept with `put_hashed_soon` and `put_result_soon`. Raises `WorldFailed`."""

    def get_made(self, key: Digest) -> Content | None:
        """Return the blob that `put_made` kept for `key`, checked, or None. Raises `Damaged`."""

    def put_made(self, key: Digest, data: Content) -> None:
        """Keep a product under `key`, the digest of all its inputs; unlike a result it may be large."""

    def sweep(self) -> bool:
        """Remove what killed writers left behind; return False while another process writes."""


@contextmanager
def settling(store: Store) -> Iterator[None]:
    """Settle `store` at the end of the block, and where the block fails: what was fetched is not fetched again."""
    try:
        yield
    finally:
        store.settle()
