"""A transaction: changes to a live root that take place all together, or not at all.

    begin       the journal is opened (device.journal)
    prepare     every new entry is written under a temporary name beside its path; new folders are made
    publish     everything is on the disk: each path changes in one step
                  place           the temporary is renamed; a taken name is an error
                  replace         the two change names: the old entry is kept as the temporary; new folders come first
                                  and old folders last (device.turned_folders)
                  remove          the entry gets the temporary's name; a folder stays until the commit
                  attributes      are set
    commit      all changes are on the disk: the journal says so, and universe.toml is replaced
    finish      the old entries that were kept are removed, the history gets its line, and the journal is removed
                (device.recovery)

The journal records each step before it begins. `device.recovery` undoes everything before the commit, and finishes
everything after it: at once if the transaction fails, or in the next command if it was killed.

A temporary is in the folder of its path, because a rename cannot cross file systems, and /usr and /var may be on two.
It is made with O_EXCL | O_NOFOLLOW, so it never overwrites an entry. A full disk shows before any path has changed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from cosmos.device.turned_folders import TurnedFolders, turn_of
from cosmos.digest import Digest
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.changes import Change, Identity, Place, Remove, Replace, SetAttributes
from cosmos.model.history import StarChange
from cosmos.model.journal import Step, beside
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, caseless

_NO_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.EXDEV)  # EXDEV: a folder of an overlay's lower layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Changes that are prepared together. `entries` are the new entries by path: placed or replacing another.

    An outer folder comes before its inner folders. A hard link's target in `entries` comes before the link.
    """

    star: str
    changes: Sequence[Change]
    entries: Mapping[TreePath, Entry]

    @classmethod
    def placing(cls, star: str, folders: Iterable[Entry], entries: Iterable[Entry]) -> Self:
        """Return the batch that places `folders`, outermost first, and then the other entries of `star`."""
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
        self._turned = TurnedFolders()
        self._folders: list[Entry] = []
        self.unowned = 0  # entries whose owner or capability only root could have set

    def prepare(self, batch: Batch) -> None:
        """Write everything new of `batch` under temporary names, after the journal knows of it."""
        self._demand_once(batch.changes)
        steps = self._journal.record(batch.star, batch.changes)
        self._steps |= {step.change.path: step for step in steps}
        self._turned.add(steps)
        for step in steps:
            match step.change:
                case Place() | Replace() if step.change.new.kind == "dir":
                    folder = batch.entries[step.change.path]
                    place = folder.path if isinstance(step.change, Place) else beside(folder.path, step.temporary)
                    self.unowned += make_folder(self._root, replace(folder, path=self._turned.aside(place)))
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
        for step in sorted(self._steps.values(), key=turn_of, reverse=True):
            self._publish(step)
        for folder in reversed(self._folders):
            set_time(self._root, folder)
        self._sync()

    def commit(self, universe: bytes | None, stars: Sequence[StarChange] | None = None) -> None:
        """Make the changes final, and replace universe.toml by `universe`. None: universe.toml does not change.

        `stars` are the stars that change, for the history. Without them both universes are read for that.
        """
        self._journal.commit(universe, stars)

    def _demand_once(self, changes: Iterable[Change]) -> None:
        paths = [change.path for change in changes]
        if len({*paths}) != len(paths) or any(path in self._steps for path in paths):
            raise ValueError("a transaction changes each path once")

    def _make(self, entry: Entry, temporary: bytes) -> None:
        linked = self._lies_at(TreePath(entry.target)) if entry.kind == "hardlink" else entry.path
        with self._root.folder(self._turned.aside(entry.path).parent) as folder, naming(entry.path):
            self.unowned += make_entry(self._root, folder, temporary, entry, linked)

    def _lies_at(self, path: TreePath) -> TreePath:
        """Return the temporary path of the new entry of `path`; `path` itself if the entry does not move."""
        step = self._steps.get(path)
        if step is None or not isinstance(step.change, Place | Replace):
            return path
        return self._turned.aside(beside(path, step.temporary))

    def _publish(self, step: Step) -> None:
        change = step.change
        match change:
            case Place():
                if change.new.kind != "dir":
                    self._place(change.path, step.temporary)
            case Replace():
                self._exchange(change.path, step.temporary)
                self._demand_old(change.path, step.temporary, change.old)
                if change.takes_folder:
                    self._demand_emptied(change.path, change.path)
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
        """Raise `NoSolution` unless the kept entry is `old`. From now on nobody else can exchange it."""
        found = found_identity(self._root, beside(path, temporary))
        if found is None or not is_same(self._root, found, old):
            raise _changed_meanwhile(path)

    def _demand_emptied(self, turned: TreePath, folder: TreePath) -> None:
        """Raise `NoSolution` unless everything in the folder at `turned`, which has its temporary's name now, goes."""
        step = self._steps[turned]
        here = beside(turned, step.temporary) + folder[len(turned) :]
        going = {one.temporary for path, one in self._steps.items() if path.parent == folder}
        for name in self._root.names(TreePath(here)):
            below = folder.joined(name)
            held = self._steps.get(below)
            if held is not None and isinstance(held.change, Remove) and held.change.old.kind == "dir":
                self._demand_emptied(turned, below)
            elif name not in going:
                raise NoSolution(shown(below), "somebody made it while cosmos was at work")

    def _in_its_way(self, path: TreePath) -> str:
        """Return the reason why a name is taken now although it was free when the transaction was planned."""
        for other in self._steps:
            if other != path and caseless(other) == caseless(path):
                return f"this file system does not distinguish it from /{other.text}: they differ by case alone"
        return "somebody made it while cosmos was at work"

    def _sync(self) -> None:
        """Sync each changed file system to its disk, once."""
        seen = set[int]()
        for parent in sorted({path.parent for path in self._steps if self._turned.aside(path) == path}):
            with self._root.folder(parent) as folder, naming(parent):
                device = os.fstat(folder).st_dev
                if device not in seen:
                    seen.add(device)
                    self._root.kernel.sync_file_system(folder)


def _changed_meanwhile(path: TreePath) -> NoSolution:
    return NoSolution(shown(path), "somebody changed it while cosmos was at work")
