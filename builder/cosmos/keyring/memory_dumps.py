"""Keep what this process holds in memory out of core files, and away from other processes of the same user."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def keep_secrets_in_memory() -> None:
    """Forbid core dumps of this process from here on: call it before you read a secret.

    It does so in two ways. The resource limit alone does not stop a core_pattern that pipes into a program (core(5)).
    PR_SET_DUMPABLE does, and it also keeps other processes of the same user from tracing this one (prctl(2)). A program
    that this process starts is dumpable again, but it is given no secret.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
