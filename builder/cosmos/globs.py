"""Globs: the one grammar for every place where people write a glob.

A glob is matched with a whole path, component by component:

    *      any run of bytes inside one component, also none    bin/*        the entries of bin
    ?      any one byte inside one component                   lib?/x       lib6/x
    **     alone between slashes: any number of components     a/**/b       a/b, a/x/b, a/x/y/b
                                                               **/*.ko      every .ko, at the top as well
           at the end: one component or more                   usr/**       everything below usr, without usr itself

`**` beside other bytes in a component is refused. Every other byte stands for itself, and so does a bracket:
`usr/bin/[` is a real file. A leading slash, `//` and `/./` are ignored, as in every path that people write; `..` is
refused. There is no escape: for a `*` or `?` in a name, write `?`.

Three kinds of places use the grammar:

- Nova scripts (`glob`, `filemap`) match paths as above.
- Lists that select files (a recipe's `only` and `exclude`, an image's outputs, `cosmos ls`) are written in the text
  form of `TreePath`. There a glob without a wildcard also matches everything below it: `usr/lib` means the folder and
  its contents.
- Names (trust.toml's scopes, `deb:` sources) are one component, and so is a glob on names: `*` is any run of characters
  and `?` is one character. A name has no slash that `**` could cross, so `**` means the same as `*` there.

The time to match any glob is bounded by the product of the two lengths. The text between two asterisks is searched for
once, at its first place, without nested backtracking (R. Cox, "Glob Matching Can Be Simple And Fast Too", 2017).
Nova counts the steps (`Glob.matches`). Lists go over the paths of whole systems, so they use a regular expression of
the same meaning, with atomic groups (`re`, Python 3.11).

>>> [matches_any(TreePath(path), ["usr/*/lib?.so"]) for path in (b"usr/x/libz.so", b"usr/x/y/libz.so", b"usr/libz.so")]
[True, False, False]
>>> [matches_any(TreePath(path), ["usr/**"]) for path in (b"usr", b"usr/bin", b"usr/bin/[")]
[False, True, True]
>>> name_matches("libc6", "lib*"), name_matches("my-lib", "lib*")
(True, False)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Self

from cosmos.records import dataclass
from cosmos.treepath import TreePath, unescaped

ANY_DEPTH: Final = b"**"
_PATH_COST: Final = 20  # of one path looked at, in the units of Nova's meter, besides the steps of its wildcards
_STEP_COST: Final = 5  # of one component of a path against one of the glob
_STAR: Final = ord("*")
_ONE: Final = ord("?")
_BYTES: Final = [rb"[^/]" if byte == _ONE else re.escape(bytes([byte])) for byte in range(256)]


def _free(_units: int) -> None:
    """Charge nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Glob:
    """A glob on paths, by component."""

    parts: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Return `raw` as a glob; raises `ValueError` if it is not a path, or if `**` is part of a longer component.

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

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the glob whose text form is `text`; raises `ValueError` as `parse`.

        >>> Glob.from_text("caf\\\\xe9/*").matches(TreePath(b"caf\\xe9/x"))
        True
        """
        raw = unescaped(text)
        if not raw.strip(b"/"):
            raise ValueError("want a glob such as usr/bin/*, got nothing")
        return cls.parse(raw)

    @property
    def fixed(self) -> tuple[bytes, ...]:
        """The leading components without a wildcard; the last component is never one of them."""
        count = 0
        while count < len(self.parts) - 1 and not _is_wild(self.parts[count]):
            count += 1
        return self.parts[:count]

    def below(self, folder: TreePath) -> Glob:
        """Return the glob with its fixed components replaced by `folder`; raises `ValueError` if that is no glob."""
        moved = tuple(folder.split(b"/")) if folder else ()
        if any(map(_is_wild, moved)):
            raise ValueError(f"{folder.text!r}: a folder whose name holds a wildcard cannot be searched by name")
        return Glob.parse(b"/".join((*moved, *self.parts[len(self.fixed) :])))

    def matches(self, path: TreePath, charge: Callable[[int], None] = _free) -> bool:
        """Whether it matches the whole of `path`. `charge` is called with the cost in steps."""
        charge(_PATH_COST)
        parts = (*self.parts, b"*") if self.parts[-1] == ANY_DEPTH else self.parts
        reached = _past_stars(parts, {0})
        for name in path.split(b"/"):
            following: set[int] = set()
            charge(_STEP_COST * len(reached))
            for place in reached:
                if place == len(parts):
                    continue
                if parts[place] == ANY_DEPTH:
                    following.add(place)
                elif _fits(parts[place], name, charge):
                    following.add(place + 1)
            reached = _past_stars(parts, following)
            if not reached:
                return False
        return len(parts) in reached


def checked(text: str) -> str:
    """Return `text` if it is a glob on paths in text form, or raise `ValueError`."""
    Glob.from_text(text)
    return text


def matches_any(path: TreePath, globs: Iterable[str]) -> bool:
    """Return whether one of `globs` matches `path`. Raises `ValueError`.

    >>> matches_any(TreePath(b"usr/lib/libz.so.1"), ["bin", "usr/lib"])
    True
    """
    return any(_pattern(glob).fullmatch(path) for glob in globs)


def unused(globs: Iterable[str], paths: Iterable[TreePath]) -> tuple[str, ...]:
    """Return the globs that match no path of `paths`: most often they are misspelt. Raises `ValueError`."""
    listed = list(paths)
    return tuple(glob for glob in globs if not any(map(_pattern(glob).fullmatch, listed)))


def name_matches(name: str, glob: str) -> bool:
    """Return whether the glob on names `glob` matches the whole of `name`.

    >>> name_matches("zlib", "z?*b"), name_matches("zb", "z?*b"), name_matches("a[b]", "a[b]")
    (True, False, True)
    """
    return _fits(tuple(map(ord, glob)), tuple(map(ord, name)), _free)


def wildcard_spans(name: str, glob: str) -> tuple[tuple[int, int], ...] | None:
    """Return where in `name` each wildcard of `glob` begins and ends, or None if the glob does not match.

    Each `*` is as long as the rest of the glob allows, the first one first.

    >>> wildcard_spans("lib3tools12", "lib?tools*")
    ((3, 4), (9, 11))
    """
    if not name_matches(name, glob):
        return None
    rests = [{len(name)}]  # where in `name` the glob's last 0, 1, 2, … characters may begin
    for char in reversed(glob):
        last = rests[-1]
        if char == "*":
            rests.append(set(range(max(last) + 1)) if last else set())
        else:
            rests.append({place - 1 for place in last if place and char in ("?", name[place - 1])})
    spans, at = list[tuple[int, int]](), 0
    for char, rest in zip(glob, rests[-2::-1], strict=True):
        end = max(place for place in rest if place >= at) if char == "*" else at + 1
        if char in "*?":
            spans.append((at, end))
        at = end
    return tuple(spans)


@functools.lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[bytes]:
    """Return the regular expression that a whole path must match, for a glob in a list."""
    parts = Glob.from_text(text).parts
    if not any(map(_is_wild, parts)):
        return re.compile(re.escape(b"/".join(parts)) + rb"(?:/.*)?", re.DOTALL)
    segments: list[list[bytes]] = [[]]
    for part in parts:
        if part == ANY_DEPTH:
            segments.append([])
        else:
            segments[-1].append(_component_pattern(part))
    first, *middle = (b"/".join(segment) for segment in segments)
    if not middle:
        return re.compile(first)
    last = middle.pop()
    pattern = first + b"/" if first else b""
    pattern += b"".join(rb"(?>(?:[^/]+/)*?" + segment + rb"/)" for segment in middle)
    return re.compile(pattern + (rb"(?:[^/]+/)*" + last if last else rb".+"), re.DOTALL)


def _component_pattern(part: bytes) -> bytes:
    first, *middle = (b"".join(_BYTES[byte] for byte in piece) for piece in part.split(b"*"))
    if not middle:
        return first
    last = middle.pop()
    return first + b"".join(rb"(?>[^/]*?" + piece + rb")" for piece in middle) + rb"[^/]*" + last


def _past_stars(parts: tuple[bytes, ...], places: set[int]) -> set[int]:
    out = set(places)
    for place in places:
        while place < len(parts) and parts[place] == ANY_DEPTH:
            place += 1
            out.add(place)
    return out


def _is_wild(part: bytes) -> bool:
    return b"*" in part or b"?" in part


def _fits(part: Sequence[int], name: Sequence[int], charge: Callable[[int], None]) -> bool:
    """Return whether the component `part` of a glob matches `name`; both are bytes, or both are text."""
    if len(part) == 1 and part[0] == _STAR:
        return True
    if _STAR not in part and _ONE not in part:
        return part == name
    at = place = steps = 0
    star, resume = -1, 0
    while place < len(name):
        steps += 1
        if at < len(part) and part[at] == _STAR:
            star, resume = at, place
            at += 1
        elif at < len(part) and part[at] in (name[place], _ONE):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            charge(steps)
            return False
    charge(steps)
    return all(byte == _STAR for byte in part[at:])
