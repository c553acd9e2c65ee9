"""zstd and gzip: exact sizes, and the same bytes from the same input."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cosmos.content import FileRange
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.pack import zst
from cosmos.pack.patch import patched
from cosmos.pack.zst import (
    ZSTD_VERSION,
    compress,
    compressed,
    compressed_for_now,
    decompress_exactly,
    skippable_frame,
    unpacked_exactly,
)
from cosmos.spool import Spool

KNOWN = {3: "253932844fa3", 9: "df96ab04dc10", 19: "a59580a43c2d"}
KNOWN_IN_PIECES = "9d18fa0a85a2"
TEXT = b"".join(b"line %d\n" % number for number in range(20000))


def gunzipped(data: bytes, size_bytes: int, source: str) -> bytes:
    return b"".join(unpacked_exactly(data, ".gz", size_bytes, source))


@given(st.lists(st.binary(max_size=200), max_size=5), st.sampled_from([1, 3, 9]))
def test_what_is_compressed_comes_back(pieces: list[bytes], level: int) -> None:
    whole = b"".join(pieces)
    assert decompress_exactly(compress(pieces, level), len(whole), "a") == whole


@pytest.mark.objective("SO-24")
def test_how_the_input_is_cut_does_not_move_a_byte() -> None:
    cut = [memoryview(TEXT)[start : start + 999] for start in range(0, len(TEXT), 999)]
    assert compress(cut, 3) == compress([TEXT], 3) == compress([bytearray(TEXT)], 3)


def test_the_bytes_of_this_version_are_known() -> None:
    """If this fails, the library moved: every lock that pins its version has to say so."""
    assert ZSTD_VERSION == "1.5.7"
    assert {level: Digest.of(compress([TEXT], level)).short for level in KNOWN} == KNOWN


def test_a_frame_for_now_has_the_same_bytes_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled, held = (make(TEXT, 3, Spool(tmp_path, in_memory=0)) for make in (compressed, compressed_for_now))
    assert (type(spooled), type(held)) == (FileRange, bytes)
    assert spooled == held
    monkeypatch.setattr(zst, "MAX_AT_ONCE_BYTES", len(TEXT) - 1)
    assert type(compressed_for_now(TEXT, 3, Spool(tmp_path, in_memory=0))) is FileRange


def test_a_frame_states_its_size_and_carries_a_checksum() -> None:
    parameters = zstandard.get_frame_parameters(compress([TEXT], 3))
    assert (parameters.content_size, parameters.has_checksum, parameters.dict_id) == (len(TEXT), True, 0)


def test_frames_of_other_writers_are_read() -> None:
    stream = io.BytesIO()
    with zstandard.ZstdCompressor(level=3).stream_writer(stream, closefd=False) as writer:
        writer.write(TEXT)
    assert zstandard.get_frame_parameters(stream.getvalue()).content_size == zstandard.CONTENTSIZE_UNKNOWN
    assert decompress_exactly(stream.getvalue(), len(TEXT), "a") == TEXT
    program = shutil.which("zstd")
    assert program, "zstd is missing: apt-get install zstd"
    for options in (["-19"], ["--ultra", "-22"], ["-T2", "-1"], ["--no-check"], ["--long=27"]):
        made = subprocess.run([program, "-c", *options], input=TEXT, capture_output=True, check=True).stdout
        assert decompress_exactly(made, len(TEXT), "a") == TEXT


def test_the_zstd_program_reads_ours_and_steps_over_skippable_frames() -> None:
    program = shutil.which("zstd")
    assert program, "zstd is missing: apt-get install zstd"
    data = compress([b"a"], 3) + skippable_frame(b"index", 12) + compress([b"b"], 3) + skippable_frame(b"", 14)
    assert subprocess.run([program, "-dc"], input=data, capture_output=True, check=True).stdout == b"ab"


def test_frames_in_a_row_are_one_content() -> None:
    assert decompress_exactly(compress([b"ab"], 3) + compress([b""], 3) + compress([b"c"], 3), 3, "a") == b"abc"


def test_run_length_and_raw_blocks_are_walked() -> None:
    for content in (bytes(1 << 20), bytes(range(256)) * 4096, b"", b"x"):
        assert decompress_exactly(compress([content], 1), len(content), "a") == content


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
def test_gzip_members_in_a_row_are_one_content(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert gunzipped(b"".join(map(gzip.compress, pieces)), len(whole), "a") == whole


def test_gzip_larger_than_one_chunk_is_read() -> None:
    content = TEXT * 40 + zstandard.ZstdCompressor().compress(TEXT) * 9
    assert gunzipped(gzip.compress(content, 1), len(content), "a") == content


@pytest.mark.parametrize(("payload", "nibble"), [(b"", 16), (b"", -1)])
def test_a_skippable_frame_has_a_nibble(payload: bytes, nibble: int) -> None:
    with pytest.raises(ValueError, match="no skippable frame"):
        skippable_frame(payload, nibble)


def on_disk(data: bytes) -> FileRange:
    content = Spool(in_memory=0).add([b"before", data])[len(b"before") :]
    assert isinstance(content, FileRange)
    return content


@given(st.lists(st.binary(max_size=3000), max_size=4), st.sampled_from([1, 9]))
def test_what_lies_on_the_disk_gives_the_same_bytes(contents: list[bytes], level: int) -> None:
    for content in contents:
        frame = compressed(on_disk(content), level, Spool(in_memory=0))
        assert frame == compress([content], level)
        assert b"".join(unpacked_exactly(frame, ".zst", len(content), "a")) == content


def test_a_very_large_content_is_compressed_in_pieces_to_the_same_bytes_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zst, "MAX_AT_ONCE_BYTES", 1000)
    whole = TEXT * 20
    frame = bytes(compressed(whole, 3, Spool()))
    assert frame == compressed(on_disk(whole), 3, Spool(in_memory=0)) == compressed(memoryview(whole), 3, Spool())
    assert Digest.of(frame).short == KNOWN_IN_PIECES
    assert zstandard.get_frame_parameters(frame).content_size == len(whole)
    assert decompress_exactly(frame, len(whole), "a") == whole
    monkeypatch.setattr(zst, "_GIVEN_BYTES", 777)
    assert bytes(compressed(whole, 3, Spool())) == frame, "how the content is cut does not move a byte"


def test_a_frame_with_a_very_large_window_is_read_if_it_is_one_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zst, "MAX_WINDOW_BYTES", 1 << 10)
    assert b"".join(unpacked_exactly(compress([TEXT], 3), ".zst", len(TEXT), "a")) == TEXT


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize(("exponent", "is_good"), [(23, True), (24, True), (25, False), (26, False), (27, False)])
def test_a_part_of_a_small_frame_is_not_read_through_a_large_window(exponent: int, is_good: bool) -> None:
    """A few packed bytes must not make the decoder hold up to 128 MiB (RFC 8878 section 3.1.1.1.2)."""
    data = b"\x28\xb5\x2f\xfd\x00" + bytes([(exponent - 10) << 3]) + b"\x09\x00\x00x"
    assert zstandard.get_frame_parameters(data).window_size == 1 << exponent
    part = zst.slice_of_frame(io.BytesIO(data), len(data), 0, 1)
    if is_good:
        assert b"".join(part) == b"x"
    else:
        with pytest.raises(ValueError, match=f"wants a window of {1 << exponent} bytes, the limit for 10 packed"):
            next(part)


RUN_BYTES = 1 << 17  # the most that a block may hold
Block = tuple[int, int, bytes]  # kind, size, body (RFC 8878 section 3.1.1.2)
RUN: Block = (1, RUN_BYTES, b"x")


def frame_of(blocks: list[Block], stated: int, exponent: int = 17) -> bytes:
    """Return a frame that states the size of its content and a window of 2**exponent, with these blocks."""
    head = b"\x28\xb5\x2f\xfd\x80" + bytes([(exponent - 10) << 3]) + stated.to_bytes(4, "little")
    rows = [
        ((place == len(blocks) - 1) | kind << 1 | size << 3).to_bytes(3, "little") + body
        for place, (kind, size, body) in enumerate(blocks)
    ]
    return head + b"".join(rows)


def packed_block() -> Block:
    """Return a compressed block, which holds less than the most that it could."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"abcdefgh" * 1000)
    start = zstandard.frame_header_size(frame)
    size = int.from_bytes(frame[start : start + 3], "little") >> 3
    return 2, size, frame[start + 3 : start + 3 + size]


