"""`Sleeper`: the first process of a sandbox that bwrap has finished, before and while the program runs."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, Self

from cosmos.errors import WorldFailed
from cosmos.records import dataclass
from cosmos.sandbox.bubble_probe import Process

END_SECONDS: Final = 20  # for the kernel to end everything that a program left


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleeper:
    """The first process of a finished sandbox, a child of bwrap. The whole sandbox ends with it."""

    number: int
    process: Process
    pidfd: int
    opened: ExitStack

    @classmethod
    def found(cls, said: bytes, parent: int) -> Self | None:
        """Return the process that bwrap names in `said`, as soon as bwrap has; raises `OSError` if it is gone.

        Its folder and its descriptor surely mean this process: it is still a child of `parent` after both were opened.
        """
        if not said.rstrip().endswith(b"}"):
            return None
        number = int(json.loads(said)["child-pid"])
        with ExitStack() as opened:
            process = Process(folder=opened.enter_context(opened_folder(f"/proc/{number}")))
            pidfd = os.pidfd_open(number)
            opened.callback(os.close, pidfd)
            if not process.is_child(parent):
                return None
            return cls(number=number, process=process, pidfd=pidfd, opened=opened.pop_all())

    def end(self, where: str) -> None:
        """Kill the sandbox and wait until it is gone; raises `WorldFailed`."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(END_SECONDS * 1000):
            raise WorldFailed(where, f"a program of the sandbox still runs {END_SECONDS} seconds after it was killed")


@contextmanager
def opened_folder(path: str, folder: int | None = None) -> Iterator[int]:
    """Give an open descriptor of a folder, which is no link. Raises `OSError`."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield number
    finally:
        os.close(number)
