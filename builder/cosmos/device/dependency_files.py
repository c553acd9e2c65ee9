"""What a star is staged on: this system's merged folders, and what the star's script may see of its dependencies.

A script sees no bytes of them. A program that it runs does, if the operator lets it: what is installed is then read
from the live system, where it may have been changed since, and checked against what universe.toml recorded.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from cosmos.device.root import LiveRoot, naming, shown
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_STAR_UNPACKED_BYTES
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, InstalledEntry, Universe
from cosmos.reading import read_within
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.overlay import PathMap
from cosmos.treepath import ROOT, TreePath, escaped


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


class DependencyFiles:
    """The entries of a star's dependencies, direct or not, installed or new, without the bytes of files.

    The same as a build shows to the script, so that it does the same. Paths are those before `install_dir`.
    """

    def __init__(
        self,
        root: LiveRoot,
        universe: Universe,
        install_dir: TreePath,
        coming: Mapping[StarName, tuple[StarName, ...]],
    ) -> None:
        """`coming` says what each new star depends on."""
        self._root = root
        self._install_dir = root.mapped_folder(install_dir)  # what is recorded lies there
        self._installed = universe.installed
        self._dependencies = {**{name: star.dependencies for name, star in universe.installed.items()}, **coming}
        self._trees: dict[StarName, Mapping[TreePath, Entry]] = {}

    def add(self, name: StarName, entries: Mapping[TreePath, Entry]) -> None:
        """Add a new star as it was staged."""
        self._trees[name] = {path: replace(entry, content=b"") for path, entry in entries.items()}

    def names(self, dependencies: Iterable[StarName]) -> tuple[StarName, ...]:
        """Return all that a star with these dependencies depends on, directly or not, by name.

        Of a circle of new stars, those that were not added yet are left out: they are staged later.
        """
        needed = all_dependencies(dependencies, self._dependencies)
        return tuple(sorted(name for name in needed if name in self._trees or name in self._installed))

    def of(self, dependencies: Iterable[StarName]) -> dict[TreePath, Entry]:
        """Return what a star with these dependencies may see."""
        tree: dict[TreePath, Entry] = {}
        for name in self.names(dependencies):
            tree |= self._tree(name)
        return tree

    def files(self, name: StarName) -> Iterator[Entry]:
        """Yield what an installed star brought, the files' bytes too; raises `Refused` where it is no longer that."""
        star = self._installed[name]
        if star.files and not star.entries:
            raise Refused(name, "was recorded without digests: nobody knows whether its programs are its own")
        for record, path, entry in self._recorded(star):
            content = self._bytes(name, record) if record.kind == "file" else b""
            if record.kind == "symlink" and Digest.of(entry.target) != record.digest:
                raise self._changed(name, record, f"leads to {escaped(entry.target) or 'nowhere'}")
            if record.kind == "hardlink" and not entry.target:
                raise self._changed(name, record, "is a hard link to none of its files")
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

    def _bytes(self, name: StarName, record: InstalledEntry) -> bytes:
        found = self._root.stat(record.path)
        if found is None or not stat.S_ISREG(found.st_mode):
            raise self._changed(name, record, "is no file")
        with (
            naming(record.path),
            self._root.file(record.path) as descriptor,
            open(descriptor, "rb", closefd=False) as stream,
        ):
            content = read_within(stream, MAX_STAR_UNPACKED_BYTES)
        if Digest.of(content) != record.digest:
            raise self._changed(name, record, f"is {Digest.of(content)}")
        return content

    def _changed(self, name: StarName, record: InstalledEntry, now: str) -> Refused:
        return Refused(
            shown(record.path),
            f"{now}, but {name} installed it as {record.digest}: no script runs programs with it",
            hint=f"cosmos verify --root {self._root.path}, which names all that was changed",
        )

    def _seen_as(self, path: TreePath) -> TreePath | None:
        """Where a script sees what lies at `path`; None for what lies outside of the operator's `install_dir`."""
        if not self._install_dir:
            return path
        above = self._install_dir + b"/"
        return TreePath(path.removeprefix(above)) if path.startswith(above) else None
