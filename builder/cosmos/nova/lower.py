"""`Lower`: what a script sees below its own layer, the layers of its star's dependencies.

One piece of code answers the running script (`nova.virtual_root`) and whoever asks later whether the script would see
the same again (`Receipt.changed`), so that the two cannot come to differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath


class Lower:
    """A tree that is only looked at. Folders that nobody names and that something lies in are there: `0755 0 0`."""

    def __init__(self, entries: Mapping[TreePath, Entry], epoch: int = 0) -> None:
        self._entries = entries
        self._epoch = epoch
        self._order: list[TreePath] | None = None
        self._paths: list[TreePath] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, path: TreePath) -> Entry | None:
        """Return what lies at `path`, no symlink followed."""
        entry = self._entries.get(path)
        if entry is None and path and self._holds_below(path):
            return implied_folder(path, self._epoch)
        return entry

    def paths(self, folder: TreePath) -> list[TreePath]:
        """Return the paths below `folder` in byte order, folders that nobody names among them."""
        if self._paths is None:
            folders = {parent for path in self._entries for parent in path.parents}
            self._paths = sorted({*self._entries, *folders})
        if folder == ROOT:
            return self._paths
        first = bisect_left(self._paths, folder + b"/")
        return self._paths[first : bisect_left(self._paths, folder + b"0")]  # "0" is what follows "/"

    def _holds_below(self, path: TreePath) -> bool:
        if not self._entries:
            return False
        if self._order is None:
            self._order = sorted(self._entries)
        prefix = path + b"/"
        place = bisect_left(self._order, prefix)
        return place < len(self._order) and self._order[place].startswith(prefix)


def implied_folder(path: TreePath, epoch: int) -> Entry:
    """Return the folder that must be at `path` because something lies below it."""
    return Entry(path=path, kind="dir", mode=0o755, mtime=epoch)
