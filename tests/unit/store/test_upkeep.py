"""The upkeep of a store: what was used least recently goes first, what is damaged goes, what is in use stays."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.canon import digest_of
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import Limit
from cosmos.store import blobs
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import Damaged
from cosmos.store.upkeep import InUse, check, collect, collect_if_free, items

KEY = digest_of({"a": "key"})


def file_of(root: Path, digest: Digest) -> Path:
    (found,) = root.rglob(digest.hex)
    return found


def filled(root: Path, *blobs: bytes) -> list[Digest]:
    """Put blobs into a store; each was used an hour after the one before."""
    digests = [StoreFolder(root).put(data) for data in blobs]
    for hour, digest in enumerate(digests):
        os.utime(file_of(root, digest), (3600 * hour, 3600 * hour))
    return digests


def overwrite(file: Path, data: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(data)


def test_what_was_used_least_recently_goes_first_and_no_more_than_needed(tmp_path: Path) -> None:
    old, middle, new = filled(tmp_path, b"a" * 100, b"b" * 100, b"c" * 100)
    done = collect(StoreFolder(tmp_path), 250)
    assert [item.name for item in done.removed] == [old.hex]
    assert (done.size_bytes, done.freed_bytes) == (300, 100)
    store = StoreFolder(tmp_path)
    assert [store.has(digest, 100) for digest in (old, middle, new)] == [False, True, True]


def test_what_a_command_reads_counts_as_used(tmp_path: Path) -> None:
    old, middle, _ = filled(tmp_path, b"a" * 100, b"b" * 100, b"c" * 100)
    store = StoreFolder(tmp_path)
    with store.hold():
        assert store.get(old, 100) == b"a" * 100
    assert [item.name for item in collect(store, 250).removed] == [middle.hex]


def test_a_command_that_does_not_hold_the_store_changes_no_time(tmp_path: Path) -> None:
    (digest,) = filled(tmp_path, b"a" * 100)
    StoreFolder(tmp_path).get(digest, 100)
    assert file_of(tmp_path, digest).stat().st_mtime == 0


def test_a_store_within_its_limit_keeps_everything(tmp_path: Path) -> None:
    filled(tmp_path, b"a" * 100, b"b" * 100)
    assert collect(StoreFolder(tmp_path), 200).removed == ()


def test_a_dry_run_names_the_same_files_and_removes_nothing(tmp_path: Path) -> None:
    filled(tmp_path, b"a" * 100, b"b" * 100)
    planned = collect(StoreFolder(tmp_path), 0, dry_run=True)
    assert len(items(StoreFolder(tmp_path))) == 2
    assert [item.shown for item in collect(StoreFolder(tmp_path), 0).removed] == [
        item.shown for item in planned.removed
    ]
    assert items(StoreFolder(tmp_path)) == []


def test_nothing_is_removed_from_a_store_that_a_command_is_using(tmp_path: Path) -> None:
    (digest,) = filled(tmp_path, b"a" * 100)
    builder = StoreFolder(tmp_path)
    with builder.hold():
        with pytest.raises(InUse, match="another command is using the store"):
            collect(StoreFolder(tmp_path), 0)
        assert collect_if_free(StoreFolder(tmp_path), 0) is None
        assert builder.has(digest, 100)
    assert len(collect(StoreFolder(tmp_path), 0).removed) == 1


def test_a_command_that_makes_the_store_holds_it_from_its_first_write(tmp_path: Path) -> None:
    builder = StoreFolder(tmp_path / "store")
    with builder.hold():
        assert not (tmp_path / "store").exists()
        builder.put(b"a")
        with pytest.raises(InUse):
            collect(StoreFolder(tmp_path / "store"), 0)


def test_two_builders_hold_a_store_together(tmp_path: Path) -> None:
    filled(tmp_path, b"a")
    one, other = StoreFolder(tmp_path), StoreFolder(tmp_path)
    with one.hold(), other.hold():
        digest = one.put(b"b")
        assert other.get(digest, 1) == b"b"


def test_results_and_batches_go_as_blobs_do(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    store.put_result(KEY, b"result")
    store.put_result_soon(digest_of({"b": 1}), b"one of many")
    store.settle()
    assert {item.kind for item in collect(store, 0).removed} == {"result", "batch"}
    assert StoreFolder(tmp_path).get_result(KEY) is None
    assert StoreFolder(tmp_path).get_result(digest_of({"b": 1})) is None


@pytest.mark.parametrize("damage", [b"", b"a" * 99, b"b" * 100, b"a" * 101])
def test_a_check_names_each_damaged_blob_and_removes_it(tmp_path: Path, damage: bytes) -> None:
    bad, good = filled(tmp_path, b"a" * 100, b"c" * 100)
    overwrite(file_of(tmp_path, bad), damage)
    done = check(StoreFolder(tmp_path))
    assert done.damaged == (f"blobs/{bad.hex[:2]}/{bad.hex}",)
    assert done.files == 2
    store = StoreFolder(tmp_path)
    assert not store.has(bad, 100)
    assert store.get(good, 100) == b"c" * 100
    assert check(store).damaged == ()


def test_a_damaged_blob_on_a_medium_that_is_read_only_is_said_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    digests = filled(tmp_path, b"a" * 100, b"c" * 100, b"d" * 100)
    bad = sorted(digests, key=str)[:2]
    for digest in bad:
        overwrite(file_of(tmp_path, digest), b"b" * 100)
    monkeypatch.setattr(blobs.os, "rename", refuse)
    said = r"copy is damaged: want 100 .*; it cannot be written: read-only"
    with pytest.raises(WorldFailed, match=said) as told:
        StoreFolder(tmp_path).get(bad[0], 100)
    assert told.value.where == str(file_of(tmp_path, bad[0]))
    done = check(StoreFolder(tmp_path))
    assert done.damaged == tuple(f"blobs/{digest.hex[:2]}/{digest.hex}" for digest in bad), "the first hides no other"
    assert done.stuck is not None
    assert re.search(said, str(done.stuck))


@pytest.mark.parametrize("upkeep", [check, items, lambda store: collect(store, 0)])
def test_a_file_in_the_place_of_a_store_is_no_empty_store(
    upkeep: Callable[[StoreFolder], object], tmp_path: Path
) -> None:
    (tmp_path / "store").write_bytes(b"mine")
    with pytest.raises(WorldFailed, match="store: not a directory"):
        upkeep(StoreFolder(tmp_path / "store"))


def test_a_check_names_a_damaged_result_and_a_blob_in_another_s_place(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    store.put_result(KEY, b"result")
    record = file_of(tmp_path, KEY)
    overwrite(record, record.read_bytes()[:-1])
    misplaced = tmp_path / "blobs" / "aa" / ("b" * 64)
    misplaced.parent.mkdir(parents=True)
    misplaced.write_bytes(b"x")
    assert set(check(store).damaged) == {f"results/{KEY.hex[:2]}/{KEY.hex}", f"blobs/aa/{'b' * 64}"}
    assert not record.exists()
    assert not misplaced.exists()


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("place", ["blobs/aa/thesis.txt", "blobs/mine/" + "a" * 64, "results/2024/notes", "batches/x"])
def test_what_no_store_made_is_left_alone(place: str, tmp_path: Path) -> None:
    filled(tmp_path, b"a" * 100)
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"mine")
    assert check(StoreFolder(tmp_path)).damaged == ()
    assert [item.kind for item in collect(StoreFolder(tmp_path), 0).removed] == ["blob"]
    assert file.read_bytes() == b"mine"


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("place", ["blobs", "results", "batches", "blobs/aa"])
def test_a_link_in_a_store_leads_no_upkeep_to_the_files_of_others(place: str, tmp_path: Path) -> None:
    """As root, a store whose folder was a link to /etc took every file there with it."""
    root, others = tmp_path / "store", tmp_path / "etc"
    filled(root, b"a" * 100)
    (others / "aa").mkdir(parents=True)
    for name in ("passwd", "a" * 64, "000000000000", "aa/" + "a" * 64):
        (others / name).write_bytes(b"others")
    link = root / place
    if link.exists():
        shutil.rmtree(link)
    link.symlink_to(others)
    for upkeep in (check, lambda store: collect(store, 0), items):
        with pytest.raises(WorldFailed, match=f"{place}: is a link"):
            upkeep(StoreFolder(root))
    assert sum(1 for file in others.rglob("*") if file.is_file()) == 4


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("place", ["blobs/aa/" + "a" * 64, "results/bb/" + "b" * 64, "batches/000000000007"])
def test_a_check_names_what_stands_in_the_place_of_a_file(tmp_path: Path, place: str, kind: str) -> None:
    """A store whose every blob was a link to nowhere was whole, and one with folders for blobs stopped each build."""
    root, file = tmp_path / "store", tmp_path / "store" / place
    file.parent.mkdir(parents=True)
    (tmp_path / "mine").write_bytes(b"mine")
    if kind == "link":
        file.symlink_to(tmp_path / "mine")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    done = check(StoreFolder(root))
    assert done.damaged == (place,)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    if kind == "folder":
        assert str(done.stuck) == f"{file}: is a directory"
        assert file.is_dir()
    else:
        assert done.stuck is None
        assert check(StoreFolder(root)).damaged == ()


def test_a_batch_with_a_damaged_record_keeps_its_other_records(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    keys = [digest_of({"number": number}) for number in range(3)]
    for key in keys:
        store.put_result_soon(key, b"data of " + key.hex.encode())
    store.settle()
    (batch,) = (tmp_path / "batches").glob("0*")
    overwrite(batch, batch.read_bytes().replace(b"data of " + keys[1].hex.encode(), b"lies of " + keys[1].hex.encode()))
    assert check(StoreFolder(tmp_path)).damaged == ("batches: 1 of their records",)
    after = StoreFolder(tmp_path)
    assert [after.get_result(key) is not None for key in keys] == [True, False, True]
    assert check(after).damaged == ()


def test_a_batch_that_was_cut_off_goes(tmp_path: Path) -> None:
    store = StoreFolder(tmp_path)
    store.put_result_soon(KEY, b"data")
    store.settle()
    (batch,) = (tmp_path / "batches").glob("0*")
    overwrite(batch, batch.read_bytes()[:-1])
    assert check(StoreFolder(tmp_path)).damaged == ("batches: 1 of their records",)
    assert not batch.exists()


HUGE = 1 << 40  # a TiB of zeros that takes no room on the disk; to hash it takes ten minutes


def make_huge(file: Path, tail: bytes = b"") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        file.chmod(0o644)
    with file.open("wb") as stream:
        stream.seek(HUGE - len(tail))
        stream.write(tail)
        stream.truncate()


@pytest.fixture
def short_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let each read fail that takes 1 GiB at once, or comes after 1 GiB; return how many bytes each read got."""
    lengths: list[int] = []
    pread, preadv, read = os.pread, os.preadv, os.read

    def counted(length: int) -> int:
        lengths.append(length)
        assert sum(lengths) < 1 << 30, "a file that is too long was read"
        return length

    def one(number: int, size: int, place: int) -> bytes:
        counted(size)
        return pread(number, size, place)

    def filled(number: int, views: list[memoryview], place: int) -> int:
        return counted(preadv(number, views, place))

    monkeypatch.setattr(os, "pread", one)
    monkeypatch.setattr(os, "preadv", filled)
    monkeypatch.setattr(os, "read", lambda number, size: read(number, counted(size)))
    return lengths


