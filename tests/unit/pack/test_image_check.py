"""A whole image is checked in pieces, and an error says what the reader that holds each layer says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.content import HeldFile
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.pack import image_check
from cosmos.pack.image_check import demand_as_indexed
from cosmos.pack.image_file import ImageReader, PackedLayer, image_pieces, pack_layer
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

FOLDERS = pack_layer("directories", [Entry(path=TreePath(b"bin"), kind="dir", mode=0o755)], 1)
STAR = pack_layer(
    "star",
    [
        Entry(path=TreePath(b"bin/a"), kind="file", mode=0o755, mtime=7, content=hashlib.sha512(b"a").digest() * 40),
        Entry(path=TreePath(b"bin/b"), kind="file", mode=0o644, mtime=7, content=hashlib.sha512(b"b").digest()),
        Entry(path=TreePath(b"bin/c"), kind="symlink", mode=0o777, mtime=7, target=b"a"),
    ],
    1,
)


def image_of(folder: Path, star: PackedLayer, data: bytes | None = None) -> ImageReader:
    file = folder / "x-1.0.0-any.tar.zst"
    file.write_bytes(b"".join(image_pieces([FOLDERS, star], {})) if data is None else data)
    return ImageReader.open(file)


def outcome(check: Callable[[], object]) -> str:
    try:
        check()
    except Refused as error:
        return str(error)
    return "right"


@pytest.fixture(params=["in memory", "where it lies"])
def frames(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Say how frames are read: those that are small, and, with another limit, those that are large."""
    if request.param == "where it lies":
        monkeypatch.setattr(image_check, "MAX_CONTENT_IN_MEMORY_BYTES", 10)
    return str(request.param)


def lying(how: str) -> PackedLayer:
    """Return the star's layer with an index that lies, or in a frame that Cosmos does not write."""
    rows = STAR.rows
    match how:
        case "digest of the frame":
            return replace(STAR, digest=Digest.of(b"other"))
        case "digest of a file":
            digest = rows[0].split(" ")[6]
            return replace(STAR, rows=(rows[0].replace(digest, str(Digest.of(b"other"))), *rows[1:]))
        case "mode":
            return replace(STAR, rows=(rows[0].replace("0755", "4755"), *rows[1:]))
        case "size of the content":
            return replace(STAR, unpacked_bytes=STAR.unpacked_bytes + 512)
        case "cut frame":
            frame = bytes(STAR.frame)[:-1]
        case "bytes after the frame":
            frame = bytes(STAR.frame) + b"\0"
        case "wrong checksum":
            frame = bytes(STAR.frame)[:-1] + bytes([bytes(STAR.frame)[-1] ^ 1])
        case "cut content":
            return replace(STAR, unpacked_bytes=STAR.unpacked_bytes - 512)
        case _:
            frame = b"no frame at all"
    return replace(STAR, frame=frame, digest=Digest.of(frame))


@pytest.mark.usefixtures("frames")
def test_a_right_image_is_right(tmp_path: Path) -> None:
    assert outcome(lambda: demand_as_indexed(image_of(tmp_path, STAR), 2)) == "right"


LIES = [
    *("digest of the frame", "digest of a file", "mode", "size of the content", "cut content"),
    *("cut frame", "bytes after the frame", "wrong checksum", "other"),
]


@pytest.mark.usefixtures("frames")
@pytest.mark.parametrize("how", LIES)
def test_a_lie_is_named_as_by_the_reader_that_holds_each_layer(tmp_path: Path, how: str) -> None:
    image = image_of(tmp_path, lying(how))
    said = outcome(lambda: demand_as_indexed(image, 2))
    assert said == outcome(lambda: list(image.entries())) != "right"
    assert said.startswith(f"{tmp_path}/x-1.0.0-any.tar.zst: layer star: ")


@pytest.mark.usefixtures("frames")
def test_every_flipped_byte_of_a_frame_is_named_by_the_frames_digest(tmp_path: Path) -> None:
    data = b"".join(image_pieces([FOLDERS, STAR], {}))
    start = len(FOLDERS.frame)
    for place in range(start, start + len(STAR.frame), 5):
        bent = bytearray(data)
        bent[place] ^= 4
        digest = Digest.of(bytes(bent[start : start + len(STAR.frame)]))
        said = outcome(lambda bent=bent: demand_as_indexed(image_of(tmp_path, STAR, bytes(bent)), 1))
        assert said == f"{tmp_path}/x-1.0.0-any.tar.zst: layer star: is {digest}, the index says {STAR.digest}", place


def test_a_large_frame_is_read_once_and_hashed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_check, "MAX_CONTENT_IN_MEMORY_BYTES", 10)
    image = image_of(tmp_path, STAR)
    asked: list[int] = []
    read = HeldFile.read

    def counted(file: HeldFile, start: int, size_bytes: int) -> bytes:
        asked.append(size_bytes if size_bytes > 18 else 0)  # without the headers of frame and blocks
        return read(file, start, size_bytes)

    monkeypatch.setattr(HeldFile, "read", counted)
    demand_as_indexed(image, 1)
    assert sum(asked) == sum(layer.seek.packed_bytes for layer in image.layers[:-1])


def test_a_large_frame_that_was_changed_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_check, "MAX_CONTENT_IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(image_check, "_demand_digest", lambda *_: None)  # a second look finds what the index says
    image = image_of(tmp_path, lying("digest of the frame"))
    said = outcome(lambda: demand_as_indexed(image, 1))
    assert said == f"{tmp_path}/x-1.0.0-any.tar.zst: layer star: was changed while it was read"
