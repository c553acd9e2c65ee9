"""The store: whole or absent, whatever happens to whoever writes it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cosmos import durable, reading
from cosmos.canon import digest_of
from cosmos.content import FileRange, content_digest
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.store.blobs import NotStored, StoreFolder
from fakes.waiting import forked

KEY = digest_of({"a": "key"})
OTHER_KEY = digest_of({"another": "key"})


def blobs(root: Path) -> list[Path]:
    return [path for path in (root / "blobs").rglob("*") if path.is_file()]


def test_a_folder_in_the_place_of_a_blob_or_a_result_is_named(tmp_path: Path) -> None:
    store, data = StoreFolder(tmp_path), b"bytes"
    digest = Digest.of(data)
    for place in (f"blobs/{digest.hex[:2]}/{digest.hex}", f"results/{KEY.hex[:2]}/{KEY.hex}"):
        (tmp_path / place / "x").mkdir(parents=True)
    with pytest.raises(WorldFailed, match=f"blobs/{digest.hex[:2]}/{digest.hex}: is a directory"):
        store.put(data)
    store.put_hashed_soon(digest, data)
    with pytest.raises(WorldFailed, match=f"blobs/{digest.hex[:2]}/{digest.hex}: is a directory"):
        store.settle()
    with pytest.raises(WorldFailed, match=f"results/{KEY.hex[:2]}/{KEY.hex}: is a directory"):
        store.put_result(KEY, data)


def assert_whole(root: Path) -> int:
    """Every name in the store stands for exactly its bytes; return how many there are."""
    for path in blobs(root):
        assert Digest.of(path.read_bytes()).hex == path.name
    for path in (root / "results").rglob("*"):
        if path.is_file():
            header, _, data = path.read_bytes().partition(b"\n")
            assert header == f"cosmos-result 1 sha256:{path.name} {Digest.of(data)}".encode()
    return len(blobs(root))


def test_what_is_put_can_be_had_again(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path / "store")
    digest = store.put(memoryview(b"star"))
    assert store.has(digest, 4)
    assert store.get(digest, 4) == b"star"
    assert store.put(b"star") == digest


def test_an_empty_store_holds_nothing_and_is_not_made_by_asking(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path / "store")
    assert not store.has(KEY, 0)
    assert store.get_result(KEY) is None
    with pytest.raises(NotStored, match="does not hold it"):
        store.get(KEY, 0)
    assert not (tmp_path / "store").exists()


def test_a_blob_is_not_had_under_another_size(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    digest = store.put(b"star")
    assert not store.has(digest, 5)


@pytest.mark.parametrize("damage", [b"sta!", b"star!", b""])
def test_a_damaged_blob_is_refused_and_removed_so_that_it_can_be_fetched_again(tmp_path: Path, damage: bytes) -> None:
    store = StoreFolder(tmp_path)
    digest = store.put(b"star")
    path = blobs(tmp_path)[0]
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(Refused, match="damaged"):
        store.get(digest, 4)
    assert not store.has(digest, 4)
    store.put(b"star")
    assert store.get(digest, 4) == b"star"


def test_a_blob_that_another_process_mended_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    digest = store.put(b"star")
    with monkeypatch.context() as before_it_was_mended:
        before_it_was_mended.setattr(StoreFolder, "_content", lambda self, digest: b"sta!")
        with pytest.raises(Refused, match="damaged"):
            store.get(digest, 4)
    assert store.get(digest, 4) == b"star"
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("keep", "kind"),
    [
        (lambda store: store.put(b"star"), "blobs"),
        (lambda store: store.put_result(KEY, b"result"), "results"),
    ],
)
def test_the_folders_above_what_is_new_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Callable[[StoreFolder], object], kind: str
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    keep(StoreFolder(tmp_path / "store"))
    (folder,) = (tmp_path / "store" / kind).iterdir()
    assert {tmp_path, tmp_path / "store", folder.parent, folder} <= set(synced)


def test_putting_mends_a_damaged_blob_of_the_same_size(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    digest = store.put(b"star")
    blobs(tmp_path)[0].chmod(0o644)
    blobs(tmp_path)[0].write_bytes(b"sta!")
    store.put(b"star")
    assert store.get(digest, 4) == b"star"


def test_a_result_is_kept_and_replaced(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    store.put_result(KEY, b"one\ntwo")
    assert store.get_result(KEY) == b"one\ntwo"
    store.put_result(KEY, b"three")
    assert store.get_result(KEY) == b"three"


@pytest.mark.parametrize("damage", [b"", b"cosmos-result 1\nthree", b"three"])
def test_a_damaged_result_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    store = StoreFolder(tmp_path)
    store.put_result(KEY, b"three")
    path = next(path for path in (tmp_path / "results").rglob("*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(damage)
    assert store.get_result(KEY) is None
    assert not path.exists()


def test_a_result_that_was_moved_under_another_key_counts_as_none(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    store.put_result(KEY, b"three")
    store.put_result(OTHER_KEY, b"four")
    here, there = (tmp_path / "results" / key.hex[:2] / key.hex for key in (KEY, OTHER_KEY))
    here.replace(there)
    assert store.get_result(OTHER_KEY) is None


def batches(root: Path) -> list[Path]:
    return sorted(path for path in (root / "batches").glob("*") if path.name != "lock")


def test_many_results_are_there_at_once_and_become_durable_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StoreFolder(tmp_path)
    store.settle()
    assert list(tmp_path.iterdir()) == []
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # a slow machine must not write in between
    for number in range(500):
        store.put_result_soon(Digest.of(b"%d" % number), b"result %d" % number)
    assert store.get_result(Digest.of(b"3")) == b"result 3"
    assert list(tmp_path.iterdir()) == []
    store.settle()
    cost = len(synced)
    assert 0 < cost < 10
    store.settle()
    store.put_result_soon(Digest.of(b"3"), b"result 3")
    store.settle()
    assert len(synced) == cost
    assert [path.name for path in batches(tmp_path)] == ["000000000001"]
    assert [StoreFolder(tmp_path).get_result(Digest.of(b"%d" % number)) for number in range(500)] == [
        b"result %d" % number for number in range(500)
    ]


def is_one_left(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_leaves_the_store_whole(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    started = bytes(range(256)) * 4096  # 1 MiB: long enough to be hit in the middle

    def write_for_ever(begun: int) -> None:
        number = os.getpid()
        os.write(begun, b"b")
        while True:
            number += 1
            store.put(number.to_bytes(8, "big") + started)
            store.put_result(KEY, number.to_bytes(8, "big") + started)

    written = turn = 0
    while turn < 30 or not (written > 5 and store.get_result(KEY) and is_one_left(tmp_path / "temporary")):
        assert turn < 300, "the writers never got to write, or none was hit in the middle of a write"
        reading, writing = os.pipe()
        child = forked(partial(write_for_ever, writing))
        os.read(reading, 1)
        time.sleep(turn % 30 * 0.0017 * 2 ** (turn // 30))  # a slow disk gets twice the time in each round
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        os.close(reading)
        os.close(writing)
        written = assert_whole(tmp_path)
        turn += 1
    assert store.sweep()
    assert not (tmp_path / "temporary").exists()
    assert store.get_result(KEY) is not None


def test_writers_at_the_same_time_do_not_disturb_one_another(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)

    def write() -> None:
        for number in range(40):
            digest = store.put(f"blob {number}".encode() * 1000)
            assert store.get(digest, len(f"blob {number}") * 1000)
            store.put_result(KEY, f"result {number}".encode())
            assert store.get_result(KEY) is not None

    children = [forked(write) for _ in range(4)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    assert assert_whole(tmp_path) == 40
    assert store.get_result(KEY) == b"result 39"


def test_sweeping_leaves_a_writer_alone(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    with store._draft() as draft:
        draft.stream.write(b"half")
        assert not store.sweep()
        assert any((tmp_path / "temporary").iterdir())
        draft.keep_as(tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == b"half"


@pytest.mark.parametrize("where", ["write", "fsync"])
def test_a_full_disk_fails_as_the_world_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    store = StoreFolder(tmp_path)
    before = store.put(b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(durable.Draft, "keep_in", full)
    with pytest.raises(WorldFailed, match="the disk is full") as caught:
        store.put(b"after")
    assert "make room" in str(caught.value.hint)
    assert not store.has(Digest.of(b"after"), 5)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert store.get(before, 6) == b"before"


def test_a_write_that_the_kernel_cuts_short_leaves_nothing_half_written(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from cosmos.errors import WorldFailed\n"
        "from cosmos.store.blobs import StoreFolder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    StoreFolder(Path(sys.argv[1])).put(b'x' * 200_000)\n"
        "except WorldFailed as error:\n"
        "    raise SystemExit(5) from error\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert blobs(tmp_path) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_what_was_made_is_had_again_by_what_made_it_until_a_byte_of_it_changes(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    assert store.get_made(KEY) is None
    store.put_made(KEY, b"large")
    assert store.get_made(KEY) == b"large"
    assert store.get_made(OTHER_KEY) is None
    blob = next(path for path in blobs(tmp_path) if path.read_bytes() == b"large")
    blob.chmod(0o644)
    blob.write_bytes(b"lar?e")
    with pytest.raises(Refused, match="damaged"):
        store.get_made(KEY)
    assert store.get_made(KEY) is None


def test_a_large_blob_stays_on_the_disk_and_a_changed_file_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_CONTENT_IN_MEMORY_BYTES", 1000)
    store, data = StoreFolder(tmp_path / "store"), bytes(range(256)) * 40
    digest = store.put(data)
    kept = store.get(digest, len(data))
    assert isinstance(kept, FileRange)
    assert kept == data
    (tmp_path / "star").write_bytes(data)
    content = reading.file_content(tmp_path / "star", len(data))
    assert content_digest(content) == digest
    (tmp_path / "star").write_bytes(data[::-1])
    other = StoreFolder(tmp_path / "other")
    with pytest.raises(Refused, match="was changed while it was read"):
        other.put_hashed(digest, content)
    assert not other.has(digest, len(data))
