"""Locks between processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.store.locking import alone_if_free, locked, locked_at_once, shared


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", []
    ready, go = os.pipe()
    with locked(path, lambda: said.append("never")):
        child = os.fork()
        if child == 0:
            with locked(path, lambda: os.write(go, b"w") and None):
                os.write(go, b"h")
            os._exit(0)
        assert os.read(ready, 1) == b"w"
    assert os.read(ready, 1) == b"h"
    os.waitpid(child, 0)
    assert said == []


def test_work_that_cannot_wait_is_refused_at_once(tmp_path: Path) -> None:
    with (
        locked_at_once(tmp_path / "lock", "the universe"),
        pytest.raises(WorldFailed, match="the universe: another cosmos is at work on it"),
        locked_at_once(tmp_path / "lock", "the universe"),
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
        with locked_at_once(tmp_path / "lock", "it"):
            os.write(go, b"h")
            signal.pause()
    assert os.read(ready, 1) == b"h"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked_at_once(tmp_path / "lock", "it"):
        pass
