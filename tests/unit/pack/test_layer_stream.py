"""A layer's content read as a stream, for comparisons: a stream of other members is refused, not misread."""

from __future__ import annotations

from io import BytesIO

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_PAX_BYTES
from cosmos.pack.layer_stream import demand_frame, layer_content, member_times, slices
from cosmos.pack.seek_table import Seek
from cosmos.pack.tar import BLOCK


def header(kind: bytes = b"0", size: bytes = b"00000000003\0", mtime: bytes = b"00000000007\0") -> bytes:
    block = bytearray(BLOCK)
    block[124:136], block[136:148], block[156:157] = size, mtime, kind
    return bytes(block)


def extended(body: bytes, size: int | None = None) -> bytes:
    stated = b"%011o\0" % (len(body) if size is None else size)
    return header(b"x", stated) + body + bytes(-len(body) % BLOCK)


FILE = header() + b"abc" + bytes(BLOCK - 3)


def times(data: bytes, *sizes: int) -> list[int]:
    return list(member_times(BytesIO(data), sizes, "x: layer base"))


def test_the_time_of_a_member_is_in_its_header_or_in_the_record_before_it() -> None:
    assert times(FILE + extended(b"12 mtime=42\n") + FILE, 3, 3) == [7, 42]


NO_LAYERS = {
    "cut off in a header": (FILE + header()[:-1], "ends before its entries do"),
    "cut off in a content": (FILE + header() + b"abc", "ends before its entries do"),
    "cut off in a record": (FILE + extended(b"12 mtime=42\n")[:-1], "ends before its entries do"),
    "cut off after a record": (FILE + extended(b"12 mtime=42\n"), "ends before its entries do"),
    "a record that is not one": (FILE + extended(b"13 mtime=42\n") + FILE, "a pax record at byte 0"),
    "a size that is no number": (FILE + header(b"x", b"9" * 12) + FILE, "a number that is not octal digits"),
    "a record whose time is no time": (FILE + extended(b"11 mtime=x\n") + FILE, "want seconds"),
    "a time that is no number": (FILE + header(mtime=b"-1\0".ljust(12)), "a number that is not octal digits"),
    "no time": (FILE + header(mtime=bytes(12)), "a number that is not octal digits"),
    "a record larger than any": (
        FILE + extended(b"", MAX_PAX_BYTES + 1) + FILE,
        f"has an extended header of {MAX_PAX_BYTES + 1} bytes",
    ),
}


@pytest.mark.parametrize("data, said", NO_LAYERS.values(), ids=NO_LAYERS)
def test_a_stream_that_is_no_layer_of_these_members_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=f"^x: layer base: .*{said}"):
        times(data, 3, 3)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6), st.integers(0, 40))
def test_slices_are_those_of_the_content_or_it_is_too_short(parts: list[tuple[int, int]], size: int) -> None:
    data, places, end = bytes(range(size)), list[tuple[int, int]](), 0
    for gap, length in parts:
        places.append((end + gap, length))
        end += gap + length
    if end <= size:
        assert list(slices(BytesIO(data), places, "x")) == [data[at : at + length] for at, length in places]
    else:
        with pytest.raises(Refused, match="x: ends before its entries do"):
            list(slices(BytesIO(data), places, "x"))


def framed(data: bytes) -> tuple[BytesIO, Seek]:
    """Return a stream with something before and after a frame, and the frame's place."""
    stream = BytesIO(b"before" + data + b"after")
    return stream, Seek(offset=6, packed_bytes=len(data), unpacked_bytes=4)


def test_a_frame_is_read_from_its_place_and_no_further() -> None:
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"abcd")
    stream, seek = framed(frame)
    demand_frame(stream, seek, Digest.of(frame), "x")
    with layer_content(stream, seek, "x") as content:
        assert content.read(100) == b"abcd"


def test_a_frame_that_is_damaged_or_another_one_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(b"abcd")
    for place in range(len(frame)):
        stream, seek = framed(frame[:place] + bytes((frame[place] ^ 1,)) + frame[place + 1 :])
        with pytest.raises(Refused, match=r"x: is sha256:\w+, the index says sha256:\w+"):
            demand_frame(stream, seek, Digest.of(frame), "x")
    with (
        pytest.raises(Refused, match="x: cannot be decompressed"),
        layer_content(*framed(frame[:-1] + b"?"), "x") as it,
    ):
        it.read(100)
