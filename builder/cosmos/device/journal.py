"""The journal of the running transaction. Each line is on the disk before the step that it allows.

`model.journal` specifies the lines, and `device.transaction` the steps. `device.recovery` handles a journal that a cut
left. There is one journal, and only one cosmos at a time changes a system.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Literal, TypeAlias

from cosmos.device.history_file import next_line
from cosmos.device.recovery import journal_in_short, recover_journal, took_place
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.device.system import (
    JOURNAL_FOLDER,
    JOURNAL_PATH,
    LOCK_NAME,
    NEXT_UNIVERSE_PATH,
    SETTINGS_FOLDER,
    STATE_FOLDER,
    universe_bytes,
)
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, WorldFailed
from cosmos.keyring.anchors import CHAIN
from cosmos.limits import MAX_JOURNAL_BYTES, demand_within
from cosmos.locking import open_lock, take_at_once, take_in_time, unlock
from cosmos.model.changes import Change
from cosmos.model.history import StarChange
from cosmos.model.journal import Step, changes_line, committed_line, head_line, history_line, prepared_line, step_of
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.treepath import TreePath

Standing: TypeAlias = Literal["idle", "running", "interrupted", "committed", "unreadable", "unclear"]
"""What a change does. `interrupted`: it was cut off, and is undone next. `committed`: it was cut off, and is finished
next. `unreadable`: its journal is damaged, or another cosmos's. `unclear`: only the owner can tell whether it is
running or was cut off.
"""

_LINE_CHANGES: Final = 1_000  # in one line of the journal, so that a reader needs little memory for it
_MOMENT_SECONDS: Final = 0.5  # `status` holds the lock for a moment


class Journal:
    """The journal of the running transaction. `tag` is a part of the names of its temporary files.

    `command` is the name under which the history has the transaction.
    """

    def __init__(self, root: LiveRoot, descriptor: int, tag: str, command: str) -> None:
        self._root = root
        self._descriptor = descriptor
        self._tag = tag
        self._command = command
        self._steps = 0
        self._is_mount: dict[TreePath, bool] = {}
        self._append(head_line(tag, command))

    def record(self, star: str, changes: Sequence[Change]) -> list[Step]:
        """Return the steps of `changes`, which may be prepared now."""
        for start in range(0, len(changes), _LINE_CHANGES):
            piece = changes[start : start + _LINE_CHANGES]
            self._append(changes_line(star, piece, self._mounts_above(piece)))
        steps = [step_of(change, self._tag, number) for number, change in enumerate(changes, self._steps)]
        self._steps += len(steps)
        return steps

    def prepared(self) -> None:
        """Record that everything new is on the disk. From now on the paths themselves may change."""
        self._append(prepared_line())

    def commit(self, universe: bytes | None, stars: Sequence[StarChange] | None = None) -> None:
        """Make the changes final, then replace universe.toml by `universe`. After a cut, `recover_journal` goes on.

        `stars`: see `next_line`.
        """
        before = universe_bytes(self._root)
        if universe is None or universe == before:
            if self._steps:
                self._append(self._history(before, None, stars))
            self._append(committed_line(None))
            return
        self._root.replace_document(NEXT_UNIVERSE_PATH, universe)
        self._append(self._history(before, universe, stars))
        self._append(committed_line(Digest.of(universe)))
        self._root.replace_document(UNIVERSE_PATH, universe)

    def _history(self, before: bytes | None, after: bytes | None, stars: Sequence[StarChange] | None) -> bytes:
        line = next_line(self._root, command=self._command, paths=self._steps, before=before, after=after, stars=stars)
        return history_line(line)

    def _mounts_above(self, changes: Iterable[Change]) -> set[TreePath]:
        """Return the folders above `changes` at which something is mounted."""
        above = {folder for change in changes for folder in change.path.parents}
        for folder in above - self._is_mount.keys():
            self._is_mount[folder] = self._root.is_mount(folder)
        return {folder for folder in above if self._is_mount[folder]}

    def _append(self, line: bytes) -> None:
        with naming(JOURNAL_PATH):
            demand_within(os.fstat(self._descriptor).st_size + len(line), MAX_JOURNAL_BYTES, shown(JOURNAL_PATH))
            data = memoryview(line)
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)


@contextmanager
def journal(root: LiveRoot, *, tag: str, command: str) -> Iterator[Journal]:
    """Begin the journal of a transaction. The block does the transaction, with its commit at the end.

    `command` is the name of the command in the history: `install`, `update`, `repair`, …

    When the block ends or fails, the journal is cleared at once, as `recover_journal` does after a kill.
    """
    place = root.mapped_folder(JOURNAL_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder, naming(JOURNAL_PATH):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(JOURNAL_PATH.name, flags, 0o644, dir_fd=folder)
        os.fsync(folder)
    try:
        yield Journal(root, descriptor, tag, command)
    finally:
        os.close(descriptor)
        recover_journal(root)


@contextmanager
def at_work(root: LiveRoot, wait_seconds: float = 0) -> Iterator[None]:
    """Be the only cosmos that writes below this root, or raise `WorldFailed`. The kernel frees a dead process's lock.

    Every command that writes below a root holds this lock; the store has locks of its own. The lock file is for its
    owner alone, so that no other user can hold the lock. What killed writers left is removed first.
    """
    place = root.mapped_folder(STATE_FOLDER)
    root.make_folders(place)
    with root.folder(place) as folder, naming(STATE_FOLDER.joined(LOCK_NAME)):
        number = open_lock(folder, LOCK_NAME)
    try:
        if not take_in_time(number, "alone", max(wait_seconds, _MOMENT_SECONDS)):
            raise _other_at_work(root)
        for swept in (STATE_FOLDER, JOURNAL_FOLDER, SETTINGS_FOLDER, SETTINGS_FOLDER.joined(CHAIN.encode())):
            root.remove_half_written(swept)
        root.remove_empty_folder(root.mapped_folder(JOURNAL_FOLDER))
        yield
    finally:
        unlock(number)


@contextmanager
def looking(root: LiveRoot) -> Iterator[None]:
    """Raise `WorldFailed` in place of an error of the block, if another cosmos changed this system meanwhile.

    For a command that looks at a system without its lock: what it finds half done is no fault of the system, and what
    the error advises, such as to move a file away, would be one.
    """
    before = _stamp(root)
    try:
        yield
    except CosmosError as error:
        if not _has_changed(root, before):
            raise
        raise _other_at_work(root) from error


def _has_changed(root: LiveRoot, before: tuple[int, ...] | None) -> bool:
    try:
        return _stamp(root) != before or standing(root) == "running"
    except CosmosError:  # it cannot be looked at; what failed before says why
        return False


def _stamp(root: LiveRoot) -> tuple[int, ...] | None:
    """Return what tells one universe.toml from the next one, which is another file; None without one."""
    with suppress(CosmosError):
        found = root.stat(UNIVERSE_PATH)
        return None if found is None else (found.st_ino, found.st_ctime_ns, found.st_size)
    return None


def _other_at_work(root: LiveRoot) -> WorldFailed:
    hint = "wait until it has ended, then run this again"
    return WorldFailed(str(root.path), "another cosmos is at work on this system", hint=hint)


def standing(root: LiveRoot) -> Standing:
    """Return whether a change is running, or was cut off, and what the next one does about it."""
    if root.stat(JOURNAL_PATH) is None:
        return "idle"
    is_running = _is_held(root)
    if is_running is None:
        return "unclear"
    return "running" if is_running else standing_of_journal(root)


def standing_of_journal(root: LiveRoot) -> Literal["idle", "interrupted", "committed", "unreadable"]:
    """Return what the journal says, if no change is running."""
    try:
        found = journal_in_short(root)
    except Malformed:
        return "unreadable"
    if found is None:
        return "idle"
    return "committed" if took_place(root, found) else "interrupted"


def changing_command(root: LiveRoot) -> str:
    """Return the command whose change is running or was cut off; "" without such a change, or if nobody can tell."""
    try:
        found = journal_in_short(root)
    except Malformed:
        return ""
    return "" if found is None else found.command


def _is_held(root: LiveRoot) -> bool | None:
    """Return whether a process is at work on this system; None if only the owner of the lock file can tell."""
    with root.folder(root.mapped_folder(STATE_FOLDER)) as folder, naming(STATE_FOLDER.joined(LOCK_NAME)):
        try:
            number = os.open(LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return False
        except PermissionError:
            return None
    try:
        return not take_at_once(number, "shared")
    finally:
        unlock(number)
