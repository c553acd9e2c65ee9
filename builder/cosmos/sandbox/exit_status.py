"""The exit statuses by which a worker says why it ended. The first three are the sandbox's; a task may use the last."""

from __future__ import annotations

from cosmos.hints import Final

BROKEN: Final = 70  # it cannot go on
NO_MACHINE: Final = 71  # this architecture has no table of system calls
NO_LOCKS: Final = 72  # the kernel refused a lock
OUT_OF_MEMORY: Final = 73  # no memory was left
