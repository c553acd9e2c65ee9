"""Output formats: what each reads of `[[output]]`, and what each writes of one finished tree."""

from __future__ import annotations

import io
from functools import partial

import pytest
import zstandard

from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution
from cosmos.image.outputs import initramfs
from cosmos.image.outputs.formats import FORMATS, Output, demand_own_names, level_of, read_outputs
from cosmos.image.outputs.initramfs import Initramfs
from cosmos.image.outputs.layered import LayeredImage
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.image.outputs.single_file import SingleFile
from cosmos.pack.image_file import DIRECTORIES, ImageReader, PackedLayer, pack_layer
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.tree.overlay import Layer, overlay
from cosmos.treepath import TreePath
from fakes.stores import MemoryStore
from fakes.worlds import OUT, MemoryDraft, memory_definition

IMAGE = memory_definition(stars={}).image
BOOT = Entry(path=TreePath(b"boot"), kind="dir", mode=0o755)
FILES = {
    "kernel": [Entry(path=TreePath(b"boot/vmlinuz-6.1"), kind="file", mode=0o644, content=b"kernel" * 9)],
    "tools": [
        Entry(path=TreePath(b"usr/bin/a"), kind="file", mode=0o755, content=b"tool"),
        Entry(path=TreePath(b"usr/bin/b"), kind="hardlink", mode=0o755, target=b"usr/bin/a"),
        Entry(path=TreePath(b"usr/bin/c"), kind="symlink", mode=0o777, target=b"a"),
    ],
}


def _itself(frame: PackedLayer) -> PackedLayer:
    return frame


def packed(extra: Entry | None = None, store: MemoryStore | None = None) -> PackedTree:
    """Return a finished tree of two stars' layers."""
    store = store or MemoryStore()
    stars = {**FILES, **({"more": [extra]} if extra is not None else {})}
    layers = [Layer(owner=name, lines=list(map(ManifestLine.of, entries))) for name, entries in stars.items()]
    tree = overlay(layers, {})
    folders = [Entry(path=path, kind="dir", mode=line.mode) for path, line in tree.lines.items() if line.kind == "dir"]
    frames = [pack_layer(DIRECTORIES, folders, 3), *(pack_layer(name, entries, 3) for name, entries in stars.items())]
    return PackedTree(
        image=IMAGE,
        overlaid=tree,
        root=content_root(tree.lines.values()),
        openers=[partial(_itself, frame) for frame in frames],
        store=store,
        warn=print,
    )


def written(output: Output, tree: PackedTree) -> bytes:
    """Return the bytes of the one file that `output` writes, under the name that it says."""
    draft = MemoryDraft({}, OUT)
    output.write(tree, draft)
    assert list(draft.files) == [output.file_name(IMAGE)]
    return draft._data[output.file_name(IMAGE)]


