"""A store above another one: it reads both, writes the upper one, and copies what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.store.blobs import NotStored, StoreFolder
from cosmos.store.layered import LayeredStore

KEY = Digest.of(b"key")


@pytest.fixture
def stores(tmp_path: Path) -> tuple[StoreFolder, StoreFolder, LayeredStore]:
    upper, lower = StoreFolder(tmp_path / "upper"), StoreFolder(tmp_path / "lower")
    return upper, lower, LayeredStore(upper, lower)


def test_a_blob_of_the_lower_store_is_found_and_kept_above(stores: tuple) -> None:
    upper, lower, both = stores
    digest = lower.put(b"bytes")
    assert both.has(digest, 5)
    assert (both.get(digest, 5), upper.get(digest, 5)) == (b"bytes", b"bytes")


def test_a_damaged_blob_of_the_lower_store_is_refused_and_not_kept(stores: tuple) -> None:
    upper, lower, both = stores
    digest = lower.put(b"bytes")
    (file,) = (lower.root / "blobs").rglob(digest.hex)
    file.chmod(0o644)
    file.write_bytes(b"bytez")
    for read in (both.get, both.unchecked):
        with pytest.raises((Refused, NotStored)):
            read(digest, 5)
    assert not upper.has(digest, 5)


def test_what_is_found_below_is_kept_above_and_nothing_else(stores: tuple) -> None:
    upper, lower, both = stores
    lower.put_result(KEY, b"statement")
    assert (both.get_result(KEY), upper.get_result(KEY)) == (b"statement", b"statement")
    lower.put_made(Digest.of(b"log"), b"leaves")
    lower.put_made(Digest.of(b"layer"), b"frame")
    assert (both.get_made(Digest.of(b"log")), upper.get_made(Digest.of(b"log"))) == (b"leaves", b"leaves")
    assert upper.get_made(Digest.of(b"layer")) is None
    both.put_made(Digest.of(b"layer"), b"mine")
    assert (both.get_made(Digest.of(b"layer")), lower.get_made(Digest.of(b"layer"))) == (b"mine", b"frame")


def test_nothing_is_written_into_the_lower_store(stores: tuple) -> None:
    _, lower, both = stores
    both.put(b"a")
    both.put_result(KEY, b"b")
    both.put_result_soon(Digest.of(b"soon"), b"c")
    both.put_made(Digest.of(b"made"), b"d")
    both.settle()
    assert both.sweep()
    assert not lower.root.exists()
