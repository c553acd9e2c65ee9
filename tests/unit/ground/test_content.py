"""A content is the same bytes, whether they are in memory or on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.content import Content, ContentReader, FileRange, HeldFile, content_digest, pieces
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import HASH_BUFFER_BYTES, READ_CHUNK_BYTES

DATA = bytes(range(256)) * 40


def on_disk(folder: Path, data: bytes) -> FileRange:
    file = folder / "file"
    file.write_bytes(b"before" + data + b"after")
    number = os.open(file, os.O_RDONLY)
    return FileRange(HeldFile(number, str(file)), len(b"before"), len(data))


def test_a_range_of_a_file_is_its_bytes(tmp_path: Path) -> None:
    content = on_disk(tmp_path, DATA)
    assert bytes(content) == b"".join(pieces(content)) == DATA
    assert (len(content), content_digest(content)) == (len(DATA), Digest.of(DATA))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> FileRange:
    return on_disk(tmp_path_factory.mktemp("content"), DATA)


PLACES = st.none() | st.integers(-len(DATA) - 2, len(DATA) + 2)


@given(part=st.builds(slice, PLACES, PLACES, st.sampled_from([None, 1])))
def test_a_part_of_a_range_is_the_part_of_its_bytes(held: FileRange, part: slice) -> None:
    assert bytes(held[part]) == DATA[part]


def test_contents_are_compared_by_their_bytes(tmp_path: Path) -> None:
    content = on_disk(tmp_path, DATA)
    others: list[Content] = [DATA, memoryview(DATA), content[:], on_disk(tmp_path, DATA)]
    assert all(content == other and other == content for other in others)
    changed = DATA[:-1] + b"x"
    assert all(content != other and other != content for other in (changed, memoryview(changed), DATA[1:], content[1:]))
    assert content != "text"


def test_a_large_content_comes_in_bounded_pieces(tmp_path: Path) -> None:
    content = on_disk(tmp_path, bytes(2 * READ_CHUNK_BYTES + 1))
    assert [len(piece) for piece in pieces(content)] == [READ_CHUNK_BYTES, READ_CHUNK_BYTES, 1]


@pytest.mark.parametrize("more", [-1, 0, 1, HASH_BUFFER_BYTES - 1])
def test_a_large_content_has_the_digest_of_all_its_bytes(tmp_path: Path, more: int) -> None:
    data = os.urandom(2 * HASH_BUFFER_BYTES + more)
    content = on_disk(tmp_path, data)
    with (tmp_path / "file").open("rb") as stream:
        assert Digest.of_stream(stream) == Digest.of(b"before" + data + b"after")
    assert content_digest(content) == Digest.of(data)
    assert content_digest(content[1:-1]) == Digest.of(data[1:-1])
    assert content_digest(content[:0]) == Digest.of(b"")


@pytest.mark.parametrize("reader", [bytes, content_digest])
def test_a_file_that_became_shorter_is_not_a_shorter_content(
    tmp_path: Path, reader: Callable[[FileRange], object]
) -> None:
    content = on_disk(tmp_path, DATA)
    os.truncate(tmp_path / "file", 100)
    with pytest.raises(WorldFailed, match="became shorter while it was read"):
        reader(content)


def test_a_file_that_changes_after_it_was_hashed_is_noticed(tmp_path: Path) -> None:
    content = on_disk(tmp_path, DATA)
    assert content_digest(content) == Digest.of(DATA)
    with (tmp_path / "file").open("r+b") as stream:
        stream.seek(50)
        stream.write(b"changed")
    reader = ContentReader(content)
    while reader.read(1000):
        pass
    with pytest.raises(Refused, match="star: was changed while it was read"):
        reader.demand_unchanged("star")
