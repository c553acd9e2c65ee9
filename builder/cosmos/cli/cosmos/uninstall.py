"""`cosmos uninstall`: remove stars from a system."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import installed_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.asking import yes_option
from cosmos.cli.cosmos.options import root_option, wait_option
from cosmos.cli.cosmos.removal_words import answer_removal, purge_option, removal_agreement, removal_dry_run_option
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.uninstall import UninstallRequest, rehearse_uninstall, uninstall
from cosmos.model.names import StarName


@click.command("uninstall")
@click.argument("stars", nargs=-1, required=True, metavar="STAR...", shell_complete=installed_stars)
@click.option("--force", is_flag=True, help="Remove a star that others need, that the image asked for, or `cosmos`.")
@purge_option
@removal_dry_run_option
@yes_option
@wait_option
@root_option
@reporting_options
@json_option
def uninstall_command(
    stars: tuple[str, ...],
    force: bool,
    purge: bool,
    dry_run: bool,
    is_agreed: bool,
    wait_seconds: float,
    root: Path,
    as_json: bool,
) -> None:
    """Remove stars. What somebody changed stays, and is listed. On a terminal it asks, unless --yes is given.

    Exit 3 if another star needs one of them.
    """
    names = tuple(parsed(StarName.parse, text, "STAR") for text in stars)
    request = UninstallRequest(stars=names, force=force, purge=purge, wait_seconds=wait_seconds)
    reporter = surroundings().reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        if dry_run:
            done = rehearse_uninstall(live, request)
        else:
            done = uninstall(live, request, reporter, removal_agreement(is_agreed=is_agreed, as_json=as_json))
    answer_removal(done, root, dry_run=dry_run, as_json=as_json)
