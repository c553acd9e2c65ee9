"""The layered image: read in part, nothing compressed twice, and no byte of it without a check."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import tarfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from cosmos.canon import Json, canonical_json
from cosmos.content import Content, FileRange, HeldFile
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, Refused, WorldFailed
from cosmos.pack import image_file
from cosmos.pack import seek_table as seek_table_module
from cosmos.pack.image_file import (
    ImageReader,
    LayerLine,
    PackedLayer,
    end_layer,
    image_pieces,
    pack_layer,
)
from cosmos.pack.seek_table import read_seek_table, seek_table
from cosmos.pack.zst import skippable_frame
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath
from fakes.images import index_rows

FOLDERS = [Entry(path=TreePath(path), kind="dir", mode=0o755) for path in (b"bin", b"etc", b"lib")]
BUSYBOX = [
    Entry(path=TreePath(b"bin/busybox"), kind="file", mode=0o4755, content=b"ELF busybox" * 9),
    Entry(path=TreePath(b"bin/ash"), kind="hardlink", mode=0o4755, target=b"bin/busybox"),
    Entry(path=TreePath(b"bin/sh"), kind="symlink", mode=0o777, target=b"busybox"),
]
ZLIB = [Entry(path=TreePath(b"lib/libz.so.1"), kind="file", mode=0o644, content=b"ELF zlib" * 100)]
TEMPLATE = [
    Entry(path=TreePath(b"etc/hostname"), kind="file", mode=0o644, content=b"rescue\n"),
    Entry(path=TreePath(b"etc/tty"), kind="char", mode=0o620, rdev=(5, 0)),
]
LAYERS = [
    pack_layer("directories", FOLDERS, 3),
    pack_layer("busybox-1.35.0", BUSYBOX, 3),
    pack_layer("zlib-1.3.1", ZLIB, 3),
    pack_layer("template", TEMPLATE, 3),
]
META: dict[str, Json] = {"content-root": "sha256:" + "0" * 64}
IMAGE = b"".join(image_pieces(LAYERS, META))


def reader(data: bytes = IMAGE) -> ImageReader:
    return ImageReader.of_stream(io.BytesIO(data), "rescue.tar.zst")


class CountedReads(io.BytesIO):
    """A stream that remembers which bytes were asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[range] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.asked.append(range(start, start + len(data)))
        return data


def test_an_image_names_its_layers_and_what_is_in_them() -> None:
    image = reader()
    assert [layer.name for layer in image.layers] == ["directories", "busybox-1.35.0", "zlib-1.3.1", "template", "end"]
    assert image.meta == META
    wanted = sorted(
        (ManifestLine.of(entry) for entry in [*FOLDERS, *BUSYBOX, *ZLIB, *TEMPLATE]), key=lambda line: line.path
    )
    assert image.lines() == wanted


@pytest.mark.parametrize(("path", "content"), [(b"bin/busybox", b"ELF busybox" * 9), (b"bin/ash", b"ELF busybox" * 9)])
def test_one_file_is_read_through_hard_links(path: bytes, content: bytes) -> None:
    assert reader().read_file(TreePath(path)) == content


def test_reading_one_file_touches_the_index_and_one_frame() -> None:
    stream = CountedReads(IMAGE)
    image = ImageReader.of_stream(stream, "rescue.tar.zst")
    frames = {
        layer.name: range(layer.seek.offset, layer.seek.offset + layer.seek.packed_bytes) for layer in image.layers
    }
    stream.asked.clear()
    assert image.read_file(TreePath(b"lib/libz.so.1")) == b"ELF zlib" * 100
    frame = frames["zlib-1.3.1"]
    assert all(frame.start <= asked.start and asked.stop <= frame.stop for asked in stream.asked)


