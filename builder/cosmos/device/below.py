"""What a star is staged on: this system's merged folders, and what the star's script may see of its dependencies."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from cosmos.device.root import LiveRoot
from cosmos.digest import Digest
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, InstalledEntry, Universe
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.overlay import PathMap
from cosmos.treepath import ROOT, TreePath


def path_map(root: LiveRoot) -> PathMap:
    """Return this system's merged folders: links at its top that lead to folders, as `/bin` to `usr/bin`."""
    links: dict[bytes, TreePath] = {}
    for name in root.names(ROOT):
        found = root.stat(TreePath(name))
        if found is not None and stat.S_ISLNK(found.st_mode):
            real = root.mapped_folder(TreePath(name))
            there = root.stat(real) if real else None
            if there is not None and stat.S_ISDIR(there.st_mode):
                links[name] = real
    return PathMap(links=links)


class Below:
    """The entries of a star's dependencies, direct or not, installed or new, without the bytes of files.

    The same as a build shows to the script, so that it does the same. Paths are those before `install_dir`.
    """

    def __init__(self, root: LiveRoot, universe: Universe, install_dir: TreePath) -> None:
        self._root = root
        self._install_dir = install_dir
        self._installed = universe.installed
        self._dependencies = {name: star.dependencies for name, star in universe.installed.items()}
        self._trees: dict[StarName, Mapping[TreePath, Entry]] = {}

    def add(self, name: StarName, dependencies: Iterable[StarName], entries: Mapping[TreePath, Entry]) -> None:
        """Add a new star as it was staged."""
        self._dependencies[name] = tuple(dependencies)
        self._trees[name] = {path: replace(entry, content=b"") for path, entry in entries.items()}

    def of(self, dependencies: Iterable[StarName]) -> dict[TreePath, Entry]:
        """Return what a star with these dependencies may see."""
        seen: dict[StarName, None] = {}
        todo = sorted(dependencies, reverse=True)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen[name] = None
                todo += self._dependencies.get(name, ())
        tree: dict[TreePath, Entry] = {}
        for name in sorted(seen):
            tree |= self._tree(name)
        return tree

    def _tree(self, name: StarName) -> Mapping[TreePath, Entry]:
        if name not in self._trees:
            star = self._installed.get(name)
            self._trees[name] = {} if star is None else dict(self._recorded(star))
        return self._trees[name]

    def _recorded(self, star: Installed) -> Iterable[tuple[TreePath, Entry]]:
        places = {Digest.of(bytes(entry.path)): entry.path for entry in star.entries}
        for record in star.entries:
            path = self._seen_as(record.path)
            if path is not None:
                yield path, self._entry(record, path, places)

    def _entry(self, record: InstalledEntry, path: TreePath, places: Mapping[Digest, TreePath]) -> Entry:
        target = b""
        found = self._root.stat(record.path)
        if record.kind == "symlink" and found is not None and stat.S_ISLNK(found.st_mode):
            target = self._root.link_target(record.path)
        elif record.kind == "hardlink" and record.digest is not None and record.digest in places:
            target = bytes(self._seen_as(places[record.digest]) or b"")
        return Entry(
            path=path,
            kind=cast(Kind, record.kind),
            mode=record.mode,
            uid=record.uid,
            gid=record.gid,
            target=target,
            rdev=record.rdev,
            xattrs=record.xattrs,
        )

    def _seen_as(self, path: TreePath) -> TreePath | None:
        """Where a script sees what lies at `path`; None for what lies outside of the operator's `install_dir`."""
        if not self._install_dir:
            return path
        above = self._install_dir + b"/"
        return TreePath(path.removeprefix(above)) if path.startswith(above) else None
