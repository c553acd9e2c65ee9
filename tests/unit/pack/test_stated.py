"""What the fast reader of layers says is what the strict reader says, or it says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import zstandard

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.pack.layer import LayerLine, pack_layer
from cosmos.pack.stated import Passing, Whole, stated_entries
from cosmos.pack.untar import TarReader
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

FILES = [
    Entry(path=TreePath(b"usr/bin/a"), kind="file", mode=0o755, mtime=7, content=b"abc" * 700),
    Entry(path=TreePath(b"usr/bin/b"), kind="hardlink", mode=0o755, mtime=7, target=b"usr/bin/a"),
    Entry(path=TreePath(b"usr/bin/c"), kind="symlink", mode=0o777, mtime=8, target=b"../lib/x"),
    Entry(path=TreePath(b"usr/share/" + b"long/" * 40 + b"name"), kind="file", mode=0o644, mtime=9, content=b"x"),
]
LAYER = pack_layer("a", FILES, 1)
TAR = zstandard.ZstdDecompressor().decompress(bytes(LAYER.frame))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


def whole(lines: Sequence[LayerLine], content: Content) -> list[Entry] | None:
    source = Whole(content)
    entries = stated_entries(lines, source)
    return None if source.take(1) else entries


@pytest.mark.parametrize("size", [1, 511, 512, 513, 10_000])
def test_pieces_of_any_size_give_the_same_entries_without_contents(size: int) -> None:
    source = Passing(pieces(TAR, size))
    stated = stated_entries(LAYER.lines, source)
    assert stated == [replace(entry, content=b"", hashed=None) for entry in FILES]
    assert source.take(1) == b""


def test_every_changed_byte_of_a_layer_is_left_to_the_strict_reader() -> None:
    for place in range(0, len(TAR), 7):
        bent = bytearray(TAR)
        bent[place] ^= 1
        assert whole(LAYER.lines, bytes(bent)) is None, place


@pytest.mark.parametrize("length", [0, 100, 512, 600, len(TAR) - 512, len(TAR) - 1])
def test_a_layer_that_is_cut_is_left_to_the_strict_reader(length: int) -> None:
    assert whole(LAYER.lines, TAR[:length]) is None
    assert stated_entries(LAYER.lines, Passing(pieces(TAR[:length], 100))) is None


def test_bytes_after_the_last_member_are_noticed() -> None:
    assert whole(LAYER.lines, TAR + bytes(512)) is None


def other_digest(row: LayerLine) -> LayerLine:
    return replace(row, line=replace(row.line, digest=Digest.of(b"other")))


def other_mode(row: LayerLine) -> LayerLine:
    return replace(row, line=replace(row.line, mode=0o4755))


def other_path(row: LayerLine) -> LayerLine:
    return replace(row, line=replace(row.line, path=TreePath(b"usr/bin/aa")))


def other_place(row: LayerLine) -> LayerLine:
    return replace(row, data_offset=row.data_offset + 1)


@pytest.mark.parametrize("lie", [other_digest, other_mode, other_path, other_place])
def test_an_index_that_lies_is_believed_by_nobody(lie: object) -> None:
    assert callable(lie)
    rows = (lie(LAYER.lines[0]), *LAYER.lines[1:])
    assert whole(rows, TAR) is None
    layer = replace(LAYER, rows=tuple(map(str, rows)))
    with pytest.raises(Refused, match="its members are not what its index says"):
        layer.entries()


def test_a_hard_link_must_have_its_files_rights() -> None:
    layer = pack_layer("a", [FILES[0], replace(FILES[1], mode=0o4755)], 1)
    tar = zstandard.ZstdDecompressor().decompress(bytes(layer.frame))
    assert whole(layer.lines, tar) is None
    with pytest.raises(Refused):
        layer.entries()


def test_names_are_judged_after_a_fast_reading_as_well() -> None:
    reader = TarReader("image", devices="keep")
    assert LAYER.entries_after(reader) == FILES
    with pytest.raises(Refused, match="is there twice"):
        LAYER.entries_after(reader)
