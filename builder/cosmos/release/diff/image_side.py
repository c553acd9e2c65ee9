"""An image as a side: its index says almost everything, and only layers that differ are decoded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.lock import Lock
from cosmos.pack.image_file import DIRECTORIES, END, ImageLayer, ImageReader
from cosmos.pack.layer_stream import demand_frame, layer_content, member_times, slices
from cosmos.release.diff.side import LOOK_BYTES, Nodes, Packing, nodes_of
from cosmos.treepath import TreePath

_OWN_LAYERS: Final = ("template", DIRECTORIES, END)  # no star made them
_STAR_ID: Final = re.compile(r"(.+?)-([0-9][A-Za-z0-9.+~:]*(?:-[0-9][A-Za-z0-9.+~]*)*)")


class ImageSide:
    """The image at `path`, each of its frames checked against its index.

    Its lock, if there is one, says which part of a layer's name is the version.
    """

    hidden: frozenset[TreePath] = frozenset()

    def __init__(self, path: Path, label: str, lock: Lock | None) -> None:
        self.label = label
        self._path = path
        self._lock = lock
        self._reader = ImageReader.open(path)
        self._layers = {layer.name: layer for layer in self._reader.layers}
        self._demand_whole()

    @cached_property
    def nodes(self) -> Nodes:
        """Every path. The folders belong to no star: many stars may share one."""
        return nodes_of(
            (row.line, "" if layer.name == DIRECTORIES else layer.name)
            for layer in self._reader.layers
            for row in layer.lines
        )

    @cached_property
    def stars(self) -> Mapping[str, str]:
        """The version of each star that has a layer, by name."""
        if self._lock is not None:
            return {str(star.name): str(star.version) for star in self._lock.stars if star.id in self._layers}
        matches = (_STAR_ID.fullmatch(name) for name in self._layers if name not in _OWN_LAYERS)
        return {match[1]: match[2] for match in matches if match is not None}

    @cached_property
    def packings(self) -> Mapping[str, Packing]:
        """The layers."""
        return {
            layer.name: Packing(
                digest=layer.digest,
                packed_bytes=layer.seek.packed_bytes,
                order=tuple(row.line.path for row in layer.lines),
            )
            for layer in self._reader.layers
        }

    def digest(self, path: TreePath) -> Digest:
        """Return the digest of the file at `path`; the index has it. Raises `Refused`."""
        digest = self.nodes[path].digest
        if digest is None:
            raise Refused(self.label, f"its index has no digest of /{path.text}")
        return digest

    def contents(self, paths: Iterable[TreePath]) -> Iterator[tuple[TreePath, bytes]]:
        """Yield the bytes of the files at `paths`, of at most `LOOK_BYTES` each. Each layer is decoded once.

        Raises `Refused`.
        """
        wanted: dict[tuple[Digest, int], list[TreePath]] = {}
        for path in paths:
            node = self.nodes[path]
            if node.kind == "file" and node.digest is not None and node.size <= LOOK_BYTES:
                wanted.setdefault((node.digest, node.size), []).append(path)
        for layer in self._reader.layers:
            rows = [row for row in layer.lines if row.line.kind == "file" and row.line.digest is not None]
            held = {
                row.data_offset: (row.line.size, row.line.digest, key)
                for row in rows
                if (key := (row.line.digest, row.line.size)) in wanted
            }
            if not held:
                continue
            with self._content(layer) as stream:
                places = [(offset, held[offset][0]) for offset in sorted(held)]
                for (offset, _), data in zip(places, slices(stream, places, self._where(layer)), strict=True):
                    _, digest, key = held[offset]
                    if Digest.of(data) != digest:
                        raise Refused(self._where(layer), f"its index says {digest} of other bytes")
                    yield from ((path, data) for path in wanted.pop(key, ()))

    def times(self, layer: str) -> Mapping[TreePath, int]:
        """Return the time of each path in the layer."""
        found = self._layers[layer]
        paths = [row.line.path for row in found.lines]
        sizes = [row.line.size if row.line.kind == "file" else 0 for row in found.lines]
        with self._content(found) as stream:
            return dict(zip(paths, member_times(stream, sizes, self._where(found)), strict=True))

    def unpacked_digest(self, layer: str) -> Digest:
        """Return the digest of the layer's content."""
        with self._content(self._layers[layer]) as stream:
            return Digest.of_stream(stream)

    @contextmanager
    def _content(self, layer: ImageLayer) -> Iterator[BinaryIO]:
        with (
            self._path.open("rb") as file,
            layer_content(file, layer.seek, self._where(layer)) as stream,
        ):
            yield stream

    def _demand_whole(self) -> None:
        """Raise `Refused` unless each frame has the digest that the index states: most are not decoded later."""
        with self._path.open("rb") as file:
            for layer in self._reader.layers:
                demand_frame(file, layer.seek, layer.digest, self._where(layer))

    def _where(self, layer: ImageLayer) -> str:
        return f"{self.label}: layer {layer.name}"
