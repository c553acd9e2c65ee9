"""A server that drips, and a clock that goes on with its drops: nobody waits, and a busy machine is not too slow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from cosmos.transport.wire import Patience
from fakes.http_servers import Answer
from fakes.waiting import LONG_SECONDS

DRIPPED_SECONDS = 20  # of a `DripClock`: the client has had a drop long before


class DripClock:
    """The clock of a client: when it looks, a second has passed if a drop was sent since it looked before."""

    def __init__(self) -> None:
        self.now = 0.0
        self._has_dripped = self._is_over = False

    def dripping(self, before: bytes, drops: Iterable[bytes]) -> Answer:
        """Send `before`, and then a drop every millisecond for as long as a test may take."""

        def answer(head: bytes) -> Iterator[bytes]:
            yield before
            end = time.monotonic() + LONG_SECONDS
            for drop in drops:
                if self._is_over or time.monotonic() > end:
                    return
                yield drop
                self._has_dripped = True
                time.sleep(0.001)

        return answer

    def look(self) -> float:
        """Return the time."""
        if self._has_dripped:
            self._has_dripped = False
            self.now += 1
        return self.now

    def close(self) -> None:
        """Stop to drip. A server whose drops are empty does not notice that the client hangs up."""
        self._is_over = True


@contextmanager
def drip_clock() -> Iterator[DripClock]:
    """Give a clock that the downloads of this block go by."""
    clock = DripClock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cosmos.transport.http.Patience", partial(Patience, clock=clock.look))
        patched.setattr("cosmos.transport.wire.HTTP_STOP_SECONDS", 0.005)  # of one wait, before the next look
        yield clock
    clock.close()
