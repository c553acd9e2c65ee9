"""The store on disk and the one in memory, held to the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.store.blobs import NotStored, StoreFolder
from cosmos.store.interface import Store, settling
from cosmos.store.sealed import Seal, SealedStore
from fakes.stores import MemoryStore

KEY = Digest.of(b"key")
OTHER_KEY = Digest.of(b"another key")


@pytest.fixture(params=["disk", "memory", "sealed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "sealed":
        return SealedStore(MemoryStore(), Seal(b"key"))
    return StoreFolder(tmp_path / "store") if request.param == "disk" else MemoryStore()


def test_a_blob_is_found_by_its_digest_and_its_size(store: Store) -> None:
    digest = store.put(memoryview(b"bytes"))
    assert digest == Digest.of(b"bytes")
    assert store.get(digest, 5) == b"bytes"
    assert (store.has(digest, 5), store.has(digest, 4), store.has(KEY, 5)) == (True, False, False)


def test_a_blob_that_was_hashed_before_is_kept_and_read_as_it_is(store: Store) -> None:
    digest = Digest.of(b"bytes")
    store.put_hashed(digest, b"bytes")
    assert store.unchecked(digest, 5) == store.get(digest, 5) == b"bytes"
    with pytest.raises(NotStored):
        store.unchecked(KEY, 5)


def test_a_blob_that_is_kept_soon_is_there_at_once_and_for_all(store: Store) -> None:
    digest = Digest.of(b"bytes")
    store.put_hashed_soon(digest, b"bytes")
    assert store.has(digest, 5)
    store.settle()
    assert store.get(digest, 5) == b"bytes"


def test_a_blob_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotStored, match=str(KEY)):
        store.get(KEY, 5)


def test_a_result_is_what_was_kept_last(store: Store) -> None:
    assert store.get_result(KEY) is None
    store.put_result(KEY, b"one")
    store.put_result(KEY, b"two")
    assert store.get_result(KEY) == b"two"


def test_a_result_that_is_kept_soon_is_there_at_once(store: Store) -> None:
    store.put_result_soon(KEY, b"one")
    assert store.get_result(KEY) == b"one"
    store.settle()
    assert store.get_result(KEY) == b"one"


def test_a_result_is_what_was_kept_last_be_it_soon_or_at_once(store: Store) -> None:
    store.put_result_soon(KEY, b"one")
    store.put_result(KEY, b"two")
    assert store.get_result(KEY) == b"two"
    store.put_result_soon(KEY, b"three")
    assert store.get_result(KEY) == b"three"
    store.settle()
    assert store.get_result(KEY) == b"three"
    store.put_result_soon(OTHER_KEY, b"four")
    store.settle()
    store.put_result_soon(OTHER_KEY, b"five")
    store.settle()
    assert (store.get_result(KEY), store.get_result(OTHER_KEY)) == (b"three", b"five")


def test_what_was_kept_before_a_failure_is_settled(store: StoreFolder | MemoryStore) -> None:
    with pytest.raises(NotStored), settling(store):
        store.put_result_soon(KEY, b"one")
        store.get(KEY, 5)
    inner = store.inner if isinstance(store, SealedStore) else store
    assert inner.is_settled if isinstance(inner, MemoryStore) else StoreFolder(inner.root).get_result(KEY) == b"one"


def test_what_was_made_is_found_by_what_it_was_made_from(store: Store) -> None:
    assert store.get_made(KEY) is None
    store.put_made(KEY, b"x" * 100_000)
    assert store.get_made(KEY) == b"x" * 100_000


def test_nothing_is_lost_by_a_sweep(store: Store) -> None:
    digest = store.put(b"bytes")
    store.put_result(KEY, b"one")
    assert store.sweep()
    assert (store.get(digest, 5), store.get_result(KEY)) == (b"bytes", b"one")
