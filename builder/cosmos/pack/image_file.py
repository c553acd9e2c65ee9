"""The layered image `NAME-VERSION-ARCH.tar.zst`: a plain zstd file that any tar reads, and Cosmos reads in part.

    [zstd frame: layer "directories"]     tar members of every folder of the tree
    [zstd frame: a layer]…                one a star, in the lock's order: tar members of all but folders
    [zstd frame: layer "template"]        the template's and the finish script's own, all but folders
    [zstd frame: layer "end"]             two blocks of zeros: the end of the tar archive
    [skippable frame: index]              magic 0x184D2A5C
    [skippable frame: seek table]         cosmos.pack.seek_table, in the form of zstd's seekable format

The frames' contents, one after the other, are one tar archive (cosmos.pack.tar). Decompressors skip the last two
frames. The seek table lists every frame before itself, and the last of these is the index. The index has this payload:

    16 bytes   "cosmos-index-v1", newline
    32 bytes   SHA-256 of all that follows
     8 bytes   length of the index decompressed, little-endian
    …          one zstd frame: the index, canonical JSON

        {"format": 1,
         "meta": {…},                      the maker's data about the image, such as its content root
         "layers": [{"name": …,
                     "digest": "sha256:…",     of the frame as it is packed
                     "packed-bytes": …, "unpacked-bytes": …,
                     "rows": ["OFFSET kind mode uid gid size digest rdev xattrs path target", …]}, …]}

A row is one entry in the order of the members: its manifest line (cosmos.tree.manifest), and where a file's bytes begin
in the layer's content. To read one file, a reader reads the seek table, the index and one frame.

Every byte is checked: each frame by its digest in the index, the index by its own digest. The seek table must fill the
file and agree with the index. The index is no longer than the file's size allows (`_index_limit`), and a file is read
in pieces: it is never held, nor is its layer. A signature covers the image's pack digest or content root. An image is
joined from packed layers (cosmos.pack.layer), so that no layer is compressed twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NoReturn, Self

import zstandard

from cosmos.canon import Json, canonical_json
from cosmos.content import FileRange, content_digest, pieces
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed, quoted
from cosmos.limits import (
    FREE_INDEX_BYTES,
    KIB,
    MAX_IMAGE_INDEX_BYTES,
    MAX_IMAGE_LAYERS,
    MAX_INDEX_RATIO,
    MIB,
    READ_CHUNK_BYTES,
    demand_within,
)
from cosmos.pack.layer import LayerLine, PackedLayer, members_in_order, pack_layer, tree_of_layers
from cosmos.pack.seek_table import Seek, read_seek_table, seek_table
from cosmos.pack.tar import TAR_END
from cosmos.pack.treenames import shown
from cosmos.pack.untar import TarReader
from cosmos.pack.zst import StreamPart, compress, decompress_exactly, skippable_frame, slice_of_frame
from cosmos.reading import open_plain
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.tables import Table, uncollected
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

__all__ = [
    "DIRECTORIES",
    "END",
    "IMAGE_SUFFIX",
    "LAYER_FORMAT",
    "ImageLayer",
    "ImageReader",
    "LayerLine",
    "PackedLayer",
    "end_layer",
    "image_pieces",
    "members_in_order",
    "pack_layer",
]

LAYER_FORMAT: Final = 1  # of layers and index; a change of any byte of them needs a new number
IMAGE_SUFFIX: Final = ".tar.zst"  # of every layered image
DIRECTORIES: Final = "directories"
END: Final = "end"

_INDEX_MAGIC = b"cosmos-index-v1\n"
_INDEX_NIBBLE = 0xC
_INDEX_LEVEL = 9  # the same in every image, so that the index depends on the layers alone
_HEADER_BYTES = 8  # of a skippable frame
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_AGAIN = "run the same command once more"
_FREE_BRACKETS = 64 * KIB  # 4,096 of them
_HELD_BYTES = 8 * MIB  # of a file that is decompressed once


def image_pieces(layers: Iterable[PackedLayer], meta: Mapping[str, Json]) -> Iterator[bytes | memoryview]:
    """Yield the image's bytes. `layers`: the shared folders first, then the stars' in lock order, the template's last.

    It adds the end layer, the index and the seek table. A layer is not held once its frame was yielded. Raises
    `ValueError` if the layers do not form a tree, `Refused` if the image is larger than its readers accept, and
    `WorldFailed` if a frame on the disk was changed meanwhile.
    """
    demand_fits = tree_of_layers()
    rows: list[Json] = []
    sizes: list[tuple[int, int]] = []
    for layer in chain(layers, (end_layer(),)):
        demand_fits(layer)
        rows.append(_index_row(layer))
        demand_within(len(rows), MAX_IMAGE_LAYERS, "the image's layers", hint="make two images of it")
        sizes.append((len(layer.frame), layer.unpacked_bytes))
        yield from _unchanged(layer)
    index = _index_frame(rows, sum(packed for packed, _ in sizes), meta)
    yield index
    yield seek_table([*sizes, (len(index), 0)])


def _unchanged(layer: PackedLayer) -> Iterator[bytes | memoryview]:
    """Yield a layer's frame. One that lies on the disk is hashed again: it was hashed when it was opened."""
    if not isinstance(layer.frame, FileRange):
        yield from pieces(layer.frame)
        return
    hasher = hashlib.sha256()
    for piece in layer.frame.pieces():
        hasher.update(piece)
        yield piece
    if hasher.hexdigest() != layer.digest.hex:
        raise WorldFailed(layer.name, "its packed files were changed while the image was written", hint=_AGAIN)


