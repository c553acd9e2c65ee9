"""The options and answers of the commands that remove stars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.arguments import root_text
from cosmos.cli.cosmos.asking import demand_agreement
from cosmos.cli.cosmos.rows import counted
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.root import shown
from cosmos.device.uninstall import Removal

purge_option = click.option("--purge", is_flag=True, help="Also remove configuration that was changed.")
removal_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be removed and kept, and change nothing."
)


def removal_agreement(*, is_agreed: bool, as_json: bool) -> Callable[[Removal], None]:
    """Return the question that is asked on a terminal, after the lines of what would go. JSON's reader is not asked."""

    def agree(planned: Removal) -> None:
        around = surroundings()
        if is_agreed or as_json or not around.stdin_is_terminal:
            return
        for line in _planned_lines(planned, "to remove", "to keep"):
            around.terminal.tell(line)
        demand_agreement(around, f"remove {counted(len(planned.stars), 'star')}?", is_agreed=False)

    return agree


def answer_removal(done: Removal, root: Path, *, dry_run: bool, as_json: bool) -> None:
    """Write what was removed and kept on stdout, and warn of stars that lack a dependency now."""
    if as_json:
        emit(_row(done, dry_run=dry_run))
        return
    for name, needing in done.forced:
        surroundings().terminal.warn(f"{name} is needed by {', '.join(needing)}: cosmos verify names them")
    for line in _lines(done, root, dry_run=dry_run):
        say(line)


def _row(done: Removal, *, dry_run: bool) -> dict[str, Json]:
    return {
        "dry-run": dry_run,
        "removed": [{"name": str(name), "version": str(version)} for name, version in done.stars],
        "files": done.files,
        "folders": done.folders,
        "bytes": done.size_bytes,
        "kept": [{"path": shown(one.path), "star": str(one.star), "why": one.why} for one in done.kept],
        "lost-by": {str(name): [str(other) for other in others] for name, others in done.forced},
        "needed-no-more": [str(name) for name in done.unneeded],
    }


def _lines(done: Removal, root: Path, *, dry_run: bool) -> Iterator[str]:
    """Yield a line for each star, for each path that stays, and for the stars that nobody needs now."""
    yield from _planned_lines(done, *(("would remove", "would keep") if dry_run else ("removed", "kept")))
    if done.unneeded:
        stars = counted(len(done.unneeded), "star")
        verb = "is" if len(done.unneeded) == 1 else "are"
        yield f"{stars} {verb} not needed any more: {', '.join(done.unneeded)}; cosmos autoremove{root_text(root)}"


def _planned_lines(done: Removal, remove: str, keep: str) -> Iterator[str]:
    for name, version in done.stars:
        yield f"{remove} {name} {version}"
    count = f"{counted(done.files, 'file')} and {counted(done.folders, 'folder')}"
    yield f"{remove} {count}, {done.size_bytes:,} bytes"
    for one in done.kept:
        yield f"{keep} {one}"
