"""A release's layered image on disk: its layers are parts of the one open file, so that none of them is held."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from cosmos.canon import Json
from cosmos.content import Content, FileRange, HeldFile, content_digest, mapped
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release, Subject
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader, PackedLayer
from cosmos.pack.zst import decompress_exactly
from cosmos.reading import is_there, open_plain, read_bounded
from cosmos.records import dataclass
from cosmos.release.missing import no_release


@dataclass(frozen=True)
class OpenImage:
    """The image at `path`. The layers are those of its index, without the end layer."""

    path: Path
    reader: ImageReader
    file: HeldFile

    @classmethod
    def open(cls, path: Path) -> OpenImage:
        """Open the image. Raises `WorldFailed` and `Refused`."""
        reader = ImageReader.open(path)
        with open_plain(path) as stream:
            return cls(path=path, reader=reader, file=HeldFile(os.dup(stream.fileno()), str(path)))

    @cached_property
    def names(self) -> tuple[tuple[str, Digest], ...]:
        """The name of each layer, and the digest of its frame."""
        return tuple((layer.name, layer.digest) for layer in self.reader.layers[:-1])

    @property
    def meta(self) -> dict[str, Json]:
        """What `apply` writes into the index of an image besides its layers: the content root."""
        return {"content-root": str(self.reader.meta.get("content-root"))}

    def unpacked_bytes(self, place: int) -> int:
        """Return the size of a layer's content."""
        return self.reader.layers[place].seek.unpacked_bytes

    def layer(self, place: int) -> PackedLayer:
        """Return the layer at this place of the image, its frame checked. Raises `Refused`."""
        layer = self.reader.layers[place]
        frame = FileRange(self.file, layer.seek.offset, layer.seek.packed_bytes)
        if content_digest(frame) != layer.digest:
            raise Refused(
                f"{self.path}: layer {layer.name}", f"is {content_digest(frame)}, the index says {layer.digest}"
            )
        return PackedLayer(
            name=layer.name,
            frame=frame,
            digest=layer.digest,
            unpacked_bytes=layer.seek.unpacked_bytes,
            rows=tuple(str(row) for row in layer.lines),
        )

    def content(self, place: int) -> bytes:
        """Return the content of the layer at this place: its tar members. Raises `Refused`."""
        layer = self.layer(place)
        return frame_content(layer.frame, layer.unpacked_bytes, f"{self.path}: layer {layer.name}")


def frame_content(frame: Content, unpacked_bytes: int, source: str) -> bytes:
    """Return the content of a frame, held in memory. Raises `Refused`."""
    with mapped(frame) as buffer:
        return decompress_exactly(buffer, unpacked_bytes, source)


def read_release(folder: Path) -> tuple[Release, bytes]:
    """Return the description of the release in `folder`, and its bytes; nothing is verified. Raises `Malformed`."""
    document = folder / RELEASE_FILE
    if not is_there(document):
        raise no_release(folder)
    data = read_bounded(document, MAX_RELEASE_BYTES)
    return Release.parse(data, str(document)), data


def image_of(release: Release, source: str) -> Subject:
    """Return the release's layered image. Raises `Malformed` if it has none."""
    found = next((subject for subject in release.subjects if subject.name.endswith(IMAGE_SUFFIX)), None)
    if found is None:
        raise Malformed(source, f"names no layered image (*{IMAGE_SUFFIX}), which updates are made of")
    return found


def file_names(release: Release) -> Iterator[str]:
    """Yield the name of every file of the release, without its image, in order."""
    image = image_of(release, RELEASE_FILE).name
    yield from sorted(
        {RELEASE_FILE, RELEASE_ENVELOPE, *(subject.name for subject in release.subjects if subject.name != image)}
    )


def joined(folder: Path, names: Iterable[str], most: int) -> bytes:
    """Return the bytes of these files of a release, one after another. Raises `Malformed` if they are too many."""
    whole = bytearray()
    for name in names:
        whole += read_bounded(folder / name, most - len(whole))
    return bytes(whole)
