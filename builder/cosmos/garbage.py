"""Say when Python may look for garbage: a collection looks at every young object, and most of a document's stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no collection of garbage begin in the block, which makes many objects out of a document, and no circles.

    A collection looks at all of them again and again: that takes a fifth of the time of reading an image's index.
    After the block they count as old. Else the next collection would look at all of them at once.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # what somebody else froze stays frozen
                gc.freeze()
                gc.unfreeze()  # from the frozen ones to the oldest: none is looked at
            gc.enable()
