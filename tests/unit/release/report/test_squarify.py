"""A treemap's rectangles have the areas of their sizes, fill the space, and do not overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.release.report.squarify import Box, squarified
from cosmos.release.report.treemap import HEIGHT, WIDTH, Part, treemap

SPACE = Box(x=0, y=0, width=1000, height=420)


def overlap(one: Box, other: Box) -> float:
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(width, 0.0) * max(height, 0.0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_the_rectangles_have_their_areas_and_fill_the_space_without_overlap(sizes: list[int]) -> None:
    falling = sorted(sizes, reverse=True)
    boxes = squarified(falling, SPACE)
    assert len(boxes) == len(falling)
    for size, box in zip(falling, boxes, strict=True):
        assert box.width * box.height == pytest.approx(size * 420_000 / sum(falling))
        assert box.x >= -0.001
        assert box.y >= -0.001
        assert box.x + box.width <= 1000.001
        assert box.y + box.height <= 420.001
    assert sum(overlap(one, other) for place, one in enumerate(boxes) for other in boxes[:place]) < 0.01


def test_the_example_of_the_paper_is_laid_as_the_paper_lays_it() -> None:
    boxes = squarified([6, 6, 4, 3, 2, 2, 1], Box(x=0, y=0, width=6, height=4))
    assert [(round(box.width, 2), round(box.height, 2)) for box in boxes[:4]] == [
        (3, 2),
        (3, 2),
        (1.71, 2.33),
        (1.29, 2.33),
    ]


@given(st.lists(st.integers(0, 1 << 50), max_size=600))
def test_the_map_of_any_sizes_is_drawn_within_its_space(sizes: list[int]) -> None:
    cells = treemap({str(n): Part(name=f"star-{n}", size_bytes=size, group="asked") for n, size in enumerate(sizes)})
    assert sum(cell.part.size_bytes for cell in cells) == sum(sizes)
    assert len(cells) <= 401
    for cell in cells:
        assert cell.box.x + cell.box.width <= WIDTH + 0.01
        assert cell.box.y + cell.box.height <= HEIGHT + 0.01


def test_the_smallest_are_drawn_together_and_a_label_stands_only_where_it_fits() -> None:
    parts = {f"tiny-{n}": Part(name=f"tiny-{n}", size_bytes=1, group="needed") for n in range(5)}
    parts["large"] = Part(name="large", size_bytes=100_000, group="asked")
    large, rest = treemap(parts)
    assert (large.lines, rest.part.name, rest.part.size_bytes, rest.lines) == (
        ("large", "100.0 kB"),
        "5 smaller",
        5,
        (),
    )


def test_a_long_name_is_cut_to_its_rectangle() -> None:
    """Large rectangles stood without a word, because their stars' names were a little too long."""
    name = "linux-modules-of-a-very-long-name-for-this-rectangle"
    parts = {f"{name}-{n}": Part(name=f"{name}-{n}", size_bytes=100, group="asked") for n in range(12)}
    for cell in treemap(parts):
        cut, size = cell.lines
        assert cut.endswith("…")
        assert name.startswith(cut[:-1])
        assert 6 <= len(cut) <= cell.box.width / 7.5
        assert size == "100 B"
