"""Follow symbolic links inside a tree, as a kernel follows them in a chroot.

An absolute target starts at the tree's root, and `..` above the root stays there. The caller's function reads one link
at a time, so that the same code walks a tree in memory and a folder on a disk. The answer is only a path. It is no
protection: if other users can write to the folder, open the path without following any link.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.limits import MAX_SYMLINKS
from cosmos.treepath import ROOT, TreePath

TargetOf: TypeAlias = Callable[[TreePath, Sequence[bytes]], "bytes | None"]
"""Return the target of the link at a path, or None if it is not a link. It also gets the components that come after the
path, the next one last: it may raise if the path cannot have anything below it.
"""
Last: TypeAlias = Literal["follow", "keep"]


class TooManyLinks(ValueError):
    """There are more than `MAX_SYMLINKS` links on the way, most often because they form a circle."""


def followed(
    path: bytes, target_of: TargetOf, *, last: Last = "follow", on_step: Callable[[TreePath], None] | None = None
) -> TreePath:
    """Return the path that `path` leads to through links; a link at its end is followed only with `follow`.

    A component that does not exist is kept as written. The result may be the root. Before each component, `on_step` is
    called with the path so far. Raises `TooManyLinks`, and any error of `target_of` and `on_step`.

    >>> links = {b"bin": b"usr/bin", b"usr/bin/vi": b"/etc/editor", b"etc/editor": b"../../bin/ed"}
    >>> followed(b"bin/vi", lambda path, rest: links.get(path))
    TreePath(b'usr/bin/ed')
    >>> followed(b"bin/vi", lambda path, rest: links.get(path), last="keep")
    TreePath(b'usr/bin/vi')
    """
    todo = path.split(b"/")[::-1]
    at, links = ROOT, 0
    while todo:
        part = todo.pop()
        if on_step is not None:
            on_step(at)
        if part in (b"", b"."):
            continue
        if part == b"..":
            at = at.parent
            continue
        here = TreePath(at + b"/" + part) if at else TreePath(part)
        target = target_of(here, todo)
        if target is None or not (todo or last == "follow"):
            at = here
            continue
        links += 1
        if links > MAX_SYMLINKS:
            raise TooManyLinks(f"more than {MAX_SYMLINKS} links on the way")
        if target.startswith(b"/"):
            at = ROOT
        todo.extend(target.split(b"/")[::-1])
    return at


def real(path: Path) -> Path:
    """Return `path` without links. What lies behind a circle stays as it is: `Path.resolve` raises for one.

    >>> real(Path("/")).name
    ''
    """
    return Path(os.path.realpath(path))
