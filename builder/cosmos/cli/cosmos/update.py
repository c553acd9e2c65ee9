"""`cosmos update`: update the stars of a system to the newest versions that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.completing import installed_stars
from cosmos.cli.cosmos.arguments import parsed, root_text
from cosmos.cli.cosmos.asking import demand_agreement, yes_option
from cosmos.cli.cosmos.options import offline_option, root_option, wait_option
from cosmos.cli.cosmos.rows import counted
from cosmos.cli.network import network
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import Surroundings, emit, say, surroundings
from cosmos.device.root import LiveRoot, shown
from cosmos.device.update import Moved, Update, UpdateRequest, rehearse_update, update
from cosmos.model.constellation import wish
from cosmos.model.names import StarName
from cosmos.resolve.resolving import Wish


@click.command("update")
@click.argument("stars", nargs=-1, metavar="[STAR[@CONSTRAINT]]...", shell_complete=installed_stars)
@click.option(
    "--all", "is_all", is_flag=True, help="Update all installed stars [default], and explain every star that stays."
)
@click.option(
    "--allow-downgrade", "lowering", multiple=True, metavar="STAR", help="Let this star get an older version."
)
@offline_option
@click.option("--dry-run", is_flag=True, help="Fetch, verify and stage, say what would change, and change nothing.")
@click.option("--safe", is_flag=True, help="Refuse run() in scripts, even if [policy] allows it.")
@yes_option
@wait_option
@root_option
@reporting_options
@json_option
def update_command(
    stars: tuple[str, ...],
    is_all: bool,
    lowering: tuple[str, ...],
    offline: bool,
    dry_run: bool,
    safe: bool,
    is_agreed: bool,
    wait_seconds: float,
    root: Path,
    as_json: bool,
) -> None:
    """Update installed stars to the newest versions that all installed stars take.

    Configuration that you changed stays. The new one lies beside it as NAME.cosmos-new.
    """
    if stars and is_all:
        raise click.UsageError("name stars, or --all")
    around = surroundings()
    named = [parsed(wish, text, "STAR") for text in stars]
    wishes = [Wish(who="user", name=name, constraint=limit) for name, limit in named]
    request = UpdateRequest(
        wishes=wishes,
        lowering=[parsed(StarName.parse, text, "--allow-downgrade") for text in lowering],
        offline=offline,
        epoch=int(around.now()),
        explains_all=is_all or as_json,
        safe=safe,
        wait_seconds=wait_seconds,
        network=network(),
    )
    reporter = around.reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        if dry_run:
            done = rehearse_update(live, request, reporter)
        else:
            done = update(live, request, reporter, _agreement(around, as_json=as_json, is_agreed=is_agreed))
    if as_json:
        emit(_row(done, dry_run=dry_run))
        return
    if done.unowned:
        around.terminal.warn(f"{done.unowned} owners and capabilities were not set: only root can set them")
    for line in (*(_changes(done) if dry_run else ()), *_outcome(done, root, dry_run=dry_run)):
        say(line)


def _agreement(around: Surroundings, *, as_json: bool, is_agreed: bool) -> Callable[[Update], None]:
    def agree(changes: Update) -> None:
        if not as_json:
            for line in _changes(changes):
                say(line)
        question = f"update {counted(len(changes.moved), 'star')}?"
        demand_agreement(around, question, is_agreed=is_agreed or as_json)  # a program that reads JSON is not asked

    return agree


def _changes(done: Update) -> Iterator[str]:
    """Yield what changes, star by star and in total."""
    for one in done.moved:
        yield _moved(one)
    if done.moved:
        counts = done.counts
        grown = "of unknown size" if done.size_bytes is None else f"{done.size_bytes:+,} bytes on the disk"
        yield (
            f"files: {counts.added:,} added, {counts.replaced:,} replaced, {counts.removed:,} removed; "
            f"archives of {done.download_bytes:,} bytes, {grown}"
        )
    for kept in done.kept:
        yield f"keep {kept}"


def _moved(one: Moved) -> str:
    was = "new" if one.old is None else f"{one.old} ->"
    return f"{one.name} {was} {one.new} from {one.galaxy}"


def _outcome(done: Update, root: Path, *, dry_run: bool) -> Iterator[str]:
    """Yield the end of the answer: what was done, what stays, and what is not needed any more."""
    for held in done.held:
        if held.is_explained:
            yield f"held {held}"
    if unexplained := sum(1 for held in done.held if not held.is_explained):
        yield f"held {unexplained} more: cosmos update --all{root_text(root)} explains each"
    if not done.moved:
        yield "nothing to update"
    else:
        verb = "would update" if dry_run else "updated"
        new = sum(1 for one in done.moved if one.old is None)
        more = f", and {'install' if dry_run else 'installed'} {counted(new, 'new one')}" if new else ""
        yield f"{verb} {counted(len(done.moved) - new, 'star')}{more}"
    if done.unneeded:
        stars, verb = counted(len(done.unneeded), "star"), "is" if len(done.unneeded) == 1 else "are"
        yield f"{stars} {verb} not needed any more: {', '.join(done.unneeded)}; cosmos autoremove{root_text(root)}"


def _row(done: Update, *, dry_run: bool) -> dict[str, Json]:
    return {
        "dry-run": dry_run,
        "updated": [
            {
                "name": str(one.name),
                "from": None if one.old is None else str(one.old),
                "to": str(one.new),
                "galaxy": str(one.galaxy),
                "size-bytes": one.size_bytes,
            }
            for one in done.moved
        ],
        "files": {"added": done.counts.added, "replaced": done.counts.replaced, "removed": done.counts.removed},
        "download-bytes": done.download_bytes,
        "grown-bytes": done.size_bytes,
        "kept": [{"path": shown(one.path), "star": str(one.star), "why": one.why} for one in done.kept],
        "new-beside": [shown(path) for path in done.beside],
        "held": [
            {
                "name": str(one.name),
                "version": str(one.version),
                "newest": None if one.newest is None else str(one.newest),
                "why": one.why,
            }
            for one in done.held
        ],
        "needed-no-more": [str(name) for name in done.unneeded],
    }
