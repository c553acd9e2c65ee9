"""Check a whole image against its index: several layers at once, each in pieces, with no content kept."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from cosmos.content import Content, FileRange, HeldFile, content_digest
from cosmos.errors import Refused
from cosmos.limits import MAX_CONTENT_IN_MEMORY_BYTES
from cosmos.pack.image_file import ImageLayer, ImageReader, read_frame
from cosmos.pack.stated import Passing, stated_entries
from cosmos.pack.untar import TarReader
from cosmos.pack.zst import decompress_exactly, unpacked_exactly
from cosmos.tree.entry import Entry


def demand_as_indexed(
    image: ImageReader, workers: int, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> None:
    """Raise `Refused` unless all that `image` holds is as its index says: what `ImageReader.entries` finds.

    For a reader of a file (`ImageReader.open`). So many `workers` unpack and hash layers at the same time, each in
    pieces: one has `MAX_CONTENT_IN_MEMORY_BYTES` of packed data in memory, a piece of content, and a decoder's window.
    A larger frame is hashed while it is unpacked. `progress` gets how many bytes of how many are checked.
    """
    reader = TarReader(image.source, devices="keep")
    *layers, end = image.layers
    total, done = sum(layer.seek.unpacked_bytes for layer in layers), 0
    with ThreadPoolExecutor(workers) as pool:
        running: deque[tuple[ImageLayer, Future[list[Entry] | None]]] = deque()
        try:
            for layer in (*layers, None):
                if layer is not None:
                    running.append((layer, pool.submit(_stated, image, layer)))
                while running and (layer is None or len(running) > 2 * workers):
                    first, future = running.popleft()
                    stated = future.result()
                    if stated is None:
                        image.packed(first).entries_after(reader, first.lines)
                    else:
                        reader.accept(stated)
                    done += first.seek.unpacked_bytes
                    progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
    image.demand_end(end)


def _stated(image: ImageReader, layer: ImageLayer) -> list[Entry] | None:
    """Return the entries of a layer without contents, if they are as its index says; None asks a stricter reader.

    Raises `Refused` for a frame with another digest, or one that is damaged.
    """
    where = f"{image.source}: layer {layer.name}"
    with image.opened() as stream:
        frame = _frame(stream, layer, where)
        passing = Passing(unpacked_exactly(frame, ".zst", layer.seek.unpacked_bytes, where, layer.digest))
        try:
            entries = stated_entries(layer.lines, passing)
            return None if entries is None or passing.take(1) else entries  # the end sees another digest
        except Refused:
            _demand_frame(frame, layer, where)
            raise


def _frame(stream: BinaryIO, layer: ImageLayer, where: str) -> Content:
    """Return a layer's frame: in memory, with its digest, or, if it is large, where it lies. That is hashed later."""
    if layer.seek.packed_bytes > MAX_CONTENT_IN_MEMORY_BYTES:
        return FileRange(HeldFile(os.dup(stream.fileno()), where), layer.seek.offset, layer.seek.packed_bytes)
    try:
        frame = read_frame(stream, layer.seek)
    except ValueError as error:
        raise Refused(where, str(error)) from error
    _demand_digest(frame, layer, where)
    return frame


def _demand_frame(frame: Content, layer: ImageLayer, where: str) -> None:
    """Raise `Refused` for what is wrong with a frame that could not be read in pieces: the digest is judged first."""
    if isinstance(frame, FileRange):
        _demand_digest(frame, layer, where)
    elif layer.seek.unpacked_bytes <= MAX_CONTENT_IN_MEMORY_BYTES:
        decompress_exactly(frame, layer.seek.unpacked_bytes, where)


def _demand_digest(frame: Content, layer: ImageLayer, where: str) -> None:
    if content_digest(frame) != layer.digest:
        raise Refused(where, f"is {content_digest(frame)}, the index says {layer.digest}")
