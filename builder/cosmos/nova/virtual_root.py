"""`VirtualRoot`: the tree that a script reads and changes, as data. No path in it ever reaches the builder's disk.

It has two layers: `own`, which the script changes, and below it `lower`, the dependencies' layers, which are read-only.
Symlinks are followed inside the tree as in a chroot: an absolute target starts at the tree's root, and `..` above the
root stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from cosmos.limits import MAX_SYMLINKS
from cosmos.links import Last, TooManyLinks, followed
from cosmos.nova.indexed_tree import IMPLIED_MODE, IndexedTree, implied_folder
from cosmos.nova.job import unmapped
from cosmos.nova.meter import ENTRY_COST, LOOK_COST, Meter, VerbError
from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath

EntryAt: TypeAlias = Callable[[TreePath], "Entry | None"]
Mapped: TypeAlias = Callable[[TreePath], TreePath]

_KIND_NAMES = {"file": "a file", "hardlink": "a file", "symlink": "a symlink", "dir": "a folder", "fifo": "a pipe"}


def named(entry: Entry) -> str:
    """Return an entry's kind in words."""
    return _KIND_NAMES.get(entry.kind, "a device")


def in_lua(path: TreePath, end: str = "") -> str:
    """Return an absolute path as a string of Lua, for a hint. Lua reads the escapes of a path's text form as we do.

    >>> print(in_lua(TreePath(b'a"\\xff')))
    "/a\\"\\xff"
    """
    return '"/' + path.text.replace('"', '\\"') + end + '"'


def resolved(entry_at: EntryAt, path: TreePath, last: Last, meter: Meter, path_map: Mapped = unmapped) -> TreePath:
    """Return where `path` leads once symlinks are followed (the last component's only with `follow`); raises
    `VerbError`.

    A component that does not exist is kept as written, so that a new path resolves as well. May return the root. A
    folder that `path_map` merges into another is a link to that one, though no entry says so.
    """

    def target_of(here: TreePath, rest: Sequence[bytes]) -> bytes | None:
        try:
            TreePath.parse(here)
        except ValueError as error:
            raise VerbError(str(error)) from None
        merged_into = path_map(here)
        if merged_into != here and (rest or last == "follow"):
            meter.charge(LOOK_COST)
            return b"/" + merged_into
        entry = entry_at(here)
        if entry is None or entry.kind == "dir":
            return None
        if entry.kind == "symlink" and (rest or last == "follow"):
            meter.charge(LOOK_COST + len(entry.target))
            return entry.target
        if any(part not in (b"", b".") for part in rest):
            raise VerbError(f"/{here.text} is {named(entry)}, and only a folder has entries")
        return None

    try:
        return followed(path, target_of, last=last, on_step=lambda at: meter.charge(LOOK_COST + len(at)))
    except TooManyLinks:
        raise VerbError(f"/{path.text}: more than {MAX_SYMLINKS} symlinks on the way") from None