@pytest.mark.usefixtures("short_reads")
@pytest.mark.parametrize("place", ["blobs/aa/" + "a" * 64, "results/bb/" + "b" * 64, "batches/000000000007"])
def test_a_file_that_is_longer_than_all_that_a_store_keeps_is_damaged_and_is_not_read(
    tmp_path: Path, place: str
) -> None:
    """A check hashed a sparse file of 1 TiB to its end; one in the place of a result was read into memory."""
    file = tmp_path / place
    make_huge(file)
    kind = "batches: 1 of their records" if place.startswith("batches") else place
    assert check(StoreFolder(tmp_path)).damaged == (kind,)
    assert not file.exists()
    assert check(StoreFolder(tmp_path)).damaged == ()


@pytest.mark.usefixtures("short_reads")
def test_a_huge_file_in_the_place_of_what_a_store_keeps_is_fetched_or_made_again(tmp_path: Path) -> None:
    """The message about a blob of another size told its digest, for which all of it was read."""
    store = StoreFolder(tmp_path)
    digest = store.put(b"a")
    store.put_result(KEY, b"result")
    for kept in (file_of(tmp_path, digest), file_of(tmp_path, KEY)):
        make_huge(kept)
    assert store.get_result(KEY) is None
    with pytest.raises(Damaged, match=f"want 1 bytes, got {HUGE};?$"):
        store.get(digest, 1)
    make_huge(tmp_path / "blobs" / digest.hex[:2] / digest.hex)
    with pytest.raises(Damaged, match=f"has {HUGE} bytes, the limit is "):
        store.get(digest, HUGE)
    make_huge(tmp_path / "blobs" / digest.hex[:2] / digest.hex)
    assert store.put(b"a") == digest
    store.put_result(KEY, b"result")
    assert (store.get(digest, 1), store.get_result(KEY)) == (b"a", b"result")


