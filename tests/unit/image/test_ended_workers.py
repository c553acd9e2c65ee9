"""A worker that the system ends, as it does for lack of memory, is the machine's failure."""

from __future__ import annotations

import os
import signal
from typing import Any, cast

import pytest

from cosmos.errors import WorldFailed
from cosmos.image.workshop import staging
from cosmos.model.names import StarName


def test_a_worker_that_was_killed_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_made", lambda *words: os.kill(os.getpid(), signal.SIGKILL))
    with (
        pytest.raises(WorldFailed, match=r"^the build: one of its workers was ended from outside$") as caught,
        staging._workers(cast(Any, None), 2) as submit,
    ):
        submit(StarName("zlib"), {}).result()
    assert caught.value.hint is not None
    assert "--jobs 1" in caught.value.hint


def test_a_worker_without_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*words: object) -> None:
        raise MemoryError

    monkeypatch.setattr(staging, "_made", hungry)
    with pytest.raises(MemoryError), staging._workers(cast(Any, None), 2) as submit:
        submit(StarName("zlib"), {}).result()
