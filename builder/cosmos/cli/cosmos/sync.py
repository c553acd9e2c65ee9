"""`cosmos sync`: fetch the newest state of a system's galaxies, for use offline."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import root_option, wait_option
from cosmos.cli.network import network
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.memory import read_memory
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.sync import Depth, Synced, SyncOutcome, Wanted, rehearse_sync
from cosmos.device.sync import sync as sync_galaxies
from cosmos.errors import Malformed
from cosmos.keyring.state import NO_MEMORY
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import counted
from cosmos.reading import read_bounded


@click.command("sync")
@click.argument("galaxies", nargs=-1, metavar="[GALAXY]...")
@click.option("--index", "depth", flag_value="index", help="Fetch only the index, and the catalogue for searches.")
@click.option(
    "--stars", "depth", flag_value="stars", default="stars", help="Also fetch the statement of every star [default]."
)
@click.option("--full", "depth", flag_value="full", help="Also fetch every archive, to install offline.")
@click.option(
    "--from",
    "origins",
    metavar="URL",
    multiple=True,
    help="Fetch one galaxy from here, this once: a stick, a mirror, or a file with an address in each line. "
    "If it fails, the next --from is asked.",
)
@click.option("--offline", is_flag=True, help="Make no socket: read local galaxies.")
@wait_option
@click.option("--dry-run", is_flag=True, help="Verify the newest indexes, say what would change, and change nothing.")
@click.option("--diff", "shows_changes", is_flag=True, help="List the versions that are new, and those that are gone.")
@click.option("--prune", is_flag=True, help="Remove archives that no index lists and that no installed star came from.")
@root_option
@reporting_options
@json_option
def sync(
    galaxies: tuple[str, ...],
    depth: Depth,
    origins: tuple[str, ...],
    offline: bool,
    wait_seconds: float,
    dry_run: bool,
    shows_changes: bool,
    prune: bool,
    root: Path,
    as_json: bool,
) -> None:
    """Fetch the newest state of the galaxies in config.toml, verify it, and keep it in the cache.

    Exit 4 for an index that is older than one seen before, or that does not match its own stars, and for a log that
    the policy wants and that was cut or forked, or lacks a star.
    """
    around = surroundings()
    if prune and (galaxies or origins or depth == "index"):
        raise click.UsageError("--prune judges by the stars of all galaxies: leave out GALAXY, --from and --index")
    try:
        names = tuple(GalaxyName.parse(name) for name in galaxies)
    except ValueError as error:
        raise click.UsageError(f"GALAXY: {error}") from error
    addresses = tuple(address for origin in origins for address in _addresses(origin))
    wanted = Wanted(
        names=names, depth=depth, origins=addresses, offline=offline, prune=prune, wait_seconds=wait_seconds
    )
    with LiveRoot.open(root) as live:
        had_memory = read_memory(live) is not None
        work = rehearse_sync if dry_run else sync_galaxies
        done = work(live, read_settings(live), wanted, around.reporter(quiet=as_json), network())
    if as_json:
        emit(_answer(done, dry_run=dry_run, rollback_judged=had_memory))
        return
    if not had_memory:
        around.terminal.note(NO_MEMORY)
    for one in done.galaxies:
        say(_planned(one, depth) if dry_run else _line(one))
        for change in (*(f"+ {row}" for row in one.new), *(f"- {row}" for row in one.gone)) if shows_changes else ():
            say(change)
    if done.pruned is not None:
        verb = "would remove" if dry_run else "removed"
        say(f"cache: {verb} {counted(len(done.pruned.files), 'file')}, {done.pruned.size_bytes:,} bytes")


def _answer(done: SyncOutcome, *, dry_run: bool, rollback_judged: bool) -> dict[str, Json]:
    pruned = done.pruned
    files: list[Json] = [] if pruned is None else [str(digest) for digest in pruned.files]
    return {
        "dry-run": dry_run,
        "galaxies": [_row(one) for one in done.galaxies],
        "rollback-judged": rollback_judged,
        "pruned": None if pruned is None else {"files": files, "bytes": pruned.size_bytes},
    }


def _addresses(origin: str) -> list[str]:
    """Return the address, or those in the file of that name: one in each line, without empty lines and comments."""
    if "://" in origin:
        return [origin]
    place = surroundings().at(origin)
    if not place.is_file():
        return [str(place)]
    text = read_bounded(place).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        hint = "write one address in each line, such as http://mirror.example/core or /media/stick/core"
        raise Malformed(str(place), "holds no address; expected one in each line", hint=hint)
    return [line if "://" in line else str(place.parent / line) for line in found]


def _row(one: Synced) -> dict[str, Json]:
    return {
        "name": str(one.name),
        "seq": one.seq,
        "seen-before": one.before,
        "stars": one.stars,
        "archives": one.archives,
        "left-out": list(one.left_out),
        "listed-no-more": list(one.listed_no_more),
        "new": list(one.new),
        "gone": list(one.gone),
        "missing": list(one.missing),
        "shell-scripts": list(one.shell_scripts),
        "without-badges": list(one.without_badges),
    }


def _line(one: Synced) -> str:
    was = "" if one.before in (None, one.seq) else f", was {one.before}"
    left = f"; {len(one.left_out)} not signed by a pinned author: {', '.join(one.left_out[:4])}" if one.left_out else ""
    left += f"; {len(one.missing)} not there: {', '.join(one.missing[:4])}" if one.missing else ""
    if one.without_badges:
        left += f"; {len(one.without_badges)} without the badges of [policy]: {', '.join(one.without_badges[:4])}"
    return f"{one.name}: seq {one.seq}{was}; {counted(one.stars, 'version')}, {counted(one.archives, 'archive')}{left}"


def _planned(one: Synced, depth: Depth) -> str:
    was = "" if one.before in (None, one.seq) else f", was {one.before}"
    fetched = f"; would fetch {counted(one.archives, 'archive')}" if depth == "full" else ""
    return f"{one.name}: seq {one.seq}{was}; {len(one.new)} new, {len(one.gone)} gone{fetched}"
