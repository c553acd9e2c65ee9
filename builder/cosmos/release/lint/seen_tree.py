"""`SeenTree`: an image's entries without their contents, and where its links lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final

from cosmos.links import TooManyLinks, followed
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import ROOT, TreePath

FILLED_LATER: Final = frozenset({b"dev", b"proc", b"run", b"sys", b"tmp"})  # by the running system


@dataclass(kw_only=True, slots=True)
class SeenTree:
    """The entries that were seen so far, by path, and the star or layer that owns each.

    Who has the lines of a whole tree makes it of these, and adds nothing.
    """

    owners: Mapping[TreePath, str]
    entries: Mapping[TreePath, Entry | ManifestLine] = field(default_factory=dict)
    _folders: set[TreePath] = field(default_factory=set)
    _files: dict[bytes, Entry | ManifestLine | None] = field(default_factory=dict)  # what `file_at` has found

    def add(self, entry: Entry) -> None:
        """Add an entry; its content is not kept."""
        self.entries = self.entries if isinstance(self.entries, dict) else dict(self.entries)
        self.entries[entry.path] = replace(entry, content=b"") if entry.content else entry
        self._files.clear()
        folder = entry.path.parent
        while folder not in self._folders and folder != ROOT:
            self._folders.add(folder)
            folder = folder.parent

    def owner(self, path: TreePath) -> str:
        """Return the star or layer that owns the path; "" for a folder, which several may share."""
        return self.owners.get(path, "")

    def followed(self, path: bytes) -> TreePath | None:
        """Return the path after every link is followed; None if the links form a circle."""
        try:
            return followed(path, self._target)
        except TooManyLinks:
            return None

    def has(self, path: TreePath) -> bool:
        """Return whether there is such an entry, or a folder that no entry names."""
        return path == ROOT or path in self.entries or path in self._folders

    def file_at(self, path: bytes) -> Entry | ManifestLine | None:
        """Return the file that the path leads to, None if there is no file; a hard link leads to its file."""
        if path not in self._files:
            self._files[path] = self._file_at(path)
        return self._files[path]

    def _file_at(self, path: bytes) -> Entry | ManifestLine | None:
        end = self.followed(path)
        entry = self.entries.get(end) if end is not None else None
        if entry is not None and entry.kind == "hardlink":
            entry = self.entries.get(TreePath(entry.target))
        return entry if entry is not None and entry.kind == "file" else None

    def _target(self, path: TreePath, _rest: object) -> bytes | None:
        entry = self.entries.get(path)
        return entry.target if entry is not None and entry.kind == "symlink" else None
