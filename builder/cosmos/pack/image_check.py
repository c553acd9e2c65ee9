"""Check a whole image against its index: several layers at once, each in pieces, with no content kept."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
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
    pieces: one has `MAX_CONTENT_IN_MEMORY_BYTES` of packed data and as much of content in memory, and a decoder's
    window. `progress` gets how many bytes of how many are checked.
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
    where, unpacked_bytes = f"{image.source}: layer {layer.name}", layer.seek.unpacked_bytes
    with image.opened() as stream:
        frame = _frame(stream, layer, where)
        if not isinstance(frame, FileRange) and unpacked_bytes <= MAX_CONTENT_IN_MEMORY_BYTES:
            pieces: Iterator[bytes] = iter((decompress_exactly(frame, unpacked_bytes, where),))
        else:
            pieces = unpacked_exactly(frame, ".zst", unpacked_bytes, where)
        passing = Passing(pieces)
        entries = stated_entries(layer.lines, passing)
        return None if entries is None or passing.take(1) else entries  # the end sees a file that changed


def _frame(stream: BinaryIO, layer: ImageLayer, where: str) -> Content:
    """Return a layer's frame with its digest: in memory, or, if it is large, where it lies."""
    if layer.seek.packed_bytes > MAX_CONTENT_IN_MEMORY_BYTES:
        file = HeldFile(os.dup(stream.fileno()), where)
        frame: Content = FileRange(file, layer.seek.offset, layer.seek.packed_bytes)
    else:
        try:
            frame = read_frame(stream, layer.seek)
        except ValueError as error:
            raise Refused(where, str(error)) from error
    if content_digest(frame) != layer.digest:
        raise Refused(where, f"is {content_digest(frame)}, the index says {layer.digest}")
    return frame
