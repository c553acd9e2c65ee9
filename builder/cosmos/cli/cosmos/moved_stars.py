"""Which stars a new lock pins in other versions than the old one: `freeze`, `add` and `remove` say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cosmos.model.lock import Lock

Moves: TypeAlias = Mapping[str, tuple["str | None", "str | None"]]
"""Each star that moved, by name, with its version before and now; None is a lock without the star."""


def moves(before: Lock | None, now: Lock) -> Moves:
    """Return the stars that moved from one lock to the next. Without a lock before, every star is new."""
    old = {str(star.name): str(star.version) for star in before.stars} if before else {}
    new = {str(star.name): str(star.version) for star in now.stars}
    names = sorted(old.keys() | new.keys())
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def moved_lines(moved: Moves) -> Iterator[str]:
    """Yield a line for each star.

    >>> list(moved_lines({"a": (None, "1"), "b": ("1", None), "c": ("1", "2")}))
    ['  + a 1', '  - b 1', '  c 1 -> 2']
    """
    for star, (was, now) in moved.items():
        yield f"  + {star} {now}" if was is None else f"  - {star} {was}" if now is None else f"  {star} {was} -> {now}"
