"""A tar archive as a side, also a compressed one: a star, a root file system of another tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from cosmos.content import content_digest
from cosmos.digest import Digest
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES, Budget
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.pack.packed_tar import PACKED_TAR_SUFFIXES, read_packed_tar
from cosmos.reading import file_content
from cosmos.release.diff.owners import owners_of, versions
from cosmos.release.diff.side import LOOK_BYTES, Nodes, NoLayers, nodes_of
from cosmos.tree.entry import Entry, Tree, tree_of
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath


class TarSide(NoLayers):
    """The archive `file`, which is read strictly and as a whole. A universe in it owns the paths."""

    def __init__(self, file: Path, label: str) -> None:
        suffix = next(way for ending, way in PACKED_TAR_SUFFIXES.items() if file.name.endswith(ending))
        data = file_content(file, MAX_STAR_ARCHIVE_BYTES)
        entries = read_packed_tar(data, suffix, label, Budget.of(len(data)), devices="keep", rules="published")
        self._tree: Tree = tree_of(entries)
        held = self._tree.get(UNIVERSE_PATH)
        universe = None if held is None or held.kind != "file" else Universe.parse(bytes(held.content), label)
        super().__init__({} if universe is None else versions(universe))
        self.label = label
        self._universe = universe

    @cached_property
    def nodes(self) -> Nodes:
        """Every path."""
        owners = owners_of(self._universe)
        return nodes_of(
            ((ManifestLine.of(entry), owners.get(path, "")) for path, entry in self._tree.items()),
            lambda path: self._tree[path].mtime,
        )

    def digest(self, path: TreePath) -> Digest:
        """Return the digest of the file at `path`."""
        return content_digest(self._file(path).content)

    def contents(self, paths: Iterable[TreePath]) -> Iterator[tuple[TreePath, bytes]]:
        """Yield the bytes of the files at `paths` that have at most `LOOK_BYTES`."""
        for path in paths:
            entry = self._file(path)
            if entry.size <= LOOK_BYTES:
                yield path, bytes(entry.content)

    def _file(self, path: TreePath) -> Entry:
        entry = self._tree[path]
        return self._tree[TreePath(entry.target)] if entry.kind == "hardlink" else entry
