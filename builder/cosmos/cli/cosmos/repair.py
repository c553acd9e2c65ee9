"""`cosmos repair`: restore what `cosmos verify` finds bad, from what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.options import offline_option, root_option
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.entry_check import Difference
from cosmos.device.repair import Repaired, RepairRequest, rehearse_repair, repair
from cosmos.device.root import LiveRoot, shown
from cosmos.model.names import StarName


@click.command("repair")
@click.argument("stars", nargs=-1, metavar="[STAR]...")
@click.option("--from", "sticks", type=FOLDER, multiple=True, help="A folder with a galaxy or galaxies, as a stick.")
@click.option("--configuration", is_flag=True, help="Restore changed configuration too.")
@offline_option
@click.option("--dry-run", is_flag=True, help="Say what would be restored, and change nothing.")
@click.option("--wait", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Wait for another cosmos.")
@root_option
@json_option
def repair_command(
    stars: tuple[str, ...],
    sticks: tuple[Path, ...],
    configuration: bool,
    offline: bool,
    dry_run: bool,
    wait: float,
    root: Path,
    as_json: bool,
) -> None:
    """Restore what `cosmos verify` finds bad: of the named stars, or of all.

    Everything is judged by what the authors signed. Exit 4: a star is not trusted now. Exit 5: what was signed is away.
    Exit 7: something stays bad for another reason.
    """
    around = surroundings()
    request = RepairRequest(
        stars=tuple(parsed(StarName.parse, text, "STAR") for text in stars),
        configuration=configuration,
        offline=offline,
        epoch=int(around.now()),
        sticks=sticks,
        wait_seconds=wait,
    )
    reporter = around.reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        done = rehearse_repair(live, request, reporter) if dry_run else repair(live, request, reporter)
    if done.unowned:
        around.terminal.warn(f"{done.unowned} owners and capabilities were not set: only root can set them")
    if as_json:
        emit(_row(done, dry_run=dry_run))
    else:
        for line in _lines(done, dry_run=dry_run):
            say(line)
    error = done.error()
    if error is not None:
        for left in done.left if error.exit_code != 7 else ():
            around.terminal.warn(str(left))
        raise error


def _lines(done: Repaired, *, dry_run: bool) -> Iterator[str]:
    would = "would have " if dry_run else ""
    for one in done.restored:
        yield f"{would}{one.how} {shown(one.path)} ({one.star})"
    for name in done.records:
        yield f"{would}corrected the record of {name}"
    for row in done.configuration:
        yield f"kept {row}"
    if not (done.restored or done.records or done.left):
        yield "nothing to repair"


def _row(done: Repaired, *, dry_run: bool) -> dict[str, Json]:
    return {
        "dry-run": dry_run,
        "restored": [{"path": shown(one.path), "star": one.star, "how": one.how} for one in done.restored],
        "corrected-records": [str(name) for name in done.records],
        "kept-configuration": [_difference_row(row) for row in done.configuration],
        "left": [{**_difference_row(one.what), "why": one.cause.problem} for one in done.left],
    }


def _difference_row(row: Difference) -> dict[str, Json]:
    return {"path": shown(row.path), "star": row.star or None, "problem": row.problem}