def test_opening_an_image_reads_no_layer() -> None:
    stream = CountedReads(IMAGE)
    ImageReader.of_stream(stream, "rescue.tar.zst")
    index_start = sum(len(layer.frame) for layer in LAYERS) + len(end_layer().frame)
    assert min(asked.start for asked in stream.asked) == index_start


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (b"bin/nano", "holds no /bin/nano"),
        (b"bin/sh", "symlink to busybox"),
        (b"bin", "but a dir"),
        (b"etc/tty", "a char"),
    ],
)
def test_what_is_no_file_cannot_be_read(path: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        reader().read_file(TreePath(path))


def test_a_file_that_is_not_there_is_the_worlds_failure(tmp_path: Path) -> None:
    with pytest.raises(WorldFailed, match="cannot be read"):
        ImageReader.open(tmp_path / "none.tar.zst")
    (tmp_path / "some.tar.zst").write_bytes(IMAGE)
    assert len(list(ImageReader.open(tmp_path / "some.tar.zst").entries())) == 9


def test_the_same_layers_make_the_same_image() -> None:
    again = [pack_layer(layer.name, layer.entries(), 3) for layer in LAYERS]
    assert b"".join(image_pieces(again, dict(META))) == IMAGE


def test_an_image_is_its_layers_frames_and_three_more() -> None:
    frames = b"".join(layer.frame for layer in LAYERS)
    assert IMAGE.startswith(frames + end_layer().frame)


def test_python_lists_and_reads_an_image() -> None:
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(IMAGE), read_across_frames=True)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        names = [member.name for member in archive]
    assert names == [entry.path.decode() for layer in LAYERS for entry in layer.entries()]


@pytest.mark.parametrize("command", [["tar", "--zstd", "-tf"], ["bsdtar", "-tf"]])
def test_other_tools_list_an_image(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.tar.zst").write_bytes(IMAGE)
    listed = subprocess.run([*command, str(tmp_path / "a.tar.zst")], check=True, capture_output=True, text=True).stdout
    assert [name.rstrip("/") for name in listed.splitlines()] == [
        entry.path.decode() for layer in LAYERS for entry in layer.entries()
    ]


def test_the_seek_table_is_as_zstds_seekable_format_says() -> None:
    """By hand, from contrib/seekable_format/zstd_seekable_compression_format.md."""
    count, descriptor, magic = struct.unpack("<IBI", IMAGE[-9:])
    assert (count, descriptor, magic) == (6, 0, 0x8F92EAB1)
    table = IMAGE[-(8 + 8 * count + 9) :]
    assert struct.unpack("<II", table[:8]) == (0x184D2A5E, 8 * count + 9)
    place = 0
    for packed, unpacked in struct.iter_unpack("<II", table[8:-9]):
        frame = IMAGE[place : place + packed]
        assert len(zstandard.ZstdDecompressor().decompress(frame) if unpacked else b"") == unpacked
        place += packed
    assert place == len(IMAGE) - len(table)


# --- damage


def everything(data: bytes) -> object:
    """Read all that can be read."""
    image = reader(data)
    return image.meta, image.lines(), list(image.entries())


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found_and_the_file_named(flip: int) -> None:
    everything(IMAGE)
    for place in range(len(IMAGE)):
        bent = bytearray(IMAGE)
        bent[place] ^= flip
        with pytest.raises(Refused) as refusal:
            everything(bytes(bent))
        assert refusal.value.where.startswith("rescue.tar.zst")


def test_a_flipped_byte_of_a_layer_names_the_layer() -> None:
    bent = bytearray(IMAGE)
    bent[len(LAYERS[0].frame) + 20] ^= 1
    assert reader(bytes(bent)).read_file(TreePath(b"lib/libz.so.1"))
    with pytest.raises(Refused, match=r"rescue\.tar\.zst: layer busybox-1\.35\.0: is sha256"):
        reader(bytes(bent)).read_file(TreePath(b"bin/busybox"))


@pytest.mark.parametrize("length", [*range(0, len(IMAGE), 29), len(IMAGE) - 1])
def test_an_image_that_is_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(Refused):
        everything(IMAGE[:length])


@pytest.mark.parametrize("tail", [b"\0", bytes(4096), IMAGE[-9:]])
def test_anything_before_or_after_an_image_is_found(tail: bytes) -> None:
    with pytest.raises(Refused):
        everything(IMAGE + tail)
    with pytest.raises(Refused):
        everything(tail + IMAGE)


def test_layers_in_another_order_are_found() -> None:
    swapped = LAYERS[1].frame + LAYERS[0].frame + IMAGE[len(LAYERS[0].frame) + len(LAYERS[1].frame) :]
    with pytest.raises(Refused):
        everything(swapped)


def with_index(change: dict[str, object], layers: list[PackedLayer] = LAYERS) -> bytes:
    """Return an image whose maker lies: a right index of other contents."""
    body = canonical_json({"format": 1, "meta": {}, "layers": index_rows((*layers, end_layer())), **change})
    index = sealed(body)
    sizes = [(len(layer.frame), layer.unpacked_bytes) for layer in (*layers, end_layer())]
    return b"".join([*(layer.frame for layer in (*layers, end_layer())), index, seek_table([*sizes, (len(index), 0)])])


def sealed(body: bytes) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_file, "canonical_json", lambda _: body)
        return image_file._index_frame((), 0, {})


