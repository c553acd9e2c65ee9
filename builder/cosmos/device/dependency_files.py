"""The inputs of staging a star here: this system's merged folders, and the files of the star's dependencies.

A script sees no bytes of these files. A program of the script sees them, if the operator allows programs. Installed
files are then read from the live system, where somebody may have changed them, and checked against universe.toml.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from cosmos.content import Content, content_digest
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, Universe
from cosmos.reading import open_content
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.overlay import PathMap
from cosmos.treepath import ROOT, TreePath, escaped


def path_map(root: LiveRoot) -> PathMap:
    """Return this system's merged folders: links in its root folder to other folders, such as `/bin` to `usr/bin`."""
    links: dict[bytes, TreePath] = {}
    for name in root.names(ROOT):
        found = root.stat(TreePath(name))
        if found is not None and stat.S_ISLNK(found.st_mode):
            real = root.mapped_folder(TreePath(name))
            there = root.stat(real) if real else None
            if there is not None and stat.S_ISDIR(there.st_mode):
                links[name] = real
    return PathMap(links=links)


class DependencyFiles:
    """The entries of a star's dependencies, direct or not, installed or new, without the bytes of files.

    A build shows the script the same entries, so the script does the same. Paths do not include `install_dir`.
    """

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        install_dir: TreePath,
        coming: Mapping[StarName, tuple[StarName, ...]],
    ) -> None:
        """`coming` has the dependencies of each new star."""
        self._root = root
        self._install_dir = root.mapped_folder(install_dir)  # recorded paths are in this folder
        self._installed = universe.installed
        self._dependencies = {**{name: star.dependencies for name, star in universe.installed.items()}, **coming}
        self._trees: dict[StarName, Mapping[TreePath, Entry]] = {}

    def add(self, name: StarName, entries: Mapping[TreePath, Entry]) -> None:
        """Add a new star as it was staged."""
        self._trees[name] = {path: replace(entry, content=b"") for path, entry in entries.items()}

    def names(self, dependencies: Iterable[StarName]) -> tuple[StarName, ...]:
        """Return the names of all dependencies of a star with these direct dependencies, sorted.

        In a circle of new stars, those that were not added yet are left out: they are staged later.
        """
        needed = all_dependencies(dependencies, self._dependencies)
        return tuple(sorted(name for name in needed if name in self._trees or name in self._installed))

    def of(self, dependencies: Iterable[StarName]) -> dict[TreePath, Entry]:
        """Return the entries that the script of a star with these dependencies may see."""
        tree: dict[TreePath, Entry] = {}
        for name in self.names(dependencies):
            tree |= self._tree(name)
        return tree

    def files(self, name: StarName) -> Iterator[Entry]:
        """Yield the entries of an installed star, with the files' bytes; raises `Refused` for a changed entry."""
        star = self._installed[name]
        if star.files and not star.entries:
            raise Refused(name, "was recorded without digests, so cosmos cannot check its programs")
        for record, path, entry in self._recorded(star):
            content = self._bytes(name, record) if record.kind == "file" else b""
            if record.kind == "symlink" and Digest.of(entry.target) != record.digest:
                raise self._changed(name, record, f"leads to {escaped(entry.target) or 'nowhere'}")
            if record.kind == "hardlink" and not entry.target:
                raise self._changed(name, record, "is not a hard link to one of its files")
            yield replace(entry, path=path, content=content)

    def _tree(self, name: StarName) -> Mapping[TreePath, Entry]:
        if name not in self._trees:
            star = self._installed.get(name)
            self._trees[name] = {} if star is None else {path: entry for _, path, entry in self._recorded(star)}
        return self._trees[name]

    def _recorded(self, star: Installed) -> Iterator[tuple[InstalledEntry, TreePath, Entry]]:
        places = {Digest.of(bytes(entry.path)): entry.path for entry in star.entries}
        for record in star.entries:
            path = self._seen_as(record.path)
            if path is not None:
                yield record, path, self._entry(record, path, places)

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

    def _bytes(self, name: StarName, record: InstalledEntry) -> Content:
        found = self._root.stat(record.path)
        if found is None or not stat.S_ISREG(found.st_mode):
            raise self._changed(name, record, "is not a file")
        if record.size_bytes is not None and found.st_size != record.size_bytes:
            raise self._changed(name, record, f"is {found.st_size} bytes long")
        with naming(record.path), self._root.file(record.path) as descriptor:
            content = open_content(descriptor, shown(record.path))
        if content_digest(content) != record.digest:
            raise self._changed(name, record, f"is {content_digest(content)}")
        return content

    def _changed(self, name: StarName, record: InstalledEntry, now: str) -> Refused:
        return Refused(
            shown(record.path),
            f"{now}, but {name} installed it as {record.digest}: no script runs programs with it",
            hint=f"to list all changed files: cosmos verify{self._root.option}",
        )

    def _seen_as(self, path: TreePath) -> TreePath | None:
        """Return the path under which a script sees `path`; None for a path outside the operator's `install_dir`."""
        if not self._install_dir:
            return path
        above = self._install_dir + b"/"
        return TreePath(path.removeprefix(above)) if path.startswith(above) else None
