"""Patches: what they make, and what is refused before it is made."""

from __future__ import annotations

from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Refused
from cosmos.limits import MIB
from cosmos.pack.patch import made_patch, patched
from fakes.updates import edited, noise


@given(st.binary(min_size=8, max_size=3000), st.binary(max_size=3000), st.integers(0, 3000))
def test_a_patch_makes_the_content_out_of_its_reference(reference: bytes, more: bytes, cut: int) -> None:
    content = reference[cut:] + more + reference[:cut]
    assert patched(made_patch(reference, content), reference, len(content), "x") == content


@pytest.mark.slow
def test_a_patch_is_as_small_as_the_change_also_where_the_reference_is_large() -> None:
    """zstd's own settings forget the beginning of a large prefix."""
    reference = noise(1, 34 * MIB)
    content = edited(reference, every=2 * MIB)
    patch = made_patch(reference, content)
    assert len(patch) < 10_000
    assert patched(patch, reference, len(content), "x") == content


def test_every_changed_byte_and_every_length_of_a_patch_is_refused() -> None:
    reference = noise(2, 3000)
    content = edited(reference, every=300)
    patch = made_patch(reference, content)
    for place in range(len(patch)):
        changed = bytearray(patch)
        changed[place] ^= 0x10
        with suppress(Refused):  # an unused bit of a header may make no difference
            assert patched(bytes(changed), reference, len(content), "x") == content, place
        with pytest.raises(Refused):
            patched(patch[:place], reference, len(content), "x")
    with pytest.raises(Refused, match="one frame"):
        patched(patch + b"\0", reference, len(content), "x")


@pytest.mark.parametrize("size", [0, 1, 2999, 3001, 1 << 40])
def test_another_size_than_the_head_claims_is_refused(size: int) -> None:
    reference = noise(2, 3000)
    patch = made_patch(reference, edited(reference))
    with pytest.raises(Refused):
        patched(patch, reference, size, "x")


def test_a_patch_for_another_reference_is_refused() -> None:
    patch = made_patch(noise(2, 3000), edited(noise(2, 3000)))
    with pytest.raises(Refused, match="does not fit its reference"):
        patched(patch, noise(3, 3000), 3000, "x")


def test_a_frame_that_claims_more_than_its_blocks_hold_takes_no_memory() -> None:
    frame = bytearray(zstandard.ZstdCompressor(write_content_size=True).compress(b"x" * (30 * MIB)))
    claimed = zstandard.get_frame_parameters(bytes(frame)).content_size
    with pytest.raises(Refused, match="is cut off"):
        patched(bytes(frame[:200]), b"reference", claimed, "x")
