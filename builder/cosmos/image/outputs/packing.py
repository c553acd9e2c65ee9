"""Pack a finished tree into its frames, and write every file of the release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from cosmos.content import pieces
from cosmos.image.outputs.formats import Output
from cosmos.image.outputs.packed_tree import PackedTree
from cosmos.image.overlay.finished_tree import FinishedTree
from cosmos.image.workshop.layers import Layers, Workshop
from cosmos.model.image import Image
from cosmos.model.names import StarName
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.model.release import BINARY_FILE, MANIFEST_FILE
from cosmos.model.reporter import Reporter
from cosmos.pack.image_file import DIRECTORIES, PackedLayer, pack_layer
from cosmos.release.draft import Draft
from cosmos.tree.entry import Entry, normalised
from cosmos.tree.manifest import bounded_manifest, content_root
from cosmos.tree.overlay import TEMPLATE, Layer
from cosmos.treepath import TreePath

BINARY_PATH = TreePath(b"usr/bin/cosmos")


def packed_tree(image: Image, finished: FinishedTree, layers: Layers, workshop: Workshop) -> PackedTree:
    """Return the tree with its layers: one of all folders, one of each star that has files, and the image's own."""
    spool = workshop.store.spool()
    first = pack_layer(DIRECTORIES, _folders(finished, workshop.epoch), workshop.level, spool)
    last = pack_layer(TEMPLATE, _own_files(finished, layers, workshop), workshop.level, spool)
    return PackedTree(
        image=image,
        overlaid=finished.overlaid,
        root=content_root(finished.overlaid.lines.values()),
        openers=(lambda: first, *_star_layers(layers, finished, workshop), lambda: last),
        store=workshop.store,
        warn=workshop.warn,
        secret_files=finished.secret_files,
    )


def write_release(
    outputs: Sequence[Output], tree: PackedTree, receipts: Receipts, draft: Draft, reporter: Reporter
) -> None:
    """Write every output, the `cosmos` that is inside the tree, its manifest and the receipts."""
    for done, output in enumerate(outputs):
        reporter.progress(f"pack {output.file_name(tree.image)}", done, len(outputs))
        output.write(tree, draft)
    reporter.progress("pack", len(outputs), len(outputs))
    binary = tree.overlaid.lines.get(BINARY_PATH)
    if binary is not None and binary.kind in ("file", "hardlink") and BINARY_PATH not in tree.secret_files:
        draft.write(BINARY_FILE, pieces(tree.content_of(BINARY_PATH)), 0o755)
    draft.write(MANIFEST_FILE, [bounded_manifest(tree.overlaid.lines.values(), MANIFEST_FILE)])
    draft.write(RECEIPTS_FILE, [receipts.to_bytes()])


def _folders(finished: FinishedTree, epoch: int) -> list[Entry]:
    return [
        Entry(path=path, kind="dir", mode=line.mode, uid=line.uid, gid=line.gid, mtime=epoch, xattrs=line.xattrs)
        for path, line in finished.overlaid.lines.items()
        if line.kind == "dir"
    ]


def _own_files(finished: FinishedTree, layers: Layers, workshop: Workshop) -> list[Entry]:
    """Return the files of the image's own layer with their bytes, in order, none newer than the epoch."""
    own = dict(finished.own)
    for star in dict.fromkeys(finished.taken.values()):
        packed = workshop.packed(star, layers, frozenset())
        for path in (path for path, owner in finished.taken.items() if owner == star):
            own[path] = replace(own[path], content=packed.read_file(path), mtime=workshop.epoch)
    return normalised((entry for entry in own.values() if entry.kind != "dir"), workshop.epoch)


def _star_layers(layers: Layers, finished: FinishedTree, workshop: Workshop) -> Iterator[Callable[[], PackedLayer]]:
    """Yield one opener for each star that has files, in lock order."""
    for name, layer in layers.items():
        dropped = finished.overlaid.dropped(Layer(owner=name, lines=layer.lines))
        if any(line.kind != "dir" and line.path not in dropped for line in layer.lines):
            yield _opener(workshop, name, layers, dropped)


def _opener(
    workshop: Workshop, name: StarName, layers: Layers, dropped: frozenset[TreePath]
) -> Callable[[], PackedLayer]:
    return lambda: workshop.packed(name, layers, dropped)