def bent_row(place: int, old: str, new: str) -> list[PackedLayer]:
    """Return the layers where one row of layer `place` says something else."""
    rows = tuple(row.replace(old, new) for row in LAYERS[place].rows)
    assert rows != LAYERS[place].rows
    return [*LAYERS[:place], replace(LAYERS[place], rows=rows), *LAYERS[place + 1 :]]


def test_an_index_made_by_hand_is_right_when_it_does_not_lie() -> None:
    assert everything(with_index({})) == ({}, *everything(IMAGE)[1:])


@pytest.mark.parametrize(
    "layers",
    [
        bent_row(1, " 4755 ", " 0755 "),
        bent_row(1, " 99 ", " 98 "),
        bent_row(1, "bin/sh busybox", "bin/sh /etc/passwd"),
        bent_row(1, "bin/ash bin/busybox", "bin/ash bin/sh"),
        bent_row(2, "512 file", "513 file"),
        bent_row(2, "lib/libz.so.1", "lib/libz.so.2"),
        bent_row(3, " 5:0 ", " 1:1 "),
        [*LAYERS[:2], replace(LAYERS[2], rows=()), LAYERS[3]],
        [*LAYERS[:2], replace(LAYERS[2], rows=LAYERS[2].rows * 2), LAYERS[3]],
        [*LAYERS[:3], replace(LAYERS[3], name="end")],
        [*LAYERS[:3], replace(LAYERS[3], name="directories")],
        [*LAYERS[:3], replace(LAYERS[3], rows=(*LAYERS[3].rows, LAYERS[2].rows[0]))],
    ],
)
def test_an_index_that_lies_of_the_contents_is_refused(layers: list[PackedLayer]) -> None:
    with pytest.raises(Refused):
        everything(with_index({}, layers))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": True},
        {"meta": []},
        {"layers": []},
        {"layers": [{"name": "end"}]},
        {"evil": 1},
        {"layers": "x" * 10},
    ],
)
def test_an_index_of_another_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Refused, match="index"):
        reader(with_index(change))


def test_a_path_in_two_layers_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="twice"):
        reader(with_index({}, [*LAYERS[:3], replace(LAYERS[3], rows=(*LAYERS[3].rows, LAYERS[2].rows[0]))]))


def test_an_index_that_lies_of_one_files_digest_is_refused_when_that_file_is_read() -> None:
    digest = str(ManifestLine.of(ZLIB[0]).digest)
    image = reader(with_index({}, bent_row(2, digest, "sha256:" + "0" * 64)))
    with pytest.raises(Refused, match=r"/lib/libz\.so\.1 is sha256:.*, its index says sha256:0000"):
        image.read_file(TreePath(b"lib/libz.so.1"))


def test_bytes_between_the_index_and_the_seek_table_are_found() -> None:
    table = 8 + 8 * 6 + 9
    with pytest.raises(Refused, match="its seek table says"):
        reader(IMAGE[:-table] + skippable_frame(b"hidden", 1) + IMAGE[-table:])


def test_more_layers_than_declared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seek_table_module, "MAX_IMAGE_LAYERS", 3)
    with pytest.raises(Refused, match="has 6 frames, the limit is 5"):
        reader()


def test_an_index_that_claims_to_be_endless_is_not_decompressed() -> None:
    sealed_length = (1 << 40).to_bytes(8, "little") + image_file.compress([b"{}"], 3)
    digest = hashlib.sha256(sealed_length).digest()
    index = skippable_frame(b"cosmos-index-v1\n" + digest + sealed_length, 0xC)
    with pytest.raises(Refused, match="has 1099511627776 bytes, the limit for an image of this size is"):
        reader(index + seek_table([(len(index), 0)]))


def test_an_index_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MAX_IMAGE_INDEX_BYTES", 100)
    with pytest.raises(Refused, match="the limit for an image of this size is 100"):
        reader()


def test_a_seek_table_without_bound_is_refused() -> None:
    data = b"x" * 100 + struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1)
    with pytest.raises(ValueError, match="has 4294967295 frames"):
        read_seek_table(io.BytesIO(data))


def test_a_layer_with_slack_is_refused() -> None:
    """A user's name in a header changes nothing that we read, but the layer is not as it must be written."""
    content = bytearray(zstandard.ZstdDecompressor().decompress(LAYERS[2].frame))
    content[265] = ord("r")
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + sum(content[156:512]) + 256)
    frame = image_file.compress([content], 3)
    slack = replace(LAYERS[2], frame=frame, digest=image_file.Digest.of(frame))
    with pytest.raises(Refused, match="not written as a layer"):
        everything(with_index({}, [*LAYERS[:2], slack, LAYERS[3]]))


