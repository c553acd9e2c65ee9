"""`cosmos tree`: show what an image asks for, and what that needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import IMAGE, json_option
from cosmos.cli.terminal import emit, say
from cosmos.image.reasons import Explained
from cosmos.resolve.dependency_tree import Branch


@click.command()
@click.argument("image", type=IMAGE)
@json_option
def tree(image: Path, as_json: bool) -> None:
    """Show the stars of an image's lock as a tree: what the image asks for, and what each star needs.

    What a star needs is shown once, where it comes first; a later place of it has (*).
    """
    explained = Explained(image)
    if as_json:
        emit(
            {
                "image": str(explained.lock.request.image),
                "wishes": {who: _rows(found) for who, found in explained.tree()},
            }
        )
        return
    for who, branches in explained.tree():
        say(who)
        for line in _lines(branches):
            say(line)


def _rows(branches: tuple[Branch, ...]) -> list[Json]:
    return [
        {
            "depth": branch.depth,
            "star": str(branch.star.name),
            "version": str(branch.star.version),
            "size-bytes": branch.star.size_bytes,
            "repeated": branch.is_repeated,
        }
        for branch in branches
    ]


def _lines(branches: tuple[Branch, ...]) -> Iterator[str]:
    """Yield a line for each branch. It goes from the last to the first, because a corner depends on what follows."""
    lines: list[str] = []
    open_depths: set[int] = set()
    for branch in reversed(branches):
        open_depths = {depth for depth in open_depths if depth <= branch.depth}
        lead = "".join("│  " if depth in open_depths else "   " for depth in range(branch.depth))
        corner = "├─ " if branch.depth in open_depths else "└─ "
        open_depths.add(branch.depth)
        mark = " (*)" if branch.is_repeated else ""
        lines.append(f"{lead}{corner}{branch.star.name} {branch.star.version}{mark}")
    yield from reversed(lines)