DAMAGED = "is damaged, or holds more bytes than its header states"
LYING_FRAMES = {
    "more than its blocks can hold": ([(1, 100, b"x")], 101, "states 101 bytes of content, its blocks can hold 100"),
    "more than a packed block holds": ([packed_block()], 8001, DAMAGED),
    "more than many blocks hold": ([RUN] * 20 + [packed_block()], 21 * RUN_BYTES, DAMAGED),
    "less than its blocks hold": ([packed_block()], 7999, DAMAGED),
    "less than many blocks hold": ([RUN] * 20, 20 * RUN_BYTES - 1, DAMAGED),
    "a block that is damaged": ([RUN] * 20 + [(2, 40, b"\xff" * 40)], 20 * RUN_BYTES, DAMAGED),
}


@pytest.mark.parametrize(("blocks", "size", "said"), LYING_FRAMES.values(), ids=LYING_FRAMES)
def test_a_frame_whose_header_lies_is_refused_by_every_reader(blocks: list[Block], size: int, said: str) -> None:
    frame = frame_of(blocks, size)
    with pytest.raises(Refused, match=f"^a: {said}"):
        list(unpacked_exactly(frame, ".zst", size, "a"))
    with pytest.raises(Refused, match=f"^a: ({said}|does not fit its reference, or is damaged)"):
        patched(frame, b"", size, "a")
    with pytest.raises((ValueError, zstandard.ZstdError)):
        list(zst.zstd_pieces(memoryview(frame)))


def test_a_long_content_of_few_packed_bytes_is_not_read_through_a_large_window() -> None:
    """Shorter content is unpacked in one call, which needs no window."""
    size = 129 * RUN_BYTES
    for exponent in (24, 25):
        frame = frame_of([RUN] * 129, size, exponent)
        if exponent == 24:
            assert sum(map(len, unpacked_exactly(frame, ".zst", size, "a"))) == size
            continue
        with pytest.raises(Refused, match=r"^a: wants a window of 33554432 bytes, the limit for 526 packed bytes is"):
            next(unpacked_exactly(frame, ".zst", size, "a"))


@pytest.mark.parametrize("size", [1, 2 << 20])
def test_a_part_beyond_the_end_of_a_frame_is_not_there(size: int) -> None:
    frame = compress([bytes(size)], 3)
    assert b"".join(zst.slice_of_frame(io.BytesIO(frame), len(frame), size - 1, 1)) == b"\0"
    with pytest.raises(ValueError, match=f"want {size + 1} bytes of content, got {size}"):
        list(zst.slice_of_frame(io.BytesIO(frame), len(frame), size - 1, 2))
