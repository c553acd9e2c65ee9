"""Blobs that wait get their names together: whole, after their bytes are on the disk, and before anybody asks."""

from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.content import FileRange
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_WAITING_BLOBS
from cosmos.spool import Spool
from cosmos.store import soon
from cosmos.store.batches import Batches
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import settling


def blobs(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(root.glob("blobs/*/*"))}


def left(root: Path) -> list[Path]:
    return sorted(root.glob("temporary/*"))


def put(store: StoreFolder, *contents: bytes) -> list[Digest]:
    digests = [Digest.of(content) for content in contents]
    for digest, content in zip(digests, contents, strict=True):
        store.put_hashed_soon(digest, content)
    return digests


def test_what_waits_has_no_name_until_it_is_settled(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    one, two = put(store, b"one", b"two")
    assert blobs(tmp_path) == {}
    store.settle()
    assert blobs(tmp_path) == {one.hex: b"one", two.hex: b"two"}
    assert left(tmp_path) == []
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("blobs/*/*")} == {0o444}


def test_every_name_comes_after_the_bytes_of_all_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(number: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        fsync(number)

    def replaced(*words: Any, **more: int) -> None:
        steps.append("name")
        replace(*words, **more)

    store = StoreFolder(tmp_path)
    store.settle()
    put(store, *(bytes([number]) for number in range(10)))
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    store.settle()
    made = [step for step in steps if step != "folder"]
    assert made == ["file"] * 10 + ["name"] * 10
    assert steps[-1] == "folder"


@pytest.mark.parametrize("ask", ["has", "get", "unchecked"])
def test_whoever_asks_for_a_blob_that_waits_gets_it(tmp_path: Path, ask: str) -> None:
    store = StoreFolder(tmp_path)
    (digest,) = put(store, b"bytes")
    assert getattr(store, ask)(digest, 5) in (True, b"bytes")
    assert blobs(tmp_path) == {digest.hex: b"bytes"}


def test_a_record_is_written_after_the_blob_that_it_may_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    (digest,) = put(store, b"bytes")
    store.put_result_soon(Digest.of(b"key"), b"names the blob")
    seen = list[dict[str, bytes]]()
    write = Batches.write
    monkeypatch.setattr(Batches, "write", lambda batches: (seen.append(blobs(tmp_path)), write(batches)))
    store.settle()
    assert seen == [{digest.hex: b"bytes"}]


def test_only_so_many_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    put(store, *(b"%d" % number for number in range(MAX_WAITING_BLOBS)))
    assert len(blobs(tmp_path)) == MAX_WAITING_BLOBS
    monkeypatch.setattr(soon, "MAX_WAITING_BLOB_BYTES", 10)
    put(store, b"x" * 9)
    assert len(blobs(tmp_path)) == MAX_WAITING_BLOBS
    put(store, b"y")
    assert len(blobs(tmp_path)) == MAX_WAITING_BLOBS + 2


def test_what_waits_long_is_written_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    put(store, b"one")
    monkeypatch.setattr(soon, "MAX_WAITING_RESULT_SECONDS", -1)
    put(store, b"two")
    assert len(blobs(tmp_path)) == 2


def test_another_process_does_not_sweep_what_waits(tmp_path: Path) -> None:
    store, other = StoreFolder(tmp_path), StoreFolder(tmp_path)
    (digest,) = put(store, b"bytes")
    assert not other.sweep()
    store.settle()
    assert other.sweep()
    assert other.get(digest, 5) == b"bytes"


def test_what_waits_is_kept_where_the_work_fails(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    with pytest.raises(KeyError), settling(store):
        (digest,) = put(store, b"bytes")
        raise KeyError
    assert StoreFolder(tmp_path).get(digest, 5) == b"bytes"


def test_a_disk_that_is_full_when_they_are_synced_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StoreFolder(tmp_path)
    put(store, b"one", b"two")

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorldFailed):
            store.settle()
    assert (blobs(tmp_path), left(tmp_path)) == ({}, [])
    store.settle()
    put(store, b"three")
    store.settle()
    assert list(blobs(tmp_path).values()) == [b"three"]
    assert StoreFolder(tmp_path).sweep(), "the lock is free again"


def test_a_disk_that_is_full_when_one_is_written_leaves_the_others(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    put(store, b"one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(WorldFailed):
            put(store, os.urandom(6000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.settle()
    assert list(blobs(tmp_path).values()) == [b"one"]
    assert left(tmp_path) == []


def test_a_file_that_changes_while_it_is_kept_does_not_wait(tmp_path: Path) -> None:
    content = Spool(tmp_path / "spool", in_memory=0).add([b"first"])
    assert isinstance(content, FileRange)
    digest = content.digest
    os.pwrite(content.file.number, b"other", content.start)
    store = StoreFolder(tmp_path / "store")
    with pytest.raises(Refused, match="was changed while it was read"):
        store.put_hashed_soon(digest, content)
    store.settle()
    assert (blobs(tmp_path / "store"), left(tmp_path / "store")) == ({}, [])
    assert StoreFolder(tmp_path / "store").sweep(), "the lock is free again"


def test_a_damaged_blob_under_the_name_is_replaced(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    (digest,) = put(store, b"bytes")
    store.settle()
    file = next(tmp_path.glob("blobs/*/*"))
    file.chmod(0o644)
    file.write_bytes(b"bites")
    put(store, b"bytes")
    store.settle()
    assert store.get(digest, 5) == b"bytes"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["soon", "now", "settle", "get"]), st.integers(0, 5)), max_size=30))
def test_in_any_order_every_blob_is_there_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    root = tmp_path_factory.mktemp("store")
    store, kept = StoreFolder(root), set[bytes]()
    for step, number in steps:
        content = b"content %d" % number
        digest = Digest.of(content)
        if step == "soon":
            store.put_hashed_soon(digest, content)
            kept.add(content)
        elif step == "now":
            store.put_hashed(digest, content)
            kept.add(content)
        elif step == "settle":
            store.settle()
        else:
            assert store.has(digest, len(content)) == (content in kept)
    store.settle()
    assert set(blobs(root).values()) == kept
    assert left(root) == []