class VirtualRoot:
    """The tree. `on_read` is called for each path looked up in `lower`, with the entry there.

    A link that leads to a folder that `path_map` merges into another leads on into that one.
    """

    def __init__(
        self,
        *,
        own: Mapping[TreePath, Entry],
        lower: Mapping[TreePath, Entry],
        epoch: int,
        meter: Meter,
        on_read: Callable[[TreePath, Entry | None], None],
        path_map: Mapped = unmapped,
    ) -> None:
        self._own = dict(own)
        self._own_folders = {parent for path in own for parent in path.parents}
        self._hard_links = sum(entry.kind == "hardlink" for entry in own.values())
        self._lower = IndexedTree(lower, epoch)
        self._lower_was_listed = False
        self._folders: dict[TreePath, TreePath] = {}  # the targets of existing folders that were resolved so far
        self._epoch = epoch
        self._meter = meter
        self._on_read = on_read
        self._path_map = path_map

    @property
    def own(self) -> Mapping[TreePath, Entry]:
        """The script's layer."""
        return self._own

    def layer(self) -> dict[TreePath, Entry]:
        """Return the script's layer in byte order of path, without implied folders."""
        return {path: self._own[path] for path in sorted(self._own)}

    def entry_at(self, path: TreePath) -> Entry | None:
        """Return the entry at `path`, without following a symlink; an implied folder is 0755."""
        if path == ROOT:
            return implied_folder(path, self._epoch)
        entry = self._own.get(path)
        if entry is not None:
            return entry
        below = self.lower_entry_at(path)
        if below is None and path in self._own_folders:
            return implied_folder(path, self._epoch)
        return below

    def lower_entry_at(self, path: TreePath) -> Entry | None:
        """Return the entry at `path` below the script's own layer."""
        entry = self._lower.entry_at(path)
        self._on_read(path, entry)
        return entry

    def resolve(self, path: TreePath, last: Last) -> TreePath:
        """Return where `path` leads (see `resolved`)."""
        return resolved(self.entry_at, path, last, self._meter, self._path_map)

    def place(self, path: TreePath) -> TreePath:
        """Return the place of a new entry at `path`: links on the way are followed, but not one at the end.

        Raises `VerbError` if `path` is the root itself, or becomes too long.
        """
        if path == ROOT:
            raise VerbError("the root itself cannot be replaced")
        if not path.parent:
            return path
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self.resolve(path.parent, "follow")
            if self.entry_at(folder) is not None:
                self._folders[path.parent] = folder
        try:
            return folder.joined(path.name)
        except ValueError as error:
            raise VerbError(str(error)) from None

    def put(self, entry: Entry) -> None:
        """Put any entry but a folder at its path, and replace the old one; a folder there is a `VerbError`."""
        there = self.entry_at(entry.path)
        if there is not None and there.kind == "dir":
            raise VerbError(
                f"/{entry.path.text} is a folder",
                hint=f"to put it inside, end the path with a slash: {in_lua(entry.path, '/')}",
            )
        above = self.entry_at(entry.path.parent)
        if above is not None and above.kind != "dir":
            raise VerbError(f"/{above.path.text} is {named(above)}, and only a folder has entries")
        if "symlink" in (entry.kind, there.kind if there is not None else ""):  # a new one, too: `link/..` leads on
            self._folders.clear()
        self._unlink(entry.path)
        self._insert(entry)

    def put_folder(self, entry: Entry) -> None:
        """Put a folder at its path, over one that is there; anything else there is a `VerbError`."""
        there = self.entry_at(entry.path)
        if there is not None and there.kind != "dir":
            raise VerbError(f"/{entry.path.text} is {named(there)}, not a folder")
        self._insert(entry)

    def changeable(self, path: TreePath) -> tuple[Entry, ...]:
        """Return the entries that change with `path`'s mode, owner or attributes: it and its hard links; raises
        `VerbError`.

        A folder that is only implied by the script's own entries becomes its own first.
        """
        if path == ROOT:
            raise VerbError("the root itself cannot be changed")
        entry = self._own.get(path)
        if entry is None:
            below = self.lower_entry_at(path)
            if below is not None:
                raise VerbError(f"/{path.text} belongs to another star", hint="a script may change what it made itself")
            if path not in self._own_folders:
                raise VerbError(f"/{path.text} is not there")
            return (implied_folder(path, self._epoch),)
        first = TreePath(entry.target) if entry.kind == "hardlink" else path
        if not self._hard_links or entry.kind not in ("file", "hardlink"):
            return (entry,)
        self._meter.charge(len(self._own))
        shared = (other for other in self._own.values() if other.kind == "hardlink" and other.target == first)
        return (*((self._own[first],) if first in self._own else ()), *shared)

    def change(self, entry: Entry) -> None:
        """Put `entry` in place of the one at its path, of the same kind and bytes."""
        self._meter.charge(ENTRY_COST)
        self._own[entry.path] = entry

    def folders_of_others(self) -> dict[TreePath, Entry]:
        """Return the folders of the lower layers that hold entries of the script's own without being its own."""
        implied = sorted(self._own_folders - self._own.keys() - {ROOT})
        self._meter.charge(LOOK_COST * len(implied))
        found = ((path, self.lower_entry_at(path)) for path in implied)
        return {path: entry for path, entry in found if entry is not None and entry.kind == "dir"}

    def replace_own(self, own: Mapping[TreePath, Entry]) -> None:
        """Replace the script's layer by `own`: the tree that a program left.

        A folder that the program made without a mode of its own is, where there is a folder already, as that one is.
        """
        before, self._own = self._own, dict(own)
        for path, entry in own.items():
            if entry.kind == "dir" and entry.mode == IMPLIED_MODE and path not in before:
                self._meter.charge(LOOK_COST)
                there = self.lower_entry_at(path)
                if there is not None and there.kind == "dir":
                    self._own[path] = there
        self._own_folders = {parent for path in own for parent in path.parents}
        self._hard_links = sum(entry.kind == "hardlink" for entry in own.values())
        self._folders.clear()

    def lower_paths(self, folder: TreePath) -> Sequence[TreePath]:
        """Return the paths below `folder` in the lower layers, with implied folders, in byte order."""
        if not self._lower_was_listed:
            self._meter.charge(ENTRY_COST * len(self._lower))
            self._lower_was_listed = True
        return self._lower.paths(folder)

    def own_paths(self, folder: TreePath) -> list[TreePath]:
        """Return the paths below `folder` in the script's own layer, in any order."""
        self._meter.charge(len(self._own) + len(self._own_folders))
        prefix = folder + b"/" if folder else b""
        return [path for path in {*self._own, *self._own_folders} if path.startswith(prefix)]

    def _insert(self, entry: Entry) -> None:
        self._meter.charge(2 * len(entry.path))
        self._meter.count_entry(entry.size if entry.kind == "file" else 0)
        self._hard_links += entry.kind == "hardlink"
        self._own[entry.path] = entry
        if entry.path.parent not in self._own_folders:
            self._own_folders.update(entry.path.parents)

    def _unlink(self, path: TreePath) -> None:
        """Remove the entry at `path`; its hard links keep the bytes."""
        gone = self._own.pop(path, None)
        if gone is None:
            return
        self._hard_links -= gone.kind == "hardlink"
        if not self._hard_links or gone.kind != "file":
            return
        self._meter.charge(len(self._own))
        sharers = sorted(
            other for other, entry in self._own.items() if entry.kind == "hardlink" and entry.target == path
        )
        self._meter.charge(ENTRY_COST * len(sharers))
        for place, sharer in enumerate(sharers):
            entry = self._own[sharer]
            if place == 0:
                self._own[sharer] = replace(entry, kind="file", content=gone.content, target=b"")
                self._hard_links -= 1
            else:
                self._own[sharer] = replace(entry, target=bytes(sharers[0]))
