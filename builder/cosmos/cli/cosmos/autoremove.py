"""`cosmos autoremove`: remove the stars that nobody needs any more."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.asking import yes_option
from cosmos.cli.cosmos.options import root_option, wait_option
from cosmos.cli.cosmos.removal_words import answer_removal, purge_option, removal_agreement, removal_dry_run_option
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import say, surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.uninstall import UninstallRequest, autoremove, rehearse_autoremove


@click.command("autoremove")
@purge_option
@removal_dry_run_option
@yes_option
@wait_option
@root_option
@reporting_options
@json_option
def autoremove_command(
    purge: bool, dry_run: bool, is_agreed: bool, wait_seconds: float, root: Path, as_json: bool
) -> None:
    """Remove the stars that nobody asked for and that no other star needs any more.

    On a terminal it asks, unless --yes is given.
    """
    request = UninstallRequest(purge=purge, wait_seconds=wait_seconds)
    reporter = surroundings().reporter(quiet=as_json)
    with LiveRoot.open(root) as live:
        if dry_run:
            done = rehearse_autoremove(live, request)
        else:
            done = autoremove(live, request, reporter, removal_agreement(is_agreed=is_agreed, as_json=as_json))
    if not done.stars and not as_json:
        say("nothing to remove: every star was asked for, or another star needs it")
        return
    answer_removal(done, root, dry_run=dry_run, as_json=as_json)
