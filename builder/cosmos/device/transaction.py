"""A transaction: changes to a live root that take place all together, or not at all.

    begin       the journal is opened (device.journal)
    prepare     every new entry is written under a temporary name beside its path; new folders are made
    publish     everything is on the disk: each path changes in one step
                  place           the temporary is renamed; a taken name is an error
                  replace         the two change names: the old entry is kept as the temporary
                  remove          the entry gets the temporary's name; a folder stays until the commit
                  attributes      are set
    commit      all changes are on the disk: the journal says so, and universe.toml is replaced
    finish      what was kept of the old is removed, then the journal (device.recovery)

The journal knows of each of these before it begins. Before the commit everything is undone, after it everything is
finished: by `device.recovery`, at once where the transaction fails, or by the next command where it was killed.

A temporary lies in the folder of its path: a rename cannot leave a file system, and /usr and /var may be two of them.
It is made with O_EXCL | O_NOFOLLOW. Nothing is ever written over. A full disk is noticed while no path has changed yet.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, assert_never

from cosmos.device.journal import Journal
from cosmos.device.live_entries import (
    found_attributes,
    found_identity,
    identity_of,
    is_same,
    make_entry,
    make_folder,
    same_attributes,
    set_attributes,
    set_time,
)
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.digest import Digest
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.changes import Change, Identity, Place, Remove, Replace, SetAttributes
from cosmos.model.journal import Step
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, caseless

_NO_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Changes that are prepared together. `entries` are what is placed and what replaces something, by path.

    Of folders, the outer one comes first. Where a hard link's target is among `entries`, it comes before the link.
    """

    star: str
    changes: Sequence[Change]
    entries: Mapping[TreePath, Entry]

    @classmethod
    def placing(cls, star: str, folders: Iterable[Entry], entries: Iterable[Entry]) -> Self:
        """Return what places `folders`, outermost first, and then everything else of `star`."""
        new = {entry.path: entry for entry in (*folders, *entries)}
        return cls(star=star, changes=placements(new), entries=new)


def placements(entries: Mapping[TreePath, Entry]) -> list[Change]:
    """Return the changes that place `entries`, a hard link after the file that it shares."""
    digests: dict[bytes, Digest] = {}
    changes = list[Change]()
    for entry in entries.values():
        new = identity_of(entry, digests[entry.target] if entry.kind == "hardlink" else None)
        digests[bytes(entry.path)] = new.digest
        changes.append(Place(path=entry.path, new=new))
    return changes


