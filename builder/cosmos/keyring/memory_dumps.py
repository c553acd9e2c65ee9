"""Keep what this process holds in memory out of core files, and away from other processes of the same user."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def keep_secrets_in_memory() -> None:
    """Let no crash write this process's memory to a disk from here on: called before a secret is read.

    Two ways, for the limit alone does not reach a core_pattern that pipes into a program (core(5)). The second also
    keeps other processes of the same user from tracing this one (prctl(2), PR_SET_DUMPABLE). A program that this
    process starts is dumpable again; it is handed no secret.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