def test_nothing_useful_goes_for_a_file_that_is_longer_than_all_that_a_store_keeps(tmp_path: Path) -> None:
    """A sparse file of 1 TiB was the last to go, after the whole store."""
    filled(tmp_path, b"a" * 100, b"b" * 100)
    huge = Digest.of(b"huge")
    make_huge(tmp_path / "blobs" / huge.hex[:2] / huge.hex)
    assert [item.name for item in collect(StoreFolder(tmp_path), 250).removed] == [huge.hex]


@pytest.mark.usefixtures("short_reads")
@pytest.mark.parametrize("count", [1, 10**9])
def test_a_huge_batch_that_ends_as_a_batch_does_is_not_read(tmp_path: Path, count: int) -> None:
    """Its lines were read into memory, as many as its end names; and each record, as long as its line says."""
    line = b"%b %015d %015d\n" % (KEY.hex.encode(), 15, 1 << 39)
    make_huge(tmp_path / "batches" / "000000000007", line + b"cosmos-batch 1 %010d\n" % count)
    assert StoreFolder(tmp_path).get_result(KEY) is None
    assert check(StoreFolder(tmp_path)).damaged == ("batches: 1 of their records",)


@pytest.mark.usefixtures("short_reads")
def test_a_record_that_is_longer_than_any_result_is_missing(tmp_path: Path) -> None:
    file, size = tmp_path / "batches" / "000000000007", 4_000_000_000
    file.parent.mkdir(parents=True)
    line = b"%b %015d %015d\n" % (KEY.hex.encode(), 15, size - 1_000)
    with file.open("wb") as stream:
        stream.seek(size)
        stream.write(line + b"cosmos-batch 1 0000000001\n")
    assert StoreFolder(tmp_path).get_result(KEY) is None
    assert check(StoreFolder(tmp_path)).damaged == ("batches: 1 of their records",)


def test_a_store_keeps_nothing_that_its_readers_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "MAX_STORED_BYTES", Limit("MAX_STORED_BYTES", 10))
        patch.setattr(blobs, "MAX_RESULT_BYTES", Limit("MAX_RESULT_BYTES", 200))
        for keep in (store.put, lambda data: store.put_hashed_soon(Digest.of(data), data)):
            keep(b"a" * 10)
            with pytest.raises(Refused, match="would have 11, the limit is 10"):
                keep(b"a" * 11)
        for put in (store.put_result, store.put_result_soon):
            put(KEY, b"a" * 40)
            with pytest.raises(Refused, match="would have 201, the limit is 200"):
                put(KEY, b"a" * 41)
        store.settle()
    assert check(StoreFolder(tmp_path)).damaged == ()


def test_a_damaged_blob_is_told_from_other_refusals(tmp_path: Path) -> None:
    (digest,) = filled(tmp_path, b"a" * 100)
    overwrite(file_of(tmp_path, digest), b"b" * 100)
    with pytest.raises(Damaged):
        StoreFolder(tmp_path).get(digest, 100)
