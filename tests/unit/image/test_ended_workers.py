"""A worker that the system ends, as it does for lack of memory, is the machine's failure."""

from __future__ import annotations

import os
import signal
from typing import Any, cast

import pytest

from cosmos.errors import ScriptFailed, WorldFailed
from cosmos.image.workshop import staging
from cosmos.model.names import StarName
from fakes.stores import MemoryStore


class KilledWorkshop:
    store = MemoryStore()

    def make(self, *words: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FailingWorkshop:
    store = MemoryStore()

    def make(self, name: StarName, _layers: object) -> str:
        if name == "zlib":
            raise ScriptFailed("zlib 1.3", "its script stopped")
        return str(name)


class HungryWorkshop:
    store = MemoryStore()

    def make(self, *words: object) -> None:
        raise MemoryError


def test_a_worker_that_was_killed_is_told_with_the_way_out() -> None:
    with (
        pytest.raises(WorldFailed, match=r"^the build: one of its workers was ended from outside$") as caught,
        staging._workers(cast(Any, KilledWorkshop()), 2) as submit,
    ):
        submit({StarName("zlib"): {}}).result()
    assert caught.value.hint is not None
    assert "--jobs 1" in caught.value.hint


def test_a_worker_without_memory_says_so() -> None:
    with pytest.raises(MemoryError), staging._workers(cast(Any, HungryWorkshop()), 2) as submit:
        submit({StarName("zlib"): {}}).result()


@pytest.mark.parametrize("jobs", [1, 2])
def test_of_several_stars_that_a_worker_makes_the_one_that_fails_is_named(jobs: int) -> None:
    names = [StarName(name) for name in ("bash", "zlib", "curl")]
    with (
        pytest.raises(ScriptFailed, match=r"^zlib 1\.3: its script stopped$") as caught,
        staging._workers(cast(Any, FailingWorkshop()), jobs) as submit,
    ):
        submit({name: {} for name in names}).result()
    assert caught.value.star == "zlib"
