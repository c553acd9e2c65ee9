"""One layer of an image: some entries as tar members in one zstd frame, with an index of the entries.

A layer is made once and kept in the store: its frame as a blob, and a record (`PackedLayer.record`). Images are joined
from kept frames. The record is canonical JSON, an object with

    name             the layer's name
    digest           of the frame as it is packed
    packed-bytes     of the frame
    unpacked-bytes   of the frame's content
    rows             one string an entry, in the order of the members: OFFSET, a space, and its manifest line
                     (cosmos.tree.manifest); OFFSET is where a file's bytes begin in the content, 0 for other entries

The members are in byte order of path, except a hard link whose file would come later: such a link is moved to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Final, Literal, Self

from cosmos.canon import canonical_json
from cosmos.content import Content, FileRange, content_digest, pieces
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_IMAGE_INDEX_BYTES, demand_within
from cosmos.pack.stated import Whole, stated_entries
from cosmos.pack.tar import tar_members
from cosmos.pack.untar import TarReader
from cosmos.pack.zst import compressed, compressed_for_now, decompress_exactly, unpacked_exactly
from cosmos.records import dataclass, quick
from cosmos.spool import Spool
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

MAX_LAYER_BYTES: Final = (1 << 32) - 1  # packed or unpacked: a seek table's numbers have 32 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerLine:
    """One entry of a layer. `data_offset` is where a file's bytes begin in the layer's content; 0 for other entries."""

    line: ManifestLine
    data_offset: int

    @classmethod
    def parse(cls, row: str) -> LayerLine:
        """Return the row of the text form, or raise `ValueError`."""
        offset, _, line = row.partition(" ")
        if not offset.isascii() or not offset.isdigit() or (offset[0] == "0" and offset != "0"):
            raise ValueError(f"want an offset and a manifest line, got {row[:80]!r}")
        return _layer_line(ManifestLine.parse(line), int(offset))

    def __str__(self) -> str:
        return f"{self.data_offset} {self.line}"


_layer_line: Final = quick(LayerLine)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedLayer:
    """A packed layer. `digest` is the frame's; `rows` are its `LayerLine`s as text: most callers pass them on."""

    name: str
    frame: Content
    digest: Digest
    unpacked_bytes: int
    rows: tuple[str, ...]

    @property
    def lines(self) -> tuple[LayerLine, ...]:
        """Its rows in the order of the members, parsed at each call; raises `Refused`."""
        try:
            return tuple(LayerLine.parse(row) for row in self.rows)
        except ValueError as error:
            raise Refused(self.name, str(error)) from error

    def entries(self) -> list[Entry]:
        """Return its entries, decoded and compared with `rows`; raises `Refused`."""
        return self.entries_after(TarReader(self.name, devices="keep"))

    def entries_after(self, reader: TarReader, lines: Sequence[LayerLine] | None = None) -> list[Entry]:
        """Return its entries, as the next members of the archive that `reader` is reading.

        `lines` are its `rows` as the caller has parsed them. Raises `Refused` if the members are not written in a
        layer's form, or differ from `rows`.
        """
        content = self._content()
        whole = Whole(content)
        stated = stated_entries(self.lines if lines is None else lines, whole)
        if stated is not None and not whole.take(1):
            reader.accept(stated)
            return stated
        entries, _ = reader.read(content)
        members = _members(entries)
        if not _is_written_as(members, content):
            raise Refused(self.name, "its members are not written as a layer's are")
        if _rows(members) != self.rows:
            raise Refused(self.name, "its members are not what its index says")
        return entries

    def read_file(self, path: TreePath) -> Content:
        """Return a file's content; follows hard links. Raises `KeyError` if it has no such file, `Refused`."""
        held = {row.line.path: row for row in self.lines}
        row = held[path]
        if row.line.kind == "hardlink":
            row = held[TreePath(row.line.target)]
        if row.line.kind != "file":
            raise KeyError(path)
        data = self._content()[row.data_offset : row.data_offset + row.line.size]
        if content_digest(data) != row.line.digest:
            raise Refused(self.name, f"/{path.text} is {content_digest(data)}, its index says {row.line.digest}")
        return data

    def record(self) -> bytes:
        """Return the record that is kept of it (see the module's docstring)."""
        record = canonical_json(
            {
                "name": self.name,
                "digest": str(self.digest),
                "packed-bytes": len(self.frame),
                "unpacked-bytes": self.unpacked_bytes,
                "rows": list(self.rows),
            }
        )
        demand_within(len(record), MAX_IMAGE_INDEX_BYTES, self.name, hint="split the star")
        return record

    @classmethod
    def from_record(cls, record: bytes, frame_of: Callable[[Digest, int], Content | None]) -> Self | None:
        """Return the layer with this record, or None if `frame_of` has no frame for it. Raises `Malformed`.

        `frame_of` gets the digest and the size of the frame, and returns bytes that it has hashed.
        """
        table = Table.from_json(record, "a kept layer", max_bytes=MAX_IMAGE_INDEX_BYTES)
        name, digest = table.need("name", str), table.read("digest", Digest.parse)
        packed_bytes = table.count("packed-bytes", most=MAX_LAYER_BYTES)
        unpacked_bytes = table.count("unpacked-bytes", most=MAX_LAYER_BYTES)
        rows = table.strings("rows")
        table.end()
        frame = frame_of(digest, packed_bytes)
        if frame is None:
            return None
        return cls(name=name, frame=frame, digest=digest, unpacked_bytes=unpacked_bytes, rows=rows)

    def _content(self) -> Content:
        spool = Spool()
        if not isinstance(self.frame, FileRange) and spool.fits(self.unpacked_bytes):
            return decompress_exactly(self.frame, self.unpacked_bytes, self.name)
        return spool.add(unpacked_exactly(self.frame, ".zst", self.unpacked_bytes, self.name))


