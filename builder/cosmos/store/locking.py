"""Locks between processes, held by the kernel: a killed process holds none (flock(2)).

They are advisory: they keep one cosmos from another, not from a person. A child forked meanwhile holds nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cosmos.durable import blaming, make_folder
from cosmos.errors import WorldFailed

_POLL_SECONDS: Final = 0.05


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` alone for the block; `waiting` is called once if another process has it now."""
    with _opened(path) as number:
        if not _taken(number, fcntl.LOCK_EX):
            waiting()
            fcntl.flock(number, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_at_once(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` alone for the block, or raise `WorldFailed`: another process is at work on `what`."""
    with _opened(path) as number:
        if not _taken(number, fcntl.LOCK_EX):
            raise WorldFailed(what, "another cosmos is at work on it", hint="wait until it has ended")
        yield


@contextlib.contextmanager
def locked_in_time(path: Path, what: str, seconds: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path` alone for the block; while it is held it says which process that is.

    `waiting` is told once who has it now. Raises `WorldFailed`, naming that process, where `what` is not free in time.
    """
    with _opened(path) as number:
        end = time.monotonic() + seconds
        is_told = False
        while not _taken(number, fcntl.LOCK_EX):
            holder = os.pread(number, 32, 0).decode("ascii", "replace").strip() or "another process"
            if time.monotonic() >= end:
                raise WorldFailed(
                    what, f"process {holder} is at work on it, for more than {seconds:g} seconds", hint="wait for it"
                )
            if not is_told:
                waiting(holder)
                is_told = True
            time.sleep(_POLL_SECONDS)
        os.pwrite(number, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(number, 0)


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock file `path` together with others; waits while one holds it alone."""
    with _opened(path) as number:
        fcntl.flock(number, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone_if_free(path: Path) -> Iterator[bool]:
    """Give True and hold the lock file `path` alone for the block, or give False if any process has it."""
    with _opened(path) as number:
        yield _taken(number, fcntl.LOCK_EX)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    with blaming(path):
        make_folder(path.parent)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield number
    finally:
        fcntl.flock(number, fcntl.LOCK_UN)  # closing alone would leave it with children forked meanwhile
        os.close(number)


def _taken(number: int, kind: int) -> bool:
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
