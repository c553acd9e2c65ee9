"""`Frames`: the packed frames that a builder's store has for layers.

The store keeps, for each layer, level and version of zstd, the record of the frame (`PackedLayer.record`); the frame is
a blob. Only a record that this home has sealed is believed, and a frame is hashed again whenever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field, replace

from cosmos.canon import digest_of
from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.model.names import StarName
from cosmos.pack.image_file import PackedLayer
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.records import dataclass
from cosmos.store.interface import Damaged, Store
from cosmos.store.sealed import NotSealed
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of one `level` in the `store`. `warn` gets a sentence about each that is not believed."""

    store: Store
    level: int
    warn: Callable[[str], None]
    _seen: dict[Digest, tuple[PackedLayer, int]] = field(default_factory=dict)

    def key(self, layer: Digest, dropped: Iterable[TreePath] = ()) -> Digest:
        """Return the key of the frame of a layer without the paths in `dropped`."""
        return digest_of(
            {
                "what": "frame 2",
                "layer": str(layer),
                "level": self.level,
                "zstd": ZSTD_VERSION,
                "dropped": [path.text for path in sorted(dropped)],
            }
        )

    def has(self, name: StarName, key: Digest) -> bool:
        """Return whether the store has the record of a frame, and a blob of its size.

        What the record says is held for the next `get`, so that it is read once.
        """
        sizes: list[int] = []

        def there(digest: Digest, size_bytes: int) -> Content | None:
            sizes.append(size_bytes)
            return b"" if self.store.has(digest, size_bytes) else None

        described = self._read(name, key, there)
        if described is not None:
            self._seen[key] = (described, sizes[0])
        return described is not None

    def get(self, name: StarName, key: Digest) -> PackedLayer | None:
        """Return the frame that the store has for `key`, hashed again, or None."""
        if key not in self._seen:
            return self._read(name, key, self._blob)
        described, size_bytes = self._seen.pop(key)
        try:
            frame = self._blob(described.digest, size_bytes)
        except Damaged as damaged:
            self.warn(made_again(name, damaged))
            return None
        return None if frame is None else replace(described, frame=frame)

    def put(self, key: Digest, packed: PackedLayer) -> None:
        """Keep a frame now, and its record soon."""
        self.store.put_hashed(packed.digest, packed.frame)
        self.store.put_result_soon(key, packed.record())

    def _read(
        self, name: StarName, key: Digest, frame_of: Callable[[Digest, int], Content | None]
    ) -> PackedLayer | None:
        try:
            record = self.store.get_result(key)
            return None if record is None else PackedLayer.from_record(record, frame_of)
        except (NotSealed, Damaged) as bad:
            self.warn(made_again(name, bad))
            return None

    def _blob(self, digest: Digest, size_bytes: int) -> Content | None:
        return self.store.get(digest, size_bytes) if self.store.has(digest, size_bytes) else None


def made_again(name: StarName, bad: NotSealed | Damaged) -> str:
    """Return the sentence about a record or a frame that is not believed."""
    return f"{name}: {bad}; it is not believed, and the layer is made again"
