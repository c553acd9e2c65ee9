"""Locks between processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.locking import Hold, alone, alone_if_free, locked_in_time, shared, take, take_at_once, take_in_time
from fakes.waiting import LONG_SECONDS


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", list[str]()
    ready, go = os.pipe()
    with locked_in_time(path, "it", 60, said.append):
        child = os.fork()
        if child == 0:
            with locked_in_time(path, "it", 60, lambda holder: os.write(go, b"w") and None):
                os.write(go, b"h")
            os._exit(0)
        assert os.read(ready, 1) == b"w"
    assert os.read(ready, 1) == b"h"
    os.waitpid(child, 0)
    assert said == []


def test_who_wants_to_be_alone_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    ready, go = os.pipe()
    with shared(path):
        child = os.fork()
        if child == 0:
            os.write(go, b"w")
            with alone(path):
                os.write(go, b"h")
            os._exit(0)
        assert os.read(ready, 1) == b"w"
        time.sleep(0.05)
        os.set_blocking(ready, False)
        with pytest.raises(BlockingIOError):
            os.read(ready, 1)
        os.set_blocking(ready, True)
    assert os.read(ready, 1) == b"h"
    os.waitpid(child, 0)


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "second name"])
def test_a_lock_file_that_is_something_else_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    path = tmp_path / "users"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("file")
    else:
        path.hardlink_to(tmp_path / "file")
    with pytest.raises(WorldFailed, match="the lock file users is not a plain file of its own: remove it"), alone(path):
        pass


def test_work_that_cannot_wait_is_refused_at_once(tmp_path: Path) -> None:
    with (
        locked_in_time(tmp_path / "lock", "the universe", 0, lambda holder: None),
        pytest.raises(WorldFailed, match=f"the universe: process {os.getpid()} is at work on it"),
        locked_in_time(tmp_path / "lock", "the universe", 0, lambda holder: None),
    ):
        pytest.fail("two held it")


def test_readers_share_and_keep_out_whoever_wants_to_be_alone(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"), shared(tmp_path / "lock"), alone_if_free(tmp_path / "lock") as is_alone:
        assert not is_alone
    with alone_if_free(tmp_path / "lock") as is_alone:
        assert is_alone


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        with alone_if_free(tmp_path / "lock"):
            os.write(go, b"h")
            signal.pause()
    assert os.read(ready, 1) == b"h"
    with alone_if_free(tmp_path / "lock") as is_alone:
        assert not is_alone
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with alone_if_free(tmp_path / "lock") as is_alone:
        assert is_alone


@pytest.mark.parametrize(
    ("held", "wanted", "is_free"),
    [("alone", "alone", False), ("alone", "shared", False), ("shared", "alone", False), ("shared", "shared", True)],
)
def test_what_one_holds_decides_what_another_gets(tmp_path: Path, held: Hold, wanted: Hold, is_free: bool) -> None:
    one, other = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    take(one, held)
    assert take_at_once(other, wanted) == is_free
    assert take_in_time(other, wanted, 0) == is_free
    os.close(one)
    assert take_at_once(other, wanted)
    os.close(other)


def test_a_lock_that_stays_held_is_given_up_in_time(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    take(one, "alone")
    began = time.monotonic()
    assert not take_in_time(other, "alone", 0.2)
    assert time.monotonic() - began >= 0.2
    os.close(one)
    os.close(other)


def test_a_lock_that_becomes_free_in_time_is_taken(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    take(one, "alone")
    waits, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(waits, 1)
        time.sleep(0.2)  # so that the other one has begun to wait
        os._exit(0)
    os.close(one)  # the child still has it open
    assert not take_at_once(other, "alone")
    os.write(go, b"g")
    assert take_in_time(other, "alone", LONG_SECONDS)
    os.waitpid(child, 0)
    for number in (other, waits, go):
        os.close(number)


def test_a_child_that_was_forked_meanwhile_holds_nothing(tmp_path: Path) -> None:
    ready, go = os.pipe()
    with alone_if_free(tmp_path / "lock"):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)
            os._exit(0)
    with alone_if_free(tmp_path / "lock") as is_alone:
        assert is_alone
    os.close(go)
    os.waitpid(child, 0)
