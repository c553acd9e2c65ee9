"""Options that several commands of `cosmos` share."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_FOLDER, FILE, FOLDER, PUBLIC_KEY

home_option = click.option(
    "--home", type=FOLDER, envvar="COSMOS_HOME", help="The builder's home [default: the nearest .cosmos/]."
)
root_option = click.option("--root", type=FOLDER, default=Path("/"), help="The system at this root [default: /].")
offline_option = click.option("--offline", is_flag=True, help="Make no socket: use local galaxies and the cache.")
from_option = click.option(
    "--from",
    "sticks",
    type=FOLDER,
    multiple=True,
    metavar="DIR|RELEASE",
    help="Of a system: a folder with galaxies, as a stick, or the release that the system was made from.",
)
key_option = click.option(
    "--key", "key_files", type=PUBLIC_KEY, multiple=True, help="A public key of the release's signer."
)
accept_revoked_option = click.option(
    "--accept-revoked",
    multiple=True,
    metavar="STAR",
    help="Accept this star (or galaxy:NAME) although its key is no longer trusted; the release says so.",
)
origin_option = click.option(
    "--from",
    "origin",
    type=EXISTING_FOLDER,
    help="Take the galaxies from this vendored folder; from another folder, relative galaxy paths start there.",
)
var_option = click.option(
    "--var",
    "var_words",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of the template's variable NAME, in place of the one in image.toml. May be repeated.",
)
vars_option = click.option(
    "--vars",
    "vars_file",
    type=FILE,
    metavar="FILE",
    help="Take values of variables from this TOML file of NAME = VALUE, in place of those in image.toml.",
)
badges_option = click.option(
    "--badges", "badges_file", type=FILE, metavar="FILE", help="The file of badges [default: OUT.intoto.jsonl]."
)
wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait this long for another cosmos that is at work on the system.",
)
