"""Compressed data of unknown size: every legal form is read, in pieces, within a budget."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.errors import Refused
from cosmos.limits import Budget
from cosmos.pack import inflate
from cosmos.pack.inflate import inflated, unpacked_pieces
from cosmos.pack.zst import skippable_frame

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_streams_one_after_another_are_one_content(suffix: str, parts: list[bytes]) -> None:
    packed = b"".join(map(PACKERS[suffix], parts))
    assert bytes(inflated(packed, suffix, Budget(20_000), "x")) == b"".join(parts)


@pytest.mark.parametrize("suffix", PACKERS)
def test_bytes_after_the_last_stream_are_refused(suffix: str) -> None:
    with pytest.raises(Refused):
        inflated(PACKERS[suffix](b"abc") * 2 + b"more", suffix, Budget(99), "x")


@pytest.mark.parametrize("suffix", PACKERS)
def test_every_cut_is_refused(suffix: str) -> None:
    packed = PACKERS[suffix](b"abc" * 99) * 2
    half = len(packed) // 2
    for size in range(len(packed)):
        if size != half:
            with pytest.raises(Refused):
                inflated(packed[:size], suffix, Budget(9999), "x")


@pytest.mark.parametrize("suffix", PACKERS)
def test_streams_without_bound_are_refused(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MAX_GZIP_MEMBERS", 3)
    monkeypatch.setattr("cosmos.pack.zst.MAX_FRAMES", 3)
    assert len(inflated(PACKERS[suffix](b"a") * 3, suffix, Budget(99), "x")) == 3
    with pytest.raises(Refused, match="more than 3"):
        inflated(PACKERS[suffix](b"a") * 4, suffix, Budget(99), "x")


@pytest.mark.parametrize("suffix", [".xz", ".bz2"])
def test_a_second_stream_is_refused_where_other_readers_read_only_one(suffix: str) -> None:
    packed = PACKERS[suffix](b"abc")
    assert b"".join(unpacked_pieces(packed, suffix, Budget(9), "x", "one")) == b"abc"
    with pytest.raises(Refused, match="bytes follow its end"):
        list(unpacked_pieces(packed * 2, suffix, Budget(9), "x", "one"))


def test_padding_between_xz_streams_is_zeros_in_fours() -> None:
    packed = lzma.compress(b"a")
    assert bytes(inflated(packed + bytes(4) + packed, ".xz", Budget(9), "x")) == b"aa"
    for wrong in (bytes(3), bytes(5), b"\0\0\0\1"):
        with pytest.raises(Refused):
            inflated(packed + wrong + packed, ".xz", Budget(9), "x")


def test_skippable_frames_are_skipped() -> None:
    packed = zstandard.compress(b"a") + skippable_frame(b"index", 3) + zstandard.compress(b"b")
    assert bytes(inflated(packed, ".zst", Budget(9), "x")) == b"ab"
    with pytest.raises(Refused, match="is cut off"):
        inflated(packed + skippable_frame(b"index", 3)[:-1], ".zst", Budget(9), "x")


@pytest.mark.parametrize("size", [1, 1 << 20, (3 << 20) + 7])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_frame_is_whole_whether_or_not_it_states_its_size(size: int, is_known: bool) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    packed = zstandard.ZstdCompressor(level=19, write_content_size=is_known).compress(data)
    assert bytes(inflated(packed, ".zst", Budget(size), "x")) == data
    with pytest.raises(Refused, match="unpacks to too much"):
        inflated(packed, ".zst", Budget(size - 1), "x")


def test_a_large_window_is_taken_if_the_content_is_in_proportion() -> None:
    """`zstd --ultra -22` of a pipe states a window of 128 MiB, however little comes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    packer = compressor.compressobj()
    packed = packer.compress(b"abc" * 999) + packer.flush()
    assert zstandard.get_frame_parameters(packed).window_size == 128 << 20
    assert bytes(inflated(packed, ".zst", Budget(9999), "x")) == b"abc" * 999


def test_nested_readers_draw_from_one_budget() -> None:
    budget = Budget(5)
    inflated(gzip.compress(b"abc"), ".gz", budget, "x")
    assert budget.left == 2
    with pytest.raises(Refused, match="x: unpacks to too much for its size"):
        inflated(gzip.compress(b"abc"), ".gz", budget, "x")