def tree_of_layers() -> Callable[[PackedLayer], None]:
    """Return what takes one layer after the other, and raises `ValueError` for one that does not fit those before it.

    Each path and layer name is unique, folders come first, and links after their files.
    """
    kinds: dict[str, str] = {}
    names: set[str] = set()

    def demand_fits(layer: PackedLayer) -> None:
        if layer.name in names:
            raise ValueError(f"layer {layer.name}: its name is taken")
        for row in layer.rows:
            kind, path, target = itemgetter(1, 9, 10)(row.split(" "))
            if path in kinds:
                raise ValueError(f"layer {layer.name}: /{path} is in a layer before it")
            if kind == "dir" and names:
                raise ValueError(f"layer {layer.name}: /{path} is a folder: these are in the first layer")
            if kind == "hardlink" and kinds.get(target) != "file":
                raise ValueError(f"layer {layer.name}: /{path} is a hard link to /{target}, no file before it")
            kinds[path] = kind
        names.add(layer.name)

    return demand_fits


def layer_of_frame(name: str, frame: Content, unpacked_bytes: int, content: Content | None = None) -> PackedLayer:
    """Return the layer that `frame` packs, with the rows of its members. `content` is the frame's, if it is known.

    Raises `Refused` if it is no layer that can be read without those before it.
    """
    digest = content_digest(frame)
    layer = PackedLayer(name=name, frame=frame, digest=digest, unpacked_bytes=unpacked_bytes, rows=())
    held = layer._content() if content is None else content
    entries, _ = TarReader(name, devices="keep").read(held)
    members = _members(entries)
    if not _is_written_as(members, held):
        raise Refused(name, "its members are not written as a layer's are")
    return replace(layer, rows=_rows(members))


def pack_layer(
    name: str,
    entries: Iterable[Entry],
    level: int,
    spool: Spool | None = None,
    frame_in: Literal["spool", "memory"] = "spool",
) -> PackedLayer:
    """Return the layer of `entries`, given in any order; raises `Malformed` if it would be too large.

    A frame of up to `MAX_AT_ONCE_BYTES` of content is made in memory. `frame_in="memory"` leaves it there, for a caller
    who writes it next.
    """
    members, spool = _members(entries), spool or Spool()
    unpacked_bytes = sum(len(piece) for member in members for piece in member.pieces)
    frame: Content = b""
    if unpacked_bytes <= MAX_LAYER_BYTES:
        tar = spool.add(piece for member in members for part in member.pieces for piece in pieces(part))
        frame = (compressed if frame_in == "spool" else compressed_for_now)(tar, level, spool)
    if max(unpacked_bytes, len(frame)) > MAX_LAYER_BYTES:
        raise Malformed(
            name, f"has {unpacked_bytes} bytes, one layer can have {MAX_LAYER_BYTES}", hint="split the star"
        )
    return PackedLayer(
        name=name, frame=frame, digest=content_digest(frame), unpacked_bytes=unpacked_bytes, rows=_rows(members)
    )


def layer_bytes(entries: Iterable[Entry]) -> bytes:
    """Return the content of the layer of `entries`, given in any order: its tar members, held in memory."""
    members = _members(entries)
    return b"".join(piece for member in members for part in member.pieces for piece in pieces(part))


def members_in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order of an archive: by path, each hard link after its file."""
    return sorted(
        entries,
        key=lambda entry: (entry.kind == "hardlink" and entry.target > entry.path, entry.path),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    entry: Entry
    pieces: tuple[Content, ...]


def _members(entries: Iterable[Entry]) -> list[_Member]:
    return [_Member(entry=entry, pieces=tuple(tar_members((entry,)))) for entry in members_in_order(entries)]


def _is_written_as(members: Sequence[_Member], content: Content) -> bool:
    """Return whether `content` is exactly these members. It does not compare the files' bytes, which are its slices."""
    place = 0
    for member in members:
        header = member.pieces[0]
        if content[place : place + len(header)] != header:
            return False
        place += sum(len(piece) for piece in member.pieces)
    return place == len(content)


def _rows(members: Sequence[_Member]) -> tuple[str, ...]:
    rows: list[str] = []
    place = 0
    for member in members:
        data_offset = place + len(member.pieces[0]) if member.entry.kind == "file" else 0
        rows.append(f"{data_offset} {ManifestLine.of(member.entry)}")
        place += sum(len(piece) for piece in member.pieces)
    return tuple(rows)
