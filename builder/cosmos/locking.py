"""Locks between processes, held by the kernel: a killed process holds none (flock(2)).

They are advisory: they keep out another cosmos, but not a person. A child process that is forked meanwhile does not
hold the lock.

Whoever can open a lock file can hold its lock for ever. So a lock file has mode 0600, and is the owner's: another user
cannot keep a command waiting. `open_lock` makes and checks it. The functions with `take` in their names take the lock
of a file that the caller has open; to close it frees the lock. The others work on a lock file by its path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.durable import blaming, make_folder, opened_folder
from cosmos.errors import WorldFailed

Hold: TypeAlias = Literal["alone", "shared"]
"""`alone` keeps every other process out; `shared` keeps out those that want to be alone."""

_KINDS: Final = {"alone": fcntl.LOCK_EX, "shared": fcntl.LOCK_SH}
_POLL_SECONDS: Final = 0.05
_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS: Final = 0o077  # the permissions of everybody but the owner


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


def open_lock(folder: int, name: str | bytes) -> int:
    """Return the lock file `name` in the open `folder`; makes it, for its owner alone, if it is missing.

    Raises `OSError`, also for what is no plain file, or belongs to neither this user nor the folder's owner.
    """
    what = f"the lock file {os.fsdecode(name)}"
    strange = OSError(errno.EINVAL, f"{what} is not a plain file of its own: remove it")
    try:
        number = os.open(name, _LOCK_FLAGS, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a socket
            raise strange from error
        raise
    try:
        held = os.fstat(number)
        if not stat.S_ISREG(held.st_mode) or held.st_nlink > 1:
            raise strange
        if held.st_uid not in (os.geteuid(), os.fstat(folder).st_uid):
            raise OSError(errno.EPERM, f"{what} belongs to user {held.st_uid}: remove it")
        if held.st_mode & _OTHERS:
            os.fchmod(number, 0o600)  # an older cosmos made it
    except BaseException:
        os.close(number)
        raise
    return number


def unlock(number: int) -> None:
    """Free the lock of the open file, and close it."""
    fcntl.flock(number, fcntl.LOCK_UN)  # closing alone would leave it with children forked meanwhile
    os.close(number)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    with blaming(path):
        make_folder(path.parent)
        with opened_folder(path.parent) as folder:
            number = open_lock(folder, path.name)
    try:
        yield number
    finally:
        unlock(number)
