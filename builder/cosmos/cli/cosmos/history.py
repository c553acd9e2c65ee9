"""`cosmos history`: show what was changed on a system, by which command, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.cosmos.rows import counted
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.history import JudgedHistory, judged_history
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import HISTORY_PATH
from cosmos.errors import Differs
from cosmos.model.history import HistoryLine, StarChange
from cosmos.model.journal import change_words

_GOING_ON = {
    "running": "is going on: its line comes at its end",
    "interrupted": "was cut off, and did not take place: it gets no line",
    "committed": "was cut off when all was in place: the next cosmos install finishes it, and adds its line",
    "unreadable": "was cut off, and its journal is damaged or of another cosmos: the end was not judged",
    "unclear": "is going on, or was cut off: only the system's owner can tell",
}


@click.command("history")
@root_option
@json_option
def history(root: Path, as_json: bool) -> int:
    """Show what was changed on this system, the oldest change first. Exit 7: the history was cut or edited."""
    with LiveRoot.open(root) as live:
        found = judged_history(live)
    if as_json:
        emit(_row(found))
        if not found.faults:
            return 0
    else:
        for line in _lines(found):
            say(line)
    if found.faults:
        raise Differs(
            shown(HISTORY_PATH),
            f"does not hold together in {counted(len(found.faults), 'place')}",
            differences=tuple(f"line {fault.line}: {fault.problem}" for fault in found.faults),
            hint="somebody cut or edited it, or changed universe.toml; cosmos verify judges the files themselves",
        )
    return 0


def _lines(found: JudgedHistory) -> Iterator[str]:
    if found.head is None and not found.faults:
        yield "no history yet: the next command that changes the system begins it"
    if found.head is not None and found.head.dropped:
        yield f"({counted(found.head.dropped, 'older change')} fell away)"
    for change in found.changes:
        yield f"{change.number}  {change.command}: {_said(change)}"
    if found.head is not None:
        yield f"ends with {found.head.last}"
    if found.standing != "idle":
        yield f"{change_words(found.command)} {_GOING_ON[found.standing]}"


def _said(change: HistoryLine) -> str:
    stars = ", ".join(map(_star, change.stars))
    paths = counted(change.paths, "path")
    return f"{stars} ({paths})" if stars else paths


def _star(star: StarChange) -> str:
    if not star.old:
        return f"+{star.name} {star.new}"
    return f"{star.name} {star.old} -> {star.new}" if star.new else f"-{star.name} {star.old}"


def _row(found: JudgedHistory) -> dict[str, Json]:
    head = found.head
    return {
        "last": None if head is None else str(head.last),
        "dropped": 0 if head is None else head.dropped,
        "changes": [_change_row(change) for change in found.changes],
        "faults": [{"line": fault.line, "problem": fault.problem} for fault in found.faults],
        "installation": found.standing,
        "changing-command": found.command or None,
    }


def _change_row(change: HistoryLine) -> dict[str, Json]:
    return {
        "number": change.number,
        "command": change.command,
        "paths": change.paths,
        "before": str(change.before),
        "after": str(change.after),
        "stars": [{"name": str(star.name), "old": star.old or None, "new": star.new or None} for star in change.stars],
    }