def end_layer() -> PackedLayer:
    """Return the layer that ends the tar archive."""
    frame = compress([TAR_END], _INDEX_LEVEL)
    return PackedLayer(name=END, frame=frame, digest=Digest.of(frame), unpacked_bytes=len(TAR_END), rows=())


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLayer:
    """A layer in the index: its frame's digest and place in the file, and its entries."""

    name: str
    digest: Digest
    seek: Seek
    lines: tuple[LayerLine, ...]


class ImageReader:
    """Reads an image in part. It checks everything that it returns against the index; raises `Refused`.

    `meta` is the maker's data about the image; `layers` are all layers, with the end layer.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[BinaryIO]], source: str) -> None:
        self.opened = opened
        self.source = source
        with opened() as stream:
            try:
                *seeks, place = read_seek_table(stream)
                if place.unpacked_bytes:
                    raise ValueError("its seek table does not end with the index")
                frame = read_frame(stream, place)
            except ValueError as error:
                self._refuse(str(error))
        with uncollected():
            self.meta, self.layers = self._index(frame, seeks)
            self._owners = self._by_path()

    @classmethod
    def open(cls, path: Path, source: str = "") -> Self:
        """Return a reader of the file at `path`, which is opened for each read. Raises `WorldFailed` and `Refused`."""
        try:
            return cls(lambda: open_plain(path), source or str(path))
        except OSError as error:
            raise WorldFailed(str(path), f"cannot be read: {error.strerror or error}".lower()) from error

    @classmethod
    def of_stream(cls, stream: BinaryIO, source: str) -> Self:
        """Return a reader of a seekable stream, which the caller closes; `source` names it in errors."""
        return cls(lambda: nullcontext(stream), source)

    def lines(self) -> list[ManifestLine]:
        """Return every entry's manifest line, sorted by path."""
        return [self._owners[path][1].line for path in sorted(self._owners)]

    def has(self, path: TreePath) -> bool:
        """Whether the image has an entry at `path`."""
        return path in self._owners

    def owner(self, path: TreePath) -> tuple[ImageLayer, ManifestLine]:
        """Return the layer that has the entry at `path`, and its line; raises `KeyError` for a path that is missing."""
        layer, row = self._owners[path]
        return layer, row.line

    def read_file(self, path: TreePath) -> bytes:
        """Return a file's bytes; as `file_pieces`."""
        return b"".join(self.file_pieces(path))

    def file_pieces(self, path: TreePath) -> Iterator[bytes]:
        """Yield a file's bytes, after all of them were checked; hard links are followed, symlinks are not.

        It decompresses the file's layer alone, up to the file's end. A large file is not held, but decompressed twice.
        Raises `Malformed` if there is no such file, and `Refused`.
        """
        layer, row = self._file(path)
        where = f"{self.source}: layer {layer.name}"
        with self.opened() as stream:
            self._demand_frame(stream, layer, where)
            is_held = row.line.size <= _HELD_BYTES
            held = [piece for piece in self._slice(stream, layer, row, where) if is_held]
            yield from held if is_held else self._slice(stream, layer, row, where)

    def _file(self, path: TreePath) -> tuple[ImageLayer, LayerLine]:
        """Return the layer and the row that have a file's bytes."""
        if path not in self._owners:
            raise Malformed(self.source, f"holds no /{path.text}", hint=f"cosmos ls {quoted(self.source)}")
        layer, row = self._owners[path]
        line = row.line
        if line.kind == "symlink":
            raise Malformed(self.source, f"/{path.text} is a symlink to {shown(line.target)}")
        if line.kind not in ("file", "hardlink"):
            raise Malformed(self.source, f"/{path.text} is not a file, but a {line.kind}")
        if line.kind == "hardlink":
            owner, row = self._owners.get(TreePath(line.target), (layer, row))
            if owner != layer or row.line.kind != "file":
                self._refuse(f"its index makes /{path.text} a hard link to no file of layer {layer.name}")
        return layer, row

    def _demand_frame(self, stream: BinaryIO, layer: ImageLayer, where: str) -> None:
        """Raise `Refused` unless the layer's frame has its digest; it is read in pieces."""
        stream.seek(layer.seek.offset)
        digest = Digest.of_stream(StreamPart.of(stream, layer.seek.packed_bytes))
        if digest != layer.digest:
            raise Refused(where, f"is {digest}, the index says {layer.digest}")

    def _slice(self, stream: BinaryIO, layer: ImageLayer, row: LayerLine, where: str) -> Iterator[bytes]:
        """Yield a file's bytes out of its layer; raises `Refused` at the end if they do not have the file's digest."""
        digest = hashlib.sha256()
        stream.seek(layer.seek.offset)
        try:
            for piece in slice_of_frame(stream, layer.seek.packed_bytes, row.data_offset, row.line.size):
                digest.update(piece)
                yield piece
        except (ValueError, zstandard.ZstdError) as error:
            raise Refused(where, str(error)) from error
        got = Digest.parse(f"sha256:{digest.hexdigest()}")
        if got != row.line.digest:
            raise Refused(where, f"/{row.line.path.text} is {got}, its index says {row.line.digest}")

    def entries(self) -> Iterator[Entry]:
        """Yield everything in the image, decoded and compared with the index, folders first, then layer by layer.

        One layer is unpacked at a time.
        """
        reader = TarReader(self.source, devices="keep")
        *layers, end = self.layers
        for layer in layers:
            yield from self.packed(layer).entries_after(reader, layer.lines)
        self.demand_end(end)

    def demand_end(self, end: ImageLayer) -> None:
        """Raise `Refused` unless the end layer is two blocks of zeros."""
        if decompress_exactly(bytes(self.packed(end).frame), len(TAR_END), self.source) != TAR_END:
            self._refuse("its end layer is not two blocks of zeros")

    def layer_entries(self, layer: ImageLayer) -> list[Entry]:
        """Return one layer's entries, decoded and compared with the index. Raises `Refused`."""
        return self.packed(layer).entries()

    def packed(self, layer: ImageLayer) -> PackedLayer:
        """Return the layer with its frame, read and checked."""
        where = f"{self.source}: layer {layer.name}"
        with self.opened() as stream:
            try:
                frame = Spool().add(_read_pieces(stream, layer.seek))
            except ValueError as error:
                raise Refused(where, str(error)) from error
        if content_digest(frame) != layer.digest:
            raise Refused(where, f"is {content_digest(frame)}, the index says {layer.digest}")
        rows = tuple(str(row) for row in layer.lines)
        unpacked_bytes = layer.seek.unpacked_bytes
        return PackedLayer(name=where, frame=frame, digest=layer.digest, unpacked_bytes=unpacked_bytes, rows=rows)

    def _index(self, frame: bytes, seeks: Sequence[Seek]) -> tuple[Mapping[str, object], tuple[ImageLayer, ...]]:
        try:
            most = min(_index_limit(sum(seek.packed_bytes for seek in seeks) + len(frame)), MAX_IMAGE_INDEX_BYTES)
            table = Table.from_json(_index_body(frame, most), f"{self.source}: index", max_bytes=MAX_IMAGE_INDEX_BYTES)
            if table.count("format") != LAYER_FORMAT:
                table.fail("format", f"want {LAYER_FORMAT}: this image was packed by another cosmos")
            meta: Mapping[str, object] = table.need("meta", dict)
            rows = table.tables("layers")
            if len(rows) != len(seeks):
                table.fail("layers", f"there are {len(rows)}, but the seek table has {len(seeks)} frames")
            layers = tuple(_layer(row, seek) for row, seek in zip(rows, seeks, strict=True))
            table.end()
        except (Malformed, ValueError) as error:
            problem = error.problem if isinstance(error, Malformed) else str(error)
            raise Refused(f"{self.source}: index", problem) from error
        names = [layer.name for layer in layers]
        if names[-1:] != [END] or layers[-1].lines or len(set(names)) != len(names):
            self._refuse("its index does not end with the end layer, or names a layer twice")
        return meta, layers

    def _by_path(self) -> dict[TreePath, tuple[ImageLayer, LayerLine]]:
        owners: dict[TreePath, tuple[ImageLayer, LayerLine]] = {}
        for layer in self.layers:
            for row in layer.lines:
                line = row.line
                if line.path in owners:
                    self._refuse(f"its index has /{line.path.text} twice")
                if row.data_offset + line.size > layer.seek.unpacked_bytes:
                    self._refuse(f"its index has /{line.path.text} beyond the end of layer {layer.name}")
                owners[line.path] = (layer, row)
        return owners

    def _refuse(self, problem: str) -> NoReturn:
        raise Refused(self.source, problem)


