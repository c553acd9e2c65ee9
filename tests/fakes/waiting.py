"""Wait for a condition that comes true soon, on a machine that may be busy.

A test fails by a clock only if a step takes twenty times as long as on a quiet machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

LONG_SECONDS = 200  # for what takes ten at the most; a test that passes never waits so long


def soon(is_so: Callable[[], bool]) -> bool:
    """Return whether `is_so` becomes true before a long time has passed."""
    deadline = time.monotonic() + LONG_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def soon_gone(pid: int) -> bool:
    """Return whether the process ends before a long time has passed."""
    return soon(lambda: not is_alive(pid))


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a child process and return its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child
