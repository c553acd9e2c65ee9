"""Locks between processes, held by the kernel: a killed process holds none (flock(2)).

They are advisory: they keep out another cosmos, but not a person. A child process that is forked meanwhile does not
hold the lock.

The first three functions take the lock of a file or folder that the caller has open; to close it frees the lock. The
others work on a lock file by its path.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.durable import blaming, make_folder
from cosmos.errors import WorldFailed

Hold: TypeAlias = Literal["alone", "shared"]
"""`alone` keeps every other process out; `shared` keeps out those that want to be alone."""

_KINDS: Final = {"alone": fcntl.LOCK_EX, "shared": fcntl.LOCK_SH}
_POLL_SECONDS: Final = 0.05


def take(descriptor: int, hold: Hold) -> None:
    """Take the lock of the open file `descriptor`; waits as long as others hold it."""
    fcntl.flock(descriptor, _KINDS[hold])


def take_at_once(descriptor: int, hold: Hold) -> bool:
    """Take the lock of the open file `descriptor` if it is free; return whether it was."""
    try:
        fcntl.flock(descriptor, _KINDS[hold] | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_in_time(descriptor: int, hold: Hold, seconds: float) -> bool:
    """Take the lock of the open file `descriptor`; return False if it is not free within `seconds`."""
    end = time.monotonic() + seconds
    while not take_at_once(descriptor, hold):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


@contextlib.contextmanager
def locked_in_time(path: Path, what: str, seconds: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path` alone for the block; the file names the process that holds it.

    `waiting` is called once with the process that holds it now. Raises `WorldFailed`, which names that process, if
    `what` is not free in time.
    """
    with _opened(path) as number:
        end = time.monotonic() + seconds
        is_told = False
        while not take_at_once(number, "alone"):
            holder = os.pread(number, 32, 0).decode("ascii", "replace").strip() or "another process"
            if time.monotonic() >= end:
                raise WorldFailed(
                    what,
                    f"process {holder} is at work on it, and has not ended in {seconds:g} seconds",
                    hint="wait until it has ended, then run the same command again",
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
    """Hold the lock file `path` together with others; waits while a process holds it alone."""
    with _opened(path) as number:
        take(number, "shared")
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone for the block; waits as long as others hold it."""
    with _opened(path) as number:
        take(number, "alone")
        yield


@contextlib.contextmanager
def alone_if_free(path: Path) -> Iterator[bool]:
    """Give True and hold the lock file `path` alone for the block, or give False if any process has it."""
    with _opened(path) as number:
        yield take_at_once(number, "alone")


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
