"""The frames of a store: what was there at the first look is hashed, and may be gone, at the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.image.workshop.frames import Frames
from cosmos.model.names import StarName
from cosmos.pack.image_file import pack_layer
from cosmos.store.blobs import StoreFolder
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NAME = StarName("tool")


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "store")


@pytest.fixture
def frames(store: StoreFolder) -> Frames:
    return Frames(store=store, level=3, warn=lambda said: warnings.append(said))


warnings: list[str] = []


def kept(frames: Frames, store: StoreFolder) -> tuple[Digest, Path]:
    """Keep a frame; return its key and its file."""
    warnings.clear()
    packed = pack_layer("tool-1.0.0", [Entry(path=TreePath(b"usr/a"), kind="file", mode=0o644, content=b"a")], 3)
    key = frames.key(Digest.of(b"layer"))
    assert not frames.has(NAME, key)
    frames.put(key, packed)
    store.settle()
    assert frames.has(NAME, key)
    [file] = (store.root / "blobs").rglob(packed.digest.hex)
    return key, file


def test_a_frame_comes_back_as_it_was_kept_whether_or_not_it_was_looked_for(frames: Frames, store: StoreFolder) -> None:
    key, file = kept(frames, store)
    for _ in range(2):
        found = frames.get(NAME, key)
        assert found is not None
        assert bytes(found.frame[:]) == file.read_bytes()
    assert frames.key(Digest.of(b"layer"), [TreePath(b"usr/a")]) != key


def test_a_frame_that_is_gone_since_the_look_is_none(frames: Frames, store: StoreFolder) -> None:
    key, file = kept(frames, store)
    file.unlink()
    assert frames.get(NAME, key) is None
    assert not frames.has(NAME, key)


def test_a_frame_that_changed_since_the_look_is_named_and_not_used(frames: Frames, store: StoreFolder) -> None:
    key, file = kept(frames, store)
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert frames.get(NAME, key) is None
    assert "it is not believed, and the layer is made again" in warnings[0]