def test_every_format_is_read_with_its_own_options_and_no_others() -> None:
    rows = [
        {"format": "tar.zst", "level": 3},
        {"format": "cpio.zst", "level": 4, "exclude": ["boot/**"]},
        {"format": "file", "path": "boot/vmlinuz*", "as": "vmlinuz"},
    ]
    assert read_outputs(rows, "image.toml") == (
        LayeredImage(level=3),
        Initramfs(level=4, exclude=("boot/**",)),
        SingleFile(path="boot/vmlinuz*", name="vmlinuz"),
    )
    assert read_outputs([], "image.toml") == (LayeredImage(level=9),)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"format": "tar.zst", "exclude": ["x"]}, r"output\[0\]\.exclude: unknown key"),
        ({"format": "file", "path": "x", "as": "x", "level": 3}, r"output\[0\]\.level: unknown key"),
        ({"format": "cpio.zst", "level": 23}, r"output\[0\]\.level: want 1 to 22, got 23"),
        ({"format": "file", "path": "x", "as": "../x"}, r"output\[0\]\.as: want a plain file name"),
        ({"format": "iso"}, r"output\[0\]\.format: want one of tar\.zst, cpio\.zst, file, got 'iso'"),
    ],
)
def test_an_option_that_a_format_does_not_have_is_named(row: dict[str, object], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_outputs([row], "image.toml")


def test_the_layers_level_is_that_of_the_layered_image_else_of_the_first_packed_output() -> None:
    assert level_of((Initramfs(level=4), LayeredImage(level=3))) == 3
    assert level_of((SingleFile(path="x", name="x"), Initramfs(level=4), Initramfs(level=5))) == 4
    assert level_of((SingleFile(path="x", name="x"),)) == 9


@pytest.mark.parametrize("format_", FORMATS)
def test_two_outputs_may_not_have_one_name_nor_that_of_another_file(format_: str) -> None:
    row = {"format": format_, **({"path": "x", "as": "y"} if format_ == "file" else {})}
    one, other = read_outputs([row, row], "image.toml")
    demand_own_names([one], IMAGE, ["RELEASE.json"])
    with pytest.raises(Malformed, match=f"output: {one.file_name(IMAGE)} is made twice"):
        demand_own_names([one, other], IMAGE, [])
    with pytest.raises(Malformed, match=f"output: {one.file_name(IMAGE)} is made twice"):
        demand_own_names([one], IMAGE, [one.file_name(IMAGE)])


def test_a_layered_image_holds_the_tree_and_says_its_content_root() -> None:
    tree = packed()
    reader = ImageReader.of_stream(io.BytesIO(written(LayeredImage(), tree)), "image")
    assert reader.meta == {"content-root": str(tree.root)}
    assert reader.lines() == list(tree.overlaid.lines.values())
    assert [layer.name for layer in reader.layers] == ["directories", "kernel", "tools", "end"]


def test_an_initramfs_holds_all_but_what_is_excluded() -> None:
    tree = packed()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(written(Initramfs(exclude=("boot/**",)), tree))
    assert b"usr/bin/a\0" in data
    assert b"vmlinuz" not in data
    assert b"kernel" not in data
    assert data.startswith(b"070701"), "the newc format, which kernels read"


def test_an_initramfs_is_made_once_and_found_again_while_nothing_that_shapes_it_changes() -> None:
    store = MemoryStore()
    tree = packed(store=store)
    first = written(Initramfs(level=3), tree)
    for key in list(store.results):
        store.put_made(key, b"what the store has")
    assert written(Initramfs(level=3), tree) == b"what the store has"
    assert written(Initramfs(level=4), tree) != b"what the store has"
    assert written(Initramfs(level=3, exclude=("boot/**",)), tree) not in (b"what the store has", first)


def test_an_initramfs_that_is_too_large_for_a_store_is_made_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    tree = packed(store=store)
    monkeypatch.setattr(initramfs, "MAX_STORED_BYTES", 10)
    before = dict(store.results)
    assert written(Initramfs(level=3), tree) == written(Initramfs(level=3), tree)
    assert store.results == before


def test_an_initramfs_refuses_what_cpio_cannot_hold_and_says_how_to_leave_it_out() -> None:
    entry = Entry(path=TreePath(b"usr/bin/ping"), kind="file", mode=0o755, xattrs=((b"security.capability", b"x"),))
    with pytest.raises(NoSolution, match="/usr/bin/ping: has extended attributes") as caught:
        written(Initramfs(), packed(entry))
    assert "exclude" in (caught.value.hint or "")
    written(Initramfs(exclude=("usr/bin/ping",)), packed(entry))


@pytest.mark.parametrize("path", ["boot/vmlinuz-*", "/boot/vmlinuz-6.1"])
def test_a_single_file_is_the_one_that_matches(path: str) -> None:
    assert written(SingleFile(path=path, name="vmlinuz"), packed()) == b"kernel" * 9


def test_a_single_file_may_be_a_hard_link_but_no_symlink() -> None:
    assert written(SingleFile(path="usr/bin/b", name="b"), packed()) == b"tool"
    with pytest.raises(Malformed, match="matches none"):
        written(SingleFile(path="usr/bin/c", name="c"), packed())


@pytest.mark.parametrize(("path", "listed"), [("usr/bin/*", "/usr/bin/a, /usr/bin/b"), ("nowhere", "none")])
def test_a_single_file_is_refused_where_not_exactly_one_matches(path: str, listed: str) -> None:
    with pytest.raises(Malformed, match=f"output x: want one file, .* matches {listed}"):
        written(SingleFile(path=path, name="x"), packed())


def test_the_bytes_of_a_path_are_those_of_the_layer_that_holds_it() -> None:
    tree = packed()
    assert Digest.of(bytes(tree.content_of(TreePath(b"usr/bin/b")))) == Digest.of(b"tool")
    with pytest.raises(KeyError):
        tree.content_of(TreePath(b"usr/bin/none"))