def _layer(row: Table, seek: Seek) -> ImageLayer:
    layer = ImageLayer(
        name=row.need("name", str),
        digest=row.read("digest", Digest.parse),
        seek=seek,
        lines=row.parsed_strings("rows", LayerLine.parse),
    )
    if (row.count("packed-bytes"), row.count("unpacked-bytes")) != (seek.packed_bytes, seek.unpacked_bytes):
        row.fail("packed-bytes", "differs from the seek table")
    row.end()
    return layer


def read_frame(stream: BinaryIO, seek: Seek) -> bytes:
    """Return the bytes of a frame as they are packed; raises `ValueError` if the file ends before."""
    return b"".join(_read_pieces(stream, seek))


def _read_pieces(stream: BinaryIO, seek: Seek) -> Iterator[bytes]:
    stream.seek(seek.offset)
    left = seek.packed_bytes
    while left:
        piece = stream.read(min(left, READ_CHUNK_BYTES))
        if not piece:
            raise ValueError("is cut off")
        left -= len(piece)
        yield piece


def _index_limit(file_bytes: int) -> int:
    """Return how long the index of an image of this size may be: what is read of it takes about 13 times as much."""
    return FREE_INDEX_BYTES + MAX_INDEX_RATIO * file_bytes


def _is_plain_json(body: bytes) -> bool:
    """Return whether there are few enough lists and objects: the parser takes 64 bytes for each `{}`."""
    return 16 * (body.count(b"{") + body.count(b"[")) <= len(body) + _FREE_BRACKETS