class Transaction:
    """One transaction, of all stars together."""

    def __init__(self, root: LiveRoot, journal: Journal) -> None:
        self._root = root
        self._journal = journal
        self._steps: dict[TreePath, Step] = {}
        self._folders: list[Entry] = []
        self.unowned = 0  # entries whose owner or capability only root could have set

    def prepare(self, batch: Batch) -> None:
        """Write everything new of `batch` under temporary names, after the journal knows of it."""
        self._demand_once(batch.changes)
        steps = self._journal.record(batch.star, batch.changes)
        self._steps |= {step.change.path: step for step in steps}
        for step in steps:
            match step.change:
                case Place() if step.change.new.kind == "dir":
                    folder = batch.entries[step.change.path]
                    self.unowned += make_folder(self._root, folder)
                    self._folders.append(folder)
                case Place() | Replace():
                    self._make(batch.entries[step.change.path], step.temporary)
                case Remove() | SetAttributes():
                    pass
                case _:
                    assert_never(step.change)

    def publish(self) -> None:
        """Change every path. Raises `NoSolution` where one is not what it was when the transaction was planned."""
        self._sync()
        self._journal.prepared()
        for step in self._steps.values():
            self._publish(step)
        for folder in reversed(self._folders):
            set_time(self._root, folder)
        self._sync()

    def commit(self, universe: bytes | None) -> None:
        """Make the changes final, and replace universe.toml by the document `universe`, unless it stays as it is."""
        self._journal.commit(universe)

    def _demand_once(self, changes: Iterable[Change]) -> None:
        paths = [change.path for change in changes]
        if len({*paths}) != len(paths) or any(path in self._steps for path in paths):
            raise ValueError("a transaction changes each path once")

    def _make(self, entry: Entry, temporary: bytes) -> None:
        linked = self._lies_at(TreePath(entry.target)) if entry.kind == "hardlink" else entry.path
        with self._root.folder(entry.path.parent) as folder, naming(entry.path):
            self.unowned += make_entry(self._root, folder, temporary, entry, linked)

    def _lies_at(self, path: TreePath) -> TreePath:
        """Return where the new entry of `path` lies before it is published; `path` itself where it stays."""
        step = self._steps.get(path)
        if step is None or not isinstance(step.change, Place | Replace):
            return path
        return path.parent.joined(step.temporary)

    def _publish(self, step: Step) -> None:
        change = step.change
        match change:
            case Place():
                if change.new.kind != "dir":
                    self._place(change.path, step.temporary)
            case Replace():
                self._exchange(change.path, step.temporary)
                self._demand_old(change.path, step.temporary, change.old)
            case Remove():
                if change.old.kind != "dir":
                    self._set_aside(change.path, step.temporary)
                    self._demand_old(change.path, step.temporary, change.old)
            case SetAttributes():
                found = found_attributes(self._root, change.path, change.kind)
                if found is None or not same_attributes(self._root, found, change.old, change.kind):
                    raise _changed_meanwhile(change.path)
                self.unowned += set_attributes(self._root, change.path, change.kind, change.old, change.new)
            case _:
                assert_never(change)

    def _place(self, path: TreePath, temporary: bytes) -> None:
        with self._root.folder(path.parent) as folder, naming(path):
            try:
                self._root.kernel.rename_new(folder, temporary, path.name)
            except FileExistsError as error:
                raise NoSolution(shown(path), self._in_its_way(path)) from error

    def _exchange(self, path: TreePath, temporary: bytes) -> None:
        with self._root.folder(path.parent) as folder, naming(path):
            try:
                self._root.kernel.exchange(folder, temporary, path.name)
            except FileNotFoundError as error:
                raise _changed_meanwhile(path) from error
            except OSError as error:
                if error.errno not in _NO_EXCHANGE:
                    raise
                raise WorldFailed(
                    shown(path),
                    "its file system cannot exchange two files in one step (RENAME_EXCHANGE)",
                    hint="keep the system on ext4, xfs, btrfs or another file system that can",
                ) from error

    def _set_aside(self, path: TreePath, temporary: bytes) -> None:
        with self._root.folder(path.parent) as folder, naming(path):
            try:
                self._root.kernel.rename_new(folder, path.name, temporary)
            except FileNotFoundError as error:
                raise _changed_meanwhile(path) from error

    def _demand_old(self, path: TreePath, temporary: bytes, old: Identity) -> None:
        """Raise `NoSolution` unless what is kept now is `old`. Only now nobody else can exchange it any more."""
        found = found_identity(self._root, path.parent.joined(temporary))
        if found is None or not is_same(self._root, found, old):
            raise _changed_meanwhile(path)

    def _in_its_way(self, path: TreePath) -> str:
        """Return why a name is taken that was free when the transaction was planned."""
        for other in self._steps:
            if other != path and caseless(other) == caseless(path):
                return f"this file system does not tell it from /{other.text}: the two differ by case alone"
        return "somebody made it while cosmos was at work"

    def _sync(self) -> None:
        """Bring every file system that was written to to its disk, each once."""
        seen = set[int]()
        for parent in sorted({path.parent for path in self._steps}):
            with self._root.folder(parent) as folder, naming(parent):
                device = os.fstat(folder).st_dev
                if device not in seen:
                    seen.add(device)
                    self._root.kernel.sync_file_system(folder)


def _changed_meanwhile(path: TreePath) -> NoSolution:
    return NoSolution(shown(path), "somebody changed it while cosmos was at work")
