"""The journal of the transaction that is going on: written line by line, each on the disk before the step it allows.

`model.journal` specifies the lines, `device.transaction` the steps, `device.recovery` what is done with a journal that
is found. There is one journal, and one cosmos at a time that changes a system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

from cosmos.device.recovery import settle, universe_digest
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.device.system import JOURNAL_FOLDER, JOURNAL_PATH, NEXT_UNIVERSE_PATH, STATE_FOLDER
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.limits import MAX_JOURNAL_BYTES, demand_within
from cosmos.locking import take_at_once, take_in_time
from cosmos.model.changes import Change
from cosmos.model.journal import Step, changes_line, committed_line, head_line, prepared_line, step_of
from cosmos.model.universe import UNIVERSE_PATH

Standing: TypeAlias = Literal["idle", "running", "interrupted"]


class Journal:
    """The journal of the transaction that is going on. `tag` stands in the names of its temporaries."""

    def __init__(self, root: LiveRoot, descriptor: int, tag: str) -> None:
        self._root = root
        self._descriptor = descriptor
        self._tag = tag
        self._steps = 0
        self._append(head_line(tag))

    def record(self, star: str, changes: Sequence[Change]) -> list[Step]:
        """Return the steps of `changes`, which may be prepared now."""
        self._append(changes_line(star, changes))
        steps = [step_of(change, self._tag, number) for number, change in enumerate(changes, self._steps)]
        self._steps += len(steps)
        return steps

    def prepared(self) -> None:
        """Allow the paths themselves to change: everything new is on the disk."""
        self._append(prepared_line())

    def commit(self, universe: bytes | None) -> None:
        """Make the changes final, then replace universe.toml by `universe`; where this is cut off, `settle` does it."""
        if universe is None or Digest.of(universe) == universe_digest(self._root):
            self._append(committed_line(None))
            return
        self._root.replace_document(NEXT_UNIVERSE_PATH, universe)
        self._append(committed_line(Digest.of(universe)))
        self._root.replace_document(UNIVERSE_PATH, universe)

    def _append(self, line: bytes) -> None:
        with naming(JOURNAL_PATH):
            demand_within(os.fstat(self._descriptor).st_size + len(line), MAX_JOURNAL_BYTES, shown(JOURNAL_PATH))
            data = memoryview(line)
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)


@contextmanager
def journal(root: LiveRoot, *, tag: str) -> Iterator[Journal]:
    """Begin the journal of a transaction; the block carries the transaction out, its commit last of all.

    When the block ends or fails, what the journal names is settled at once, as `settle` does after a kill.
    """
    place = root.mapped_folder(JOURNAL_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder, naming(JOURNAL_PATH):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(JOURNAL_PATH.name, flags, 0o644, dir_fd=folder)
        os.fsync(folder)
    try:
        yield Journal(root, descriptor, tag)
    finally:
        os.close(descriptor)
        settle(root)


@contextmanager
def at_work(root: LiveRoot, wait_seconds: float = 0) -> Iterator[None]:
    """Be the only cosmos that changes this system, or raise `WorldFailed`. The kernel forgets the lock of the dead."""
    place = root.mapped_folder(STATE_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder:
        if not take_in_time(folder, "alone", wait_seconds):
            hint = "wait until it has ended"
            raise WorldFailed(str(root.path), "another cosmos is at work on this system", hint=hint)
        yield


def standing(root: LiveRoot) -> Standing:
    """Return whether an installation is going on, or was cut off."""
    if root.stat(JOURNAL_PATH) is None:
        return "idle"
    with root.folder(root.mapped_folder(STATE_FOLDER)) as folder:
        return "interrupted" if take_at_once(folder, "shared") else "running"
