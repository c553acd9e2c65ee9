"""`IndexedTree`: a read-only tree: a star's archive, or the layers below a script's own layer.

It finds the entries below a path without a walk through the whole tree. The running script (`nova.virtual_root`) and
the later check of its reads (`Receipt.changed`) use this same code, so that they cannot differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath

IMPLIED_MODE: Final = 0o755  # of a folder that no entry names


class IndexedTree:
    """Entries by path. A folder that no entry names, but that holds entries, exists as `0755 0 0`."""

    def __init__(self, entries: Mapping[TreePath, Entry], epoch: int = 0) -> None:
        self._entries = entries
        self._epoch = epoch
        self._order: list[TreePath] | None = None
        self._paths: list[TreePath] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def named(self, path: TreePath) -> Entry | None:
        """Return the entry of the tree at `path`; None for a folder that is only implied."""
        return self._entries.get(path)

    def entry_at(self, path: TreePath) -> Entry | None:
        """Return the entry at `path`, without following a symlink."""
        entry = self._entries.get(path)
        if entry is None and path and self._holds_below(path):
            return implied_folder(path, self._epoch)
        return entry

    def entries(self, folder: TreePath) -> list[Entry]:
        """Return the entries below `folder`, in byte order."""
        return [self._entries[path] for path in _below(self._ordered(), folder)]

    def paths(self, folder: TreePath) -> Sequence[TreePath]:
        """Return the paths below `folder` in byte order, with implied folders."""
        if self._paths is None:
            folders = {parent for path in self._entries for parent in path.parents}
            self._paths = sorted({*self._entries, *folders})
        return _below(self._paths, folder)

    def _ordered(self) -> list[TreePath]:
        if self._order is None:
            self._order = sorted(self._entries)
        return self._order

    def _holds_below(self, path: TreePath) -> bool:
        if not self._entries:
            return False
        order, prefix = self._ordered(), path + b"/"
        place = bisect_left(order, prefix)
        return place < len(order) and order[place].startswith(prefix)


def implied_folder(path: TreePath, epoch: int) -> Entry:
    """Return the folder that `path` must be, because an entry lies below it."""
    return Entry(path=path, kind="dir", mode=IMPLIED_MODE, mtime=epoch)


def _below(order: list[TreePath], folder: TreePath) -> list[TreePath]:
    if folder == ROOT:
        return order
    first = bisect_left(order, folder + b"/")
    return order[first : bisect_left(order, folder + b"0")]  # "0" is what follows "/"
