"""The map of an image's size: a rectangle a star, with its label where it fits; a long name is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from cosmos.records import dataclass
from cosmos.release.report.squarify import Box, squarified

WIDTH: Final = 1000
HEIGHT: Final = 420
_MOST: Final = 400  # rectangles; a person tells no more apart
_LEAST_SHARE: Final = 1_000  # a star with less than a 1,000th of the whole is drawn with the others
_CHARACTER: Final = 7.5  # the width of one at the label's size
_LEAST_NAME: Final = 6  # characters of a name that is cut
_LINE: Final = 16.0
_PADDING: Final = 10.0

Group: TypeAlias = Literal["asked", "needed", "own", "rest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of the image: a star, or what is of no star. `group` says how it is coloured."""

    name: str
    size_bytes: int
    group: Group


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A rectangle of the map. `lines` are the label: the name and the size, or as much of them as there is room for."""

    part: Part
    box: Box
    lines: tuple[str, ...]


def treemap(parts: Mapping[str, Part]) -> tuple[Cell, ...]:
    """Return the rectangles, the largest first. The smallest parts are drawn as one, called "N smaller"."""
    falling = sorted(
        (part for part in parts.values() if part.size_bytes), key=lambda part: (-part.size_bytes, part.name)
    )
    least = sum(part.size_bytes for part in falling) // _LEAST_SHARE
    shown = [part for part in falling[:_MOST] if part.size_bytes > least]
    small = falling[len(shown) :]
    if small:
        rest = sum(part.size_bytes for part in small)
        shown.append(Part(name=f"{len(small)} smaller", size_bytes=rest, group="rest"))
    if not shown:
        return ()
    weighed = sorted(((max(part.size_bytes, least, 1), part) for part in shown), key=lambda row: (-row[0], row[1].name))
    boxes = squarified([weight for weight, _ in weighed], Box(x=0, y=0, width=WIDTH, height=HEIGHT))
    return tuple(
        Cell(part=part, box=box, lines=_label(part, box)) for (_, part), box in zip(weighed, boxes, strict=True)
    )


def shown_size(size_bytes: int) -> str:
    """Return a size for a person.

    >>> shown_size(999), shown_size(1_250_000), shown_size(5_400_000_000)
    ('999 B', '1.2 MB', '5.4 GB')
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"


def _label(part: Part, box: Box) -> tuple[str, ...]:
    fits = int((box.width - _PADDING) // _CHARACTER)
    room = int((box.height - _PADDING / 2) // _LINE)
    if fits < min(_LEAST_NAME, len(part.name)):
        return ()
    name = part.name if len(part.name) <= fits else f"{part.name[: fits - 1]}…"
    size = shown_size(part.size_bytes)
    return (name, size)[:room] if len(size) <= fits else (name,)[:room]