def _index_row(layer: PackedLayer) -> Json:
    return {
        "name": layer.name,
        "digest": str(layer.digest),
        "packed-bytes": len(layer.frame),
        "unpacked-bytes": layer.unpacked_bytes,
        "rows": list(layer.rows),
    }


def _index_frame(rows: Sequence[Json], packed_bytes: int, meta: Mapping[str, Json]) -> bytes:
    """Return the index of layers, a row for each, whose frames have `packed_bytes` together."""
    body = canonical_json({"format": LAYER_FORMAT, "meta": dict(meta), "layers": [*rows]})
    demand_within(len(body), MAX_IMAGE_INDEX_BYTES, "the image's index", hint="make two images of it")
    sealed = len(body).to_bytes(_LENGTH_BYTES, "little") + compress([body], _INDEX_LEVEL)
    limit = _index_limit(packed_bytes + len(sealed))
    if len(body) > limit or not _is_plain_json(body):
        raise Refused(
            "the image's index", f"would have {len(body)} bytes, the limit for an image of its size is {limit}"
        )
    return skippable_frame(_INDEX_MAGIC + hashlib.sha256(sealed).digest() + sealed, _INDEX_NIBBLE)


def _index_body(frame: bytes, most: int) -> bytes:
    """Return the index's JSON from its skippable frame, of at most `most` bytes, or raise `ValueError`."""
    start = _HEADER_BYTES + len(_INDEX_MAGIC) + _DIGEST_BYTES
    sealed = frame[start:]
    if frame != skippable_frame(_INDEX_MAGIC + hashlib.sha256(sealed).digest() + sealed, _INDEX_NIBBLE):
        raise ValueError("is damaged, or not an index")
    length = int.from_bytes(sealed[:_LENGTH_BYTES], "little")
    if length > most:
        raise ValueError(f"has {length} bytes, the limit for an image of this size is {most}")
    body = decompress_exactly(sealed[_LENGTH_BYTES:], length, "index")
    if not _is_plain_json(body):
        raise ValueError("has too many lists and objects for its length")
    return body
