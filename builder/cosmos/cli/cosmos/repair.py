"""`cosmos repair`: restore what `cosmos verify` finds bad, from what was signed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.about import VERSION
from cosmos.canon import Json
from cosmos.cli.completing import installed_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.asking import demand_agreement
from cosmos.cli.cosmos.from_release import release_asked, release_row
from cosmos.cli.cosmos.options import from_option, key_option, offline_option, root_option
from cosmos.cli.network import network
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.entry_check import Difference
from cosmos.device.rebuilt_universe import RebuiltUniverse
from cosmos.device.released import ReleaseAsked
from cosmos.device.repair import RebuildRequest, rebuild_universe, rehearse_repair, repair
from cosmos.device.repair_work import Repaired, RepairRequest
from cosmos.device.root import LiveRoot, shown
from cosmos.errors import Differs
from cosmos.model.names import Arch, StarName


@click.command("repair")
@click.argument("stars", nargs=-1, metavar="[STAR]...", shell_complete=installed_stars)
@from_option
@key_option
@click.option(
    "--accept-revoked",
    multiple=True,
    metavar="STAR",
    help="Take the release although this star is not trusted now; nothing of the star is restored.",
)
@click.option("--universe", is_flag=True, help="Rebuild a lost or damaged universe.toml from what was signed.")
@click.option(
    "--arch",
    default=os.uname().machine,
    show_default=True,
    help="With --universe, without a release: the architecture.",
)
@click.option("--yes", is_flag=True, help="With --universe: write what was found, and do not ask.")
@click.option("--configuration", is_flag=True, help="Restore changed configuration too.")
@offline_option
@click.option("--dry-run", is_flag=True, help="Say what would be restored, and change nothing.")
@click.option("--wait", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Wait for another cosmos.")
@root_option
@reporting_options
@json_option
def repair_command(
    stars: tuple[str, ...],
    sticks: tuple[Path, ...],
    key_files: tuple[Path, ...],
    accept_revoked: tuple[str, ...],
    universe: bool,
    arch: str,
    yes: bool,
    configuration: bool,
    offline: bool,
    dry_run: bool,
    wait: float,
    root: Path,
    as_json: bool,
) -> None:
    """Restore what `cosmos verify` finds bad: of the named stars, or of all.

    Everything is judged by what the authors signed. With --from RELEASE, what the image brought is restored from the
    release that the system was made from: its own layers, and its stars. The release is verified first.

    Exit 4: a star or the release is not trusted now, or lacks what the policy demands. Exit 5: what was signed is away.
    Exit 7: something stays bad for another reason.
    """
    release, galaxies = release_asked(sticks, key_files, accept_revoked)
    if universe:
        _demand_alone(stars, configuration, dry_run)
        _rebuild(root, arch, (release, galaxies), offline=offline, wait=wait, yes=yes, as_json=as_json)
        return
    request = RepairRequest(
        stars=tuple(parsed(StarName.parse, text, "STAR") for text in stars),
        configuration=configuration,
        offline=offline,
        epoch=int(surroundings().now()),
        sticks=galaxies,
        release=release,
        wait_seconds=wait,
        network=network(),
    )
    _repair(root, request, dry_run=dry_run, as_json=as_json)


def _demand_alone(*others: object) -> None:
    """Raise `UsageError` if one of the options is given that say nothing to `--universe`."""
    if any(others):
        raise click.UsageError("with --universe, leave out STAR, --configuration and --dry-run")


def _rebuild(
    root: Path,
    arch: str,
    asked: tuple[ReleaseAsked | None, tuple[Path, ...]],
    *,
    offline: bool,
    wait: float,
    yes: bool,
    as_json: bool,
) -> None:
    release, galaxies = asked
    request = RebuildRequest(
        arch=parsed(Arch.written, arch, "--arch"),
        version=VERSION,
        epoch=int(surroundings().now()),
        offline=offline,
        sticks=galaxies,
        release=release,
        wait_seconds=wait,
        network=network(),
    )
    reporter = surroundings().reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        rebuild_universe(live, request, reporter, lambda found: _agreed(found, yes=yes, as_json=as_json))


def _repair(root: Path, request: RepairRequest, *, dry_run: bool, as_json: bool) -> None:
    reporter = surroundings().reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        done = rehearse_repair(live, request, reporter) if dry_run else repair(live, request, reporter)
    _answer(done, dry_run=dry_run, as_json=as_json)


def _answer(done: Repaired, *, dry_run: bool, as_json: bool) -> None:
    """Say what was restored; raises the error for what stays bad."""
    terminal = surroundings().terminal
    if done.unowned:
        terminal.warn(f"{done.unowned} owners and capabilities were not set: only root can set them")
    if as_json:
        emit(_row(done, dry_run=dry_run))
    else:
        for line in _lines(done, dry_run=dry_run):
            say(line)
    error = done.error()
    if error is not None:
        for left in () if isinstance(error, Differs) else done.left:
            terminal.warn(str(left))
        raise error


def _agreed(found: RebuiltUniverse, *, yes: bool, as_json: bool) -> bool:
    """Say what was found, and return whether it may be written; raises `UsageError` if nobody can be asked."""
    if as_json:
        emit(_rebuilt_row(found, wrote=yes))
    else:
        for line in _rebuilt_lines(found):
            say(line)
    if yes:
        return True
    if as_json or not surroundings().stdin_is_terminal:
        raise click.UsageError("nothing was written: if this is right, add --yes")
    demand_agreement(surroundings(), "Write it to universe.toml?", is_agreed=False)
    return True


def _rebuilt_lines(found: RebuiltUniverse) -> Iterator[str]:
    for one in found.taken:
        also = f"; so would {', '.join(one.also)}" if one.also else ""
        quiet = "the release has it" if one.by_release else "brings no file, but is needed"
        fits = f"{one.as_signed} of {one.entries} files as signed" if one.entries else quiet
        where = "the release" if one.by_release else one.galaxy
        yield f"takes {one.name} {one.version} from {where}: {fits}{also}"
    for sentence in found.unknown:
        yield f"leaves out {sentence}"
    if found.release is None:
        yield "not known: who asked for each star (user is written), what the image brought, the system's version"
    else:
        yield f"takes from the release what the image {found.universe.image} {found.universe.version} itself brought"


def _rebuilt_row(found: RebuiltUniverse, *, wrote: bool) -> dict[str, Json]:
    return {
        "written": wrote,
        "taken": [
            {
                "name": str(one.name),
                "version": str(one.version),
                "galaxy": str(one.galaxy or ""),
                "by-release": one.by_release,
                "as-signed": one.as_signed,
                "files": one.entries,
                "also": list(one.also),
            }
            for one in found.taken
        ],
        "left-out": list(found.unknown),
        "release": release_row(found.release),
    }


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
        "release": release_row(done.release),
        "left": [{**_difference_row(one.what), "why": one.cause.problem} for one in done.left],
    }


def _difference_row(row: Difference) -> dict[str, Json]:
    return {"path": shown(row.path), "star": row.star or None, "problem": row.problem}