# --- what the writer demands of its layers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([LAYERS[0], pack_layer("a", [*ZLIB], 3), LAYERS[2]], "is in a layer before it"),
        ([LAYERS[0], LAYERS[1], replace(LAYERS[2], name=LAYERS[1].name)], "its name is taken"),
        ([LAYERS[0], replace(LAYERS[1], name="end")], "its name is taken"),
        ([LAYERS[1], LAYERS[0]], "folder: these are in the first layer"),
        ([LAYERS[0], pack_layer("a", BUSYBOX[1:], 3)], "no file before it"),
    ],
)
def test_layers_that_are_no_tree_are_our_bug(layers: list[PackedLayer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(image_pieces(layers, {}))


def test_a_frame_on_the_disk_that_is_changed_while_the_image_is_written_is_noticed(tmp_path: Path) -> None:
    place = tmp_path / "frame"
    place.write_bytes(LAYERS[1].frame)
    frame = FileRange(HeldFile(os.open(place, os.O_RDONLY), "frame"), 0, len(LAYERS[1].frame))
    layers = [LAYERS[0], replace(LAYERS[1], frame=frame), *LAYERS[2:]]
    assert b"".join(image_pieces(layers, META)) == IMAGE
    place.write_bytes(bytes([LAYERS[1].frame[0] ^ 1]) + LAYERS[1].frame[1:])
    with pytest.raises(WorldFailed, match=f"{LAYERS[1].name}: its packed files were changed"):
        list(image_pieces(layers, META))


def test_an_image_is_written_without_holding_its_layers() -> None:
    """The frames of a whole image were in memory together, each up to 8 MiB."""

    class Watched(PackedLayer):
        """With room for a weak reference, which a class with slots lacks."""

    alive: list[weakref.ref[PackedLayer]] = []

    def layers() -> Iterator[PackedLayer]:
        for one in LAYERS:
            assert sum(layer() is not None for layer in alive) <= 1, "the one before may still be in use"
            yield watched(one)

    def watched(one: PackedLayer) -> PackedLayer:
        layer = Watched(
            name=one.name, frame=one.frame, digest=one.digest, unpacked_bytes=one.unpacked_bytes, rows=one.rows
        )
        alive.append(weakref.ref(layer))
        return layer

    assert b"".join(image_pieces(layers(), META)) == IMAGE


# --- kept layers


def kept_again(record: bytes, frame: Content) -> PackedLayer:
    """Return the layer with this record from a store that has this one frame."""

    def frame_of(digest: Digest, size_bytes: int) -> Content | None:
        return frame if (Digest.of(bytes(frame)), len(frame)) == (digest, size_bytes) else None

    layer = PackedLayer.from_record(record, frame_of)
    if layer is None:
        raise Refused("the store", "has no such frame")
    return layer


def test_a_kept_layer_comes_back() -> None:
    for layer in (*LAYERS, end_layer()):
        assert kept_again(layer.record(), layer.frame) == layer


def test_a_record_whose_frame_the_store_lost_gives_no_layer() -> None:
    assert PackedLayer.from_record(LAYERS[2].record(), lambda _digest, _size: None) is None


def test_a_layer_knows_where_each_files_bytes_are() -> None:
    content = zstandard.ZstdDecompressor().decompress(LAYERS[1].frame)
    rows = {row.line.path: row for row in LAYERS[1].lines}
    offset = rows[TreePath(b"bin/busybox")].data_offset
    assert content[offset : offset + 99] == b"ELF busybox" * 9
    assert rows[TreePath(b"bin/sh")].data_offset == 0


def test_every_flipped_byte_of_a_kept_layer_is_found() -> None:
    parts = (LAYERS[2].record(), bytes(LAYERS[2].frame))
    for which, part in enumerate(parts):
        for place in range(len(part)):
            bent = [bytearray(one) for one in parts]
            bent[which][place] ^= 1
            with pytest.raises(CosmosError):
                layer = kept_again(bytes(bent[0]), bytes(bent[1]))
                assert layer.entries() == ZLIB
                if layer.name != LAYERS[2].name:  # its name is in no digest but the store's
                    raise Refused(layer.name, "is another layer")


@pytest.mark.parametrize("length", range(0, len(LAYERS[2].record()), 7))
def test_a_kept_layer_that_is_cut_is_found(length: int) -> None:
    with pytest.raises(CosmosError):
        kept_again(LAYERS[2].record()[:length], LAYERS[2].frame)


@pytest.mark.parametrize("length", range(0, len(LAYERS[2].frame), 7))
def test_a_kept_frame_that_is_cut_is_found(length: int) -> None:
    with pytest.raises(CosmosError):
        kept_again(LAYERS[2].record(), LAYERS[2].frame[:length])


@pytest.mark.parametrize("row", ["", "0", "x file", "-1 " + "x", "01 x", "\u0661 x"])
def test_a_row_is_an_offset_and_a_manifest_line(row: str) -> None:
    with pytest.raises(ValueError, match="want"):
        LayerLine.parse(row)


def test_a_layer_of_4_gib_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosmos.pack.layer.MAX_LAYER_BYTES", 1000)
    with pytest.raises(Malformed, match="one layer can have 1000"):
        pack_layer("a", ZLIB, 3)


def resealed(index: bytes) -> bytes:
    """Return the image with another index."""
    frames = [*(layer.frame for layer in LAYERS), end_layer().frame]
    sizes = [(len(layer.frame), layer.unpacked_bytes) for layer in (*LAYERS, end_layer())]
    sealed = len(index).to_bytes(8, "little") + image_file.compress([index], 3)
    frame = skippable_frame(b"cosmos-index-v1\n" + hashlib.sha256(sealed).digest() + sealed, 0xC)
    return b"".join([*frames, frame, seek_table([*sizes, (len(frame), 0)])])


def index_text() -> str:
    """Return the image's index."""
    *_, place = read_seek_table(io.BytesIO(IMAGE))
    frame = IMAGE[place.offset : place.offset + place.packed_bytes]
    return zstandard.decompress(frame[8 + 16 + 32 + 8 :]).decode()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"name":"end"', '"name":"stop"', "does not end with the end layer"),
        ('"name":"template"', '"name":"end"', "names a layer twice"),
        ("0 0 800 sha256", "0 0 -3 sha256", "rows.0.: want a number from 0 to"),
        (" 0644 0 0 800", " -644 0 0 800", "want a number from 0 to"),
        (" 0644 0 0 800", " 0644 -1 0 800", "want a number from 0 to"),
        (" 0644 0 0 800", " 0644 0 4294967296 800", "want a number from 0 to"),
        (" 0644 0 0 800", " 0644 0 0 " + "9" * 5000, "want a number from 0 to"),
        ("char 0620 0 0 0 - 5:0", "char 0620 0 0 0 - -5:0", "want a number from 0 to"),
        ("char 0620 0 0 0 - 5:0", "char 0620 0 0 0 - -", "a size, digest or device number that a char does not have"),
        ("char 0620 0 0 0 -", "char 0620 0 0 7 -", "a size, digest or device number that a char does not have"),
        ("512 file 0644 0 0 800", "512 file 0644 0 0 99800", "beyond the end of layer zlib-1.3.1"),
    ],
)  # fmt: skip
def test_an_index_with_a_fault_is_refused_in_words(old: str, new: str, said: str) -> None:
    assert old in index_text()
    assert reader(resealed(index_text().encode())).lines() == reader().lines()
    with pytest.raises(Refused, match=said):
        reader(resealed(index_text().replace(old, new).encode()))


def test_a_hard_link_of_the_index_to_a_file_of_another_layer_is_refused() -> None:
    text = index_text().replace("bin/ash bin/busybox", "bin/ash lib/libz.so.1")
    with pytest.raises(Refused, match="a hard link to no file of layer busybox"):
        reader(resealed(text.encode())).read_file(TreePath(b"bin/ash"))


def test_an_image_whose_index_would_be_refused_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "FREE_INDEX_BYTES", 0)
    monkeypatch.setattr(image_file, "MAX_INDEX_RATIO", 0)
    with pytest.raises(Refused, match="the limit for an image of its size is 0"):
        list(image_pieces(LAYERS, META))


def test_a_large_file_is_checked_whole_before_its_first_byte_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "_HELD_BYTES", 0)
    path = TreePath(b"lib/libz.so.1")
    assert b"".join(reader().file_pieces(path)) == b"ELF zlib" * 100
    digest = str(next(line.digest for line in reader().lines() if line.path == path))
    other = reader(resealed(index_text().replace(digest, "sha256:" + "0" * 64).encode()))
    with pytest.raises(Refused, match="its index says sha256:000"):
        next(other.file_pieces(path))
