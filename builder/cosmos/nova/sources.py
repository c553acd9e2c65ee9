"""Copy files and folders from a star's own archive into the root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace

from cosmos.nova.arguments import path_of
from cosmos.nova.indexed_tree import IndexedTree, implied_folder
from cosmos.nova.meter import Meter, VerbError
from cosmos.nova.virtual_root import VirtualRoot, resolved
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath, escaped

FILES = b"files"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A place in the archive: its tree, its path there, its entry, and its name for messages."""

    tree: IndexedTree
    path: TreePath
    entry: Entry
    shown: str


def find_source(raw: bytes, trees: Mapping[bytes, IndexedTree], meter: Meter) -> Source:
    """Return the place that `raw` names in the archive; raises `VerbError`.

    `trees` are the trees to search, in order, by their names in the archive: `files`, then its root. The prefix
    `files/` may be left out. Symlinks are followed, as in upstream's `copy`.
    """
    wanted = path_of(raw)
    parts = wanted.split(b"/")
    inside = TreePath(b"/".join(parts[1:])) if parts[0] == FILES else wanted
    for name, tree in trees.items():
        tries = (inside, wanted) if name == FILES else (wanted,)
        for path in dict.fromkeys(tries):
            found = _looked_up(tree, path, meter)
            if found is not None:
                at, entry = found
                shown = escaped(b"/".join(part for part in (name, at) if part))
                return Source(tree=tree, path=at, entry=entry, shown=shown or ".")
    hint = (
        "a source is a file or a folder of the star, named by its whole path; it holds no wildcards"
        if b"*" in raw
        else None
    )
    raise VerbError(f"{escaped(raw)} is not in the star's archive", hint=hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderCopy:
    """One recursive copy of the folder `source` to below `to`. Symlinks stay symlinks.

    A hard link whose file is copied as well stays a hard link; any other becomes a file. A symlink that would replace
    its own target (`bin -> usr/bin` if /bin is merged into /usr) is left out.
    """

    source: Source
    to: TreePath
    root: VirtualRoot
    path_map: Callable[[TreePath], TreePath]
    epoch: int
    landed: dict[TreePath, TreePath] = field(default_factory=dict)  # path in the archive -> path in the root
    taken: dict[TreePath, TreePath] = field(default_factory=dict)  # and back, folders aside

    def copy(self) -> int:
        """Copy; returns the number of entries. Raises `VerbError`."""
        links: list[Entry] = []
        if self.to and self.source.tree.named(self.source.path) is not None:
            self._put_folder(self.source.entry, self.root.resolve(self.to, "follow"))
        for entry in self.source.tree.entries(self.source.path):
            if entry.kind == "hardlink":
                links.append(entry)
            else:
                self._land(entry)
        for link in links:
            self._land(self._linked(link))
        return len(self.landed)

    def _linked(self, link: Entry) -> Entry:
        """Return the entry for a hard link of the archive: a link to its file's new path, or a file."""
        first = self.landed.get(TreePath(link.target))
        if first is not None:
            return replace(link, target=bytes(first))
        whole = self.source.tree.named(TreePath(link.target))
        if whole is None or whole.kind != "file":
            raise VerbError(
                f"{link.path.text} is a hard link to {escaped(link.target)}, which is no file of the archive"
            )
        return replace(whole, path=link.path)

    def _land(self, entry: Entry) -> None:
        """Put one entry of the folder at its path in the root."""
        rest = entry.path[len(self.source.path) + 1 :] if self.source.path else bytes(entry.path)
        try:
            named = self.to.joined(rest)
        except ValueError as error:
            raise VerbError(str(error)) from None
        path = self.path_map(named)
        if entry.kind == "dir":
            place = self.root.resolve(path, "follow")
            self._put_folder(entry, place)
        else:
            if entry.kind == "symlink" and path != named and _leads_to(entry, named) == path:
                return
            place = self.root.place(path)
            twin = self.taken.setdefault(place, entry.path)
            if twin != entry.path:
                raise VerbError(f"{twin.text} and {entry.path.text} of the star both come to lie at /{place.text}")
            self.root.put(copied(entry, place, self.epoch))
        self.landed[entry.path] = place

    def _put_folder(self, entry: Entry, place: TreePath) -> None:
        if place != ROOT:
            self.root.put_folder(copied(entry, place, self.epoch))


def copied(entry: Entry, path: TreePath, epoch: int) -> Entry:
    """Return a copy of `entry` at `path`, no newer than `epoch`."""
    moved = entry.at(path)
    return moved if entry.mtime <= epoch else replace(moved, mtime=epoch)


def _looked_up(tree: IndexedTree, path: TreePath, meter: Meter) -> tuple[TreePath, Entry] | None:
    if path == ROOT:
        return (ROOT, implied_folder(ROOT, 0)) if len(tree) else None
    try:
        at = resolved(tree.entry_at, path, "follow", meter)
    except VerbError:
        return None
    entry = tree.entry_at(at) if at else implied_folder(ROOT, 0)
    if entry is not None and entry.kind == "hardlink":
        entry = tree.named(TreePath(entry.target))
    return None if entry is None else (at, entry)


def _leads_to(link: Entry, path: TreePath) -> TreePath | None:
    base = b"" if link.target.startswith(b"/") else bytes(path.parent)
    parts: list[bytes] = [part for part in base.split(b"/") if part]
    for part in link.target.split(b"/"):
        if part == b"..":
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    return TreePath(b"/".join(parts))
