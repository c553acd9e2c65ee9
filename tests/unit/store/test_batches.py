"""Batches of results: each record its own or missing, whatever happens to the files and to those who write them."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import signal
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.folders import Folder
from cosmos.limits import MAX_WAITING_RESULT_SECONDS
from cosmos.store import batches as batches_module
from cosmos.store.blobs import StoreFolder
from fakes.waiting import forked


def key(number: int) -> Digest:
    return Digest.of(b"key %d" % number)


def settle(root: Path, results: dict[int, bytes]) -> None:
    """Keep results as one process does that runs to its end."""
    store = StoreFolder(root)
    for number, data in results.items():
        store.put_result_soon(key(number), data)
    store.settle()


def batches(root: Path) -> list[Path]:
    return sorted(path for path in (root / "batches").glob("*") if path.name != "lock")


def spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def large(number: int) -> bytes:
    """Return a result so large that the batch it is in is not taken into the next one."""
    return b"%d" % number * 3000


def test_the_format_is_the_one_that_its_module_states(tmp_path: Path) -> None:
    settle(tmp_path, {0: b"one", 1: b"two\n"})
    records = [
        b"cosmos-result 1 %b %b\n%b" % (key(number).encode(), Digest.of(data).encode(), data)
        for number, data in ((0, b"one"), (1, b"two\n"))
    ]
    places = [15, 15 + len(records[0])]
    lines = [
        b"%b %015d %015d\n" % (key(number).hex.encode(), places[number], len(records[number])) for number in (0, 1)
    ]
    whole = b"cosmos-batch 1\n" + b"".join(records) + b"".join(sorted(lines)) + b"cosmos-batch 1 0000000002\n"
    assert (tmp_path / "batches" / "000000000001").read_bytes() == whole
    assert (tmp_path / "batches" / "000000000001").stat().st_mode & 0o777 == 0o444


def test_a_changed_byte_makes_a_result_missing_and_never_another_one(tmp_path: Path) -> None:
    settle(tmp_path, {0: large(0)})
    settle(tmp_path, {1: b"one", 2: b"two", 3: b"three"})
    path = batches(tmp_path)[1]
    good = path.read_bytes()
    missing = 0
    for place in range(len(good)):
        spoil(path, good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        store = StoreFolder(tmp_path)
        for number, data in ((1, b"one"), (2, b"two"), (3, b"three")):
            found = store.get_result(key(number))
            assert found in (None, data)
            missing += found is None
        assert store.get_result(key(0)) == large(0)
    assert missing > len(good) // 2


def test_a_batch_that_is_cut_off_harms_only_itself(tmp_path: Path) -> None:
    settle(tmp_path, {0: large(0)})
    settle(tmp_path, {1: b"one", 2: b"two"})
    path = batches(tmp_path)[1]
    good = path.read_bytes()
    for length in range(len(good)):
        spoil(path, good[:length])
        store = StoreFolder(tmp_path)
        assert [store.get_result(key(number)) for number in range(3)] == [large(0), None, None]
    settle(tmp_path, {1: b"one", 2: b"two"})
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in range(3)] == [large(0), b"one", b"two"]
    assert not path.exists()


def test_a_folder_or_a_fifo_among_the_batches_harms_none_of_them(tmp_path: Path) -> None:
    settle(tmp_path, {1: b"one"})
    (tmp_path / "batches" / "000000000099").mkdir()
    os.mkfifo(tmp_path / "batches" / "000000000097")
    store = StoreFolder(tmp_path)
    assert (store.get_result(key(1)), store.get_result(key(2))) == (b"one", None)
    settle(tmp_path, {2: b"two"})
    store = StoreFolder(tmp_path)
    assert (store.get_result(key(1)), store.get_result(key(2))) == (b"one", b"two")


def test_lines_that_name_one_anothers_records_find_nothing(tmp_path: Path) -> None:
    settle(tmp_path, {1: b"one", 2: b"two"})
    path = batches(tmp_path)[0]
    one, two = (number.hex.encode() for number in (key(1), key(2)))
    whole = path.read_bytes()
    head, lines = whole[:-220], whole[-220:]
    swapped = lines.replace(one, b"x").replace(two, one).replace(b"x", two)
    spoil(path, head + swapped)
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [None, None]


def test_a_line_cannot_make_a_reader_take_more_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(tmp_path, {1: b"one"})
    path = batches(tmp_path)[0]
    spoil(path, re.sub(rb" [0-9]{15}\n", b" 999999999999999\n", path.read_bytes()))
    pread, most = os.pread, path.stat().st_size

    def bounded(number: int, size: int, place: int) -> bytes:
        assert size <= most
        return pread(number, size, place)

    monkeypatch.setattr(os, "pread", bounded)
    assert StoreFolder(tmp_path).get_result(key(1)) is None


def test_a_damaged_record_is_mended_by_keeping_it_again(tmp_path: Path) -> None:
    settle(tmp_path, {1: b"one", 2: large(2)})
    path = batches(tmp_path)[0]
    spoil(path, path.read_bytes().replace(b"\none", b"\nOne"))
    settle(tmp_path, {1: b"one", 2: large(2)})
    assert len(batches(tmp_path)) == 2
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [b"one", large(2)]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    settle(tmp_path, {1: b"one"})
    StoreFolder(tmp_path).put_result(key(2), b"two")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    settle(tmp_path, {1: b"one", 2: b"two"})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_results_of_older_stores_are_found_and_are_replaced_where_they_are(tmp_path: Path) -> None:
    StoreFolder(tmp_path).put_result(key(1), b"one")
    settle(tmp_path, {1: b"uno", 2: b"two"})
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [b"uno", b"two"]
    assert (tmp_path / "results" / key(1).hex[:2] / key(1).hex).read_bytes().endswith(b"\nuno")


def test_there_are_few_batches_and_of_each_key_the_newest_result(tmp_path: Path) -> None:
    dice = random.Random(5)
    kept: dict[int, bytes] = {}
    reader = StoreFolder(tmp_path)
    for turn in range(150):
        new = {dice.randrange(60): b"%d " % turn * dice.choice((1, 10, 1000)) for _ in range(dice.randrange(1, 5))}
        settle(tmp_path, new)
        kept |= new
        sizes = [path.stat().st_size for path in batches(tmp_path)]
        assert all(older >= 2 * newer for older, newer in pairwise(sizes))
        if turn % 10 == 0:
            fresh = StoreFolder(tmp_path)
            assert {number: fresh.get_result(key(number)) for number in kept} == kept
            assert all(reader.get_result(key(number)) is not None for number in kept)
    assert batches(tmp_path)[-1].name == "000000000150"


def test_no_batch_takes_others_until_its_readers_would_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "MAX_STORED_BYTES", 20_000)
    for number in range(60):
        settle(tmp_path, {number: b"%d" % number * 500})
    sizes = [path.stat().st_size for path in batches(tmp_path)]
    assert max(sizes) <= 20_000
    assert sum(size > 5_000 for size in sizes) > len(sizes) // 2, "they are still taken into others"
    store = StoreFolder(tmp_path)
    assert [store.get_result(key(number)) for number in range(60)] == [b"%d" % number * 500 for number in range(60)]


def test_a_reader_goes_on_while_batches_are_taken_into_others(tmp_path: Path) -> None:
    settle(tmp_path, {1: b"one"})
    reader = StoreFolder(tmp_path)
    assert reader.get_result(key(1)) == b"one"
    settle(tmp_path, {2: b"two"})
    assert [path.name for path in batches(tmp_path)] == ["000000000002"]
    assert [reader.get_result(key(number)) for number in (1, 2, 3)] == [b"one", b"two", None]


def test_what_has_waited_long_is_written_before_anyone_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(batches_module.time, "monotonic", lambda: clock[0])
    store = StoreFolder(tmp_path)
    store.put_result_soon(key(1), b"one")
    clock[0] += MAX_WAITING_RESULT_SECONDS
    store.put_result_soon(key(2), b"two")
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [None, None]
    clock[0] += 1
    store.put_result_soon(key(3), b"three")  # a kill from here on loses none of them
    found = [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2, 3)]
    assert found == [b"one", b"two", b"three"]


def test_very_much_is_written_before_anyone_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "MAX_WAITING_RESULT_BYTES", 20_000)
    store = StoreFolder(tmp_path)
    for number in range(40):
        store.put_result_soon(key(number), large(number)[:3000])
    other = StoreFolder(tmp_path)
    found = [other.get_result(key(number)) for number in range(40)]
    assert found == [*(large(number)[:3000] for number in range(35)), None, None, None, None, None]
    assert [store.get_result(key(number)) for number in range(40)] == [large(number)[:3000] for number in range(40)]


def test_a_full_disk_fails_as_the_world_and_what_waits_can_be_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path, {1: b"one"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = StoreFolder(tmp_path)
    store.put_result_soon(key(2), b"two")
    with monkeypatch.context() as patch, pytest.raises(WorldFailed, match="the disk is full"):
        patch.setattr(os, "fsync", full)
        store.settle()
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [b"one", None]
    assert list((tmp_path / "temporary").iterdir()) == []
    store.settle()
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [b"one", b"two"]


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_loses_nothing_that_was_settled(tmp_path: Path) -> None:
    def write_for_ever(first: int, said: int) -> None:
        store, number = StoreFolder(tmp_path), first
        while True:
            number += 1
            store.put_result_soon(key(number), b"%d" % number * 20_000)
            store.put_result_soon(key(0), b"%d" % number)
            store.settle()
            os.write(said, b"%d\n" % number)

    last = turn = 0
    settled: list[int] = []
    while turn < 30 or not settled:
        assert turn < 300, "the writers never got to write"
        reading, writing = os.pipe()
        child = forked(partial(write_for_ever, last, writing))
        os.close(writing)
        time.sleep(turn % 30 * 0.003 * 2 ** (turn // 30))  # a slow disk gets twice the time in each round
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with os.fdopen(reading, "rb") as stream:
            new = [int(line) for line in stream.read().splitlines()]
        settled += new
        last = max([last + 1, *settled])
        store = StoreFolder(tmp_path)
        for number in settled[-40:]:
            assert store.get_result(key(number)) == b"%d" % number * 20_000
        assert store.get_result(key(last + 100)) is None
        shared = store.get_result(key(0))
        assert not settled or (shared is not None and int(shared) >= settled[-1])
        turn += 1
    assert StoreFolder(tmp_path).sweep()
    large = sum(
        path.stat().st_size for path in batches(tmp_path)
    )  # of which kills left some beside those that hold them
    settle(tmp_path, {1_000_000: random.Random(1).randbytes(large)})
    assert len(batches(tmp_path)) == 1, "a writer takes all that are smaller"
    assert StoreFolder(tmp_path).get_result(key(settled[0])) == b"%d" % settled[0] * 20_000


def test_a_writer_that_is_killed_before_it_removes_what_it_took_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(tmp_path, {1: b"one", 2: b"two"})

    class Killed(BaseException):
        pass

    def die(folder: Folder, name: str) -> None:
        raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(Folder, "remove", die)
        settle(tmp_path, {1: b"uno"})
    assert len(batches(tmp_path)) == 2
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2)] == [b"uno", b"two"]
    settle(tmp_path, {3: b"three"})
    assert len(batches(tmp_path)) == 1
    assert [StoreFolder(tmp_path).get_result(key(number)) for number in (1, 2, 3)] == [b"uno", b"two", b"three"]


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        store = StoreFolder(tmp_path)
        for number in range(25):
            store.put_result_soon(key(1000 * writer + number), b"%d %d" % (writer, number) * (1 + number * writer))
            store.put_result_soon(key(0), b"%d" % number)
            store.settle()
            assert store.get_result(key(1000 * writer + number // 2)) is not None

    children = [forked(partial(write, writer)) for writer in (1, 2, 3, 4)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
    store = StoreFolder(tmp_path)
    for writer in (1, 2, 3, 4):
        for number in range(25):
            data = b"%d %d" % (writer, number) * (1 + number * writer)
            assert store.get_result(key(1000 * writer + number)) == data
    assert store.get_result(key(0)) is not None
    assert not any((tmp_path / "temporary").iterdir())


def test_a_record_is_found_however_often_its_batch_was_asked(tmp_path: Path) -> None:
    settle(tmp_path, {number: b"%d" % number for number in range(40)})
    store = StoreFolder(tmp_path)
    for number in (*range(50), *range(50)):  # the second time by the keys; there are 40 records
        assert store.get_result(key(number)) == (b"%d" % number if number < 40 else None)
