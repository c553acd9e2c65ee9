"""`PackedTree`: a finished tree whose bytes are in packed layers. Every output format writes its file from it.

Each output opens each layer once, in lock order. So the bytes of only one layer are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.model.image import Image
from cosmos.pack.image_file import PackedLayer
from cosmos.records import dataclass
from cosmos.store.interface import Store
from cosmos.tree.entry import Entry
from cosmos.tree.overlay import Overlaid
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedTree:
    """A finished tree: its lines and owners, its content root, and a function that opens each of its layers.

    `image` is its image definition. `store` keeps results that take long to make; `warn` gets a sentence about one that
    this home did not write. `secret_files` are the files with secret variables: nothing that holds them goes into the
    store, and nobody but the builder may read it. `opened` has each layer that was opened so far, by its name: the
    digest of its frame, and its function. `sizes` has their packed and unpacked bytes.
    """

    image: Image
    overlaid: Overlaid
    root: Digest
    openers: Sequence[Callable[[], PackedLayer]]
    store: Store
    warn: Callable[[str], None]
    secret_files: frozenset[TreePath] = frozenset()
    opened: dict[str, tuple[Digest, Callable[[], PackedLayer]]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def mode(self) -> int:
        """The mode of a file of the release that holds the tree."""
        return 0o600 if self.secret_files else 0o644

    def layers(self) -> Iterator[PackedLayer]:
        """Iterate over the layers: the folders first, then the stars' in lock order, the template's last."""
        for opened in self.openers:
            layer = opened()
            self.opened[layer.name] = layer.digest, opened
            self.sizes[layer.name] = len(layer.frame), layer.unpacked_bytes
            yield layer

    def entries(self) -> Iterator[Entry]:
        """Iterate over all entries: folders first, then layer by layer."""
        for layer in self.layers():
            yield from layer.entries()

    def content_of(self, path: TreePath) -> Content:
        """Return one file's content from the layer that holds it; hard links are followed. Raises `KeyError`."""
        for layer in self.layers():
            if any(row.line.path == path for row in layer.lines):
                return layer.read_file(path)
        raise KeyError(path)
