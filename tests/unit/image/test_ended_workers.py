"""A worker that the system ends, as it does for lack of memory, is the machine's failure."""

from __future__ import annotations

import os
import signal
from typing import Any, cast

import pytest

from cosmos.errors import WorldFailed
from cosmos.image.workshop import staging
from cosmos.model.names import StarName


class KilledWorkshop:
    def make(self, *words: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class HungryWorkshop:
    def make(self, *words: object) -> None:
        raise MemoryError


def test_a_worker_that_was_killed_is_told_with_the_way_out() -> None:
    with (
        pytest.raises(WorldFailed, match=r"^the build: one of its workers was ended from outside$") as caught,
        staging._workers(cast(Any, KilledWorkshop()), 2) as submit,
    ):
        submit(StarName("zlib"), {}).result()
    assert caught.value.hint is not None
    assert "--jobs 1" in caught.value.hint


def test_a_worker_without_memory_says_so() -> None:
    with pytest.raises(MemoryError), staging._workers(cast(Any, HungryWorkshop()), 2) as submit:
        submit(StarName("zlib"), {}).result()
