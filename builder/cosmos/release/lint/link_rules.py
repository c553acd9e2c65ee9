"""Symlinks that lead to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from cosmos.release.lint.finding import Finding
from cosmos.release.lint.seen_tree import FILLED_LATER, SeenTree
from cosmos.treepath import ROOT, escaped


def dangling_links(tree: SeenTree) -> Iterator[Finding]:
    """Yield each symlink whose target is not in the image, unless the running system makes it."""
    for path, entry in tree.entries.items():
        if entry.kind != "symlink":
            continue
        end = tree.followed(path)
        if end is None:
            problem = f"leads in a circle (-> {escaped(entry.target)})"
        elif end != ROOT and end.split(b"/")[0] not in FILLED_LATER and not tree.has(end):
            problem = f"leads to nothing (-> {escaped(entry.target)})"
        else:
            continue
        yield Finding(path=path, rule="dangling-symlink", what=problem, star=tree.owner(path))
