"""Globs on paths: `*` and `?` stay inside one component, `**` as a whole component stands for any number of them.

The match takes time bounded by the product of the two lengths, whatever the pattern: a star is matched greedily and
moved on once per failure, never by nested backtracking (R. Cox, "Glob Matching Can Be Simple And Fast Too", 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from cosmos.treepath import TreePath

ANY_DEPTH: Final = b"**"
_PATH_COST: Final = 20  # of one path looked at, in the units of the meter, besides the steps of its wildcards
_STEP_COST: Final = 5  # of one component of a path against one of the pattern


def _free(_units: int) -> None:
    """Charge nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Glob:
    """A pattern by component."""

    parts: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Return `raw` as a glob; raises `ValueError` where it is no path at all, or where `**` is part of a component.

        >>> Glob.parse(b"/usr/**/*.so").matches(TreePath(b"usr/lib/x/y.so"))
        True
        """
        path = TreePath.rooted(raw)
        parts = tuple(path.split(b"/"))
        parts = tuple(
            part for place, part in enumerate(parts) if part != ANY_DEPTH or parts[place - 1 : place] != (part,)
        )
        if any(ANY_DEPTH in part and part != ANY_DEPTH for part in parts):
            raise ValueError(f"{path.text!r}: ** must stand alone between slashes")
        return cls(parts=parts)

    @property
    def fixed(self) -> tuple[bytes, ...]:
        """The leading components without a wildcard, the last component never among them."""
        count = 0
        while count < len(self.parts) - 1 and not _is_wild(self.parts[count]):
            count += 1
        return self.parts[:count]

    def below(self, folder: TreePath) -> Glob:
        """Return the glob with its fixed components replaced by `folder`; raises `ValueError` where it is none then."""
        moved = tuple(folder.split(b"/")) if folder else ()
        if any(map(_is_wild, moved)):
            raise ValueError(f"{folder.text!r}: a folder whose name holds a wildcard cannot be searched by name")
        return Glob.parse(b"/".join((*moved, *self.parts[len(self.fixed) :])))

    def matches(self, path: TreePath, charge: Callable[[int], None] = _free) -> bool:
        """Whether the whole of `path` fits. `charge` is told what it cost."""
        charge(_PATH_COST)
        reached = _past_stars(self.parts, {0})
        for name in path.split(b"/"):
            following: set[int] = set()
            charge(_STEP_COST * len(reached))
            for place in reached:
                if place == len(self.parts):
                    continue
                if self.parts[place] == ANY_DEPTH:
                    following.add(place)
                elif _fits(self.parts[place], name, charge):
                    following.add(place + 1)
            reached = _past_stars(self.parts, following)
            if not reached:
                return False
        return len(self.parts) in reached


def _past_stars(parts: tuple[bytes, ...], places: set[int]) -> set[int]:
    out = set(places)
    for place in places:
        while place < len(parts) and parts[place] == ANY_DEPTH:
            place += 1
            out.add(place)
    return out


def _is_wild(part: bytes) -> bool:
    return b"*" in part or b"?" in part


def _fits(part: bytes, name: bytes, charge: Callable[[int], None]) -> bool:
    if part == b"*":
        return True
    if not _is_wild(part):
        return part == name
    at = place = steps = 0
    star, resume = -1, 0
    while place < len(name):
        steps += 1
        if at < len(part) and part[at : at + 1] == b"*":
            star, resume = at, place
            at += 1
        elif at < len(part) and (part[at] == name[place] or part[at : at + 1] == b"?"):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            charge(steps)
            return False
    charge(steps)
    return part[at:].strip(b"*") == b""
