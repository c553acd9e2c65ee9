"""Write the files of a release: the layered image, the initramfs, single files of the tree.

A tree's bytes lie in packed layers; each is opened once per output, in lock order, so that one layer's bytes are in
memory at a time. The exception is the initramfs, which is compressed as one frame (a kernel reads no other) and must
fit into the memory of the machine that boots it anyway; it is kept in the store, since compressing it is most of a
build in which nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos.canon import Json, digest_of
from cosmos.durable import durable_file, write_durably
from cosmos.errors import Malformed, NoSolution
from cosmos.globs import matches_any
from cosmos.model.image import Image, Output
from cosmos.pack.cpio import cpio_pieces, xattr_losses
from cosmos.pack.image_file import LAYER_FORMAT, PackedLayer, image_pieces
from cosmos.pack.zst import ZSTD_VERSION, compress
from cosmos.store.blobs import Store
from cosmos.tree.entry import Entry
from cosmos.tree.overlay import Overlaid
from cosmos.treepath import TreePath

BINARY_PATH = TreePath(b"usr/bin/cosmos")
BINARY_FILE = "cosmos"
_CODEC: dict[str, Json] = {"format": LAYER_FORMAT, "zstd": ZSTD_VERSION}


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedTree:
    """A finished tree: its lines and owners, and its layers, opened one at a time by `layers()`."""

    overlaid: Overlaid
    layers: Callable[[], Iterator[PackedLayer]]
    store: Store

    def bytes_of(self, path: TreePath) -> bytes:
        """Return one file's bytes from the layer that holds it; hard links are followed."""
        line = self.overlaid.lines[path]
        wanted = TreePath(line.target) if line.kind == "hardlink" else path
        for layer in self.layers():
            if any(row.line.path == wanted for row in layer.lines):
                return layer.read_file(wanted)
        raise KeyError(path)

    def entries(self) -> Iterator[Entry]:
        """Iterate over all entries: folders first, then layer by layer."""
        for layer in self.layers():
            yield from layer.entries()


def write_output(output: Output, image: Image, tree: PackedTree, folder: Path, about: dict[str, Json]) -> Path:
    """Write one output into `folder` and return its file; raises `WorldFailed`, `NoSolution`, `Malformed`."""
    match output.format:
        case "tar.zst":
            return _write_image(image, tree, folder, about)
        case "cpio.zst":
            return _write_initramfs(output, image, tree, folder)
        case "file":
            return _write_file(output, tree, folder)


def image_name(image: Image, suffix: str) -> str:
    """Return NAME-VERSION-ARCH and a suffix: what an image is called."""
    return f"{image.name}-{image.version}-{image.arch}.{suffix}"


def write_binary(tree: PackedTree, folder: Path) -> Path | None:
    """Write the `cosmos` that is inside the tree beside the image, or return None where there is none."""
    if BINARY_PATH not in tree.overlaid.lines:
        return None
    write_durably(folder / BINARY_FILE, tree.bytes_of(BINARY_PATH), 0o755)
    return folder / BINARY_FILE


def _write_image(image: Image, tree: PackedTree, folder: Path, about: dict[str, Json]) -> Path:
    file = folder / image_name(image, "tar.zst")
    with durable_file(file) as stream:
        for piece in image_pieces(list(tree.layers()), about):
            stream.write(piece)
    return file


def _write_initramfs(output: Output, image: Image, tree: PackedTree, folder: Path) -> Path:
    file = folder / image_name(image, "cpio.zst")
    frames: list[Json] = [str(layer.digest) for layer in tree.layers()]
    key = digest_of({"what": "cpio", "frames": frames, "exclude": [*output.exclude], "level": output.level, **_CODEC})
    data = tree.store.get_made(key)
    if data is None:
        data = _initramfs(output, tree)
        tree.store.put_made(key, data)
    write_durably(file, data)
    return file


def _initramfs(output: Output, tree: PackedTree) -> bytes:
    kept = [entry for entry in tree.entries() if not matches_any(entry.path, output.exclude)]
    lost = xattr_losses(kept)
    if lost:
        raise NoSolution(
            f"/{lost[0].path.text}",
            "has extended attributes, which an initramfs (cpio) cannot hold",
            hint='exclude it: [[output]] format = "cpio.zst", exclude = ["…"]',
        )
    return compress(list(cpio_pieces(kept)), output.level)


def _write_file(output: Output, tree: PackedTree, folder: Path) -> Path:
    wanted = output.path.lstrip("/")
    found = [
        path
        for path, line in tree.overlaid.lines.items()
        if line.kind in ("file", "hardlink") and matches_any(path, [wanted])
    ]
    if len(found) != 1:
        listed = ", ".join(f"/{path.text}" for path in found[:4])
        raise Malformed(
            "image.toml", f"output {output.file_name}: want one file, {output.path} matches {listed or 'none'}"
        )
    write_durably(folder / output.file_name, tree.bytes_of(found[0]))
    return folder / output.file_name


def unique_names(image: Image) -> None:
    """Refuse an image definition two of whose outputs would have one name."""
    names = [output.file_name or output.format for output in image.outputs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Malformed("image.toml", f"output: {doubled[0]} is made twice")


def opened_once(layers: Sequence[Callable[[], PackedLayer]]) -> Callable[[], Iterator[PackedLayer]]:
    """Return what `PackedTree.layers` wants, from one opener a layer."""
    return lambda: (layer() for layer in layers)
