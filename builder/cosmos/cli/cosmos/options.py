"""Options that several of `cosmos`'s commands share."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FILE, FOLDER

home_option = click.option(
    "--home", type=FOLDER, envvar="COSMOS_HOME", help="The builder's home [default: the nearest .cosmos/]."
)
root_option = click.option("--root", type=FOLDER, default=Path("/"), help="The system at this root [default: /].")
offline_option = click.option("--offline", is_flag=True, help="Make no socket: read local galaxies and what was kept.")
accept_revoked_option = click.option(
    "--accept-revoked",
    multiple=True,
    metavar="STAR",
    help="Take this star although its key is trusted no longer (or galaxy:NAME); the release says so.",
)
badges_option = click.option(
    "--badges", "badges_file", type=FILE, metavar="FILE", help="Where the badges lie [default: OUT.intoto.jsonl]."
)
