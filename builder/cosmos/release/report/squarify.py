"""A treemap: rectangles whose areas are in proportion to sizes, and as square as a simple rule makes them.

Squarified treemaps (Bruls, Huizing and van Wijk 2000): the largest come first. Each row is laid along the shorter side
of the space that is left, and takes one more while that makes its worst rectangle squarer.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle: its left upper corner, its width and its height."""

    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[int], space: Box) -> list[Box]:
    """Return a rectangle for each of `sizes`, which are positive and fall, so that all of them fill `space`.

    >>> [(box.width, box.height) for box in squarified([2, 1, 1], Box(x=0, y=0, width=4, height=2))]
    [(2.0, 2.0), (2.0, 1.0), (2.0, 1.0)]
    """
    total = sum(sizes)
    areas = [size * space.width * space.height / total for size in sizes]
    boxes: list[Box] = []
    while len(boxes) < len(areas):
        row = _row(areas, len(boxes), min(space.width, space.height))
        laid, space = _laid(areas[len(boxes) : row], space)
        boxes += laid
    return boxes


def _row(areas: Sequence[float], start: int, side: float) -> int:
    """Return the end of the row that begins at `start`, along a side of this length."""
    total, end, worst = 0.0, start, float("inf")
    while end < len(areas):
        total += areas[end]
        next_worst = max(side**2 * areas[start] / total**2, total**2 / (side**2 * areas[end]))
        if next_worst > worst:
            break
        worst, end = next_worst, end + 1
    return end


def _laid(row: Sequence[float], space: Box) -> tuple[list[Box], Box]:
    """Return the rectangles of one row, and the space that is left."""
    total, boxes, done = sum(row), [], 0.0
    if space.width >= space.height:
        width = total / space.height
        for area in row:
            boxes.append(Box(x=space.x, y=space.y + done, width=width, height=area / width))
            done += area / width
        return boxes, Box(x=space.x + width, y=space.y, width=max(space.width - width, 0.0), height=space.height)
    height = total / space.width
    for area in row:
        boxes.append(Box(x=space.x + done, y=space.y, width=area / height, height=height))
        done += area / height
    return boxes, Box(x=space.x, y=space.y + height, width=space.width, height=max(space.height - height, 0.0))
