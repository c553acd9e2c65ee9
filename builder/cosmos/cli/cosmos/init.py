"""`cosmos init`: make a system of a bare tree."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cosmos.cli.cosmos.arguments import parsed, root_text
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot, shown
from cosmos.limits import SETTINGS_SECONDS
from cosmos.model.names import Arch


@click.command()
@root_option
@click.option("--arch", default=os.uname().machine, show_default=True, help="The architecture of the system.")
@click.option("--system-version", default="0.1.0", show_default=True, help="The version of the system.")
@json_option
def init(root: Path, arch: str, system_version: str, as_json: bool) -> None:
    """Make a system of a bare tree: write its config.toml and an empty universe if they are missing."""
    with LiveRoot.open(root) as live, at_work(live, SETTINGS_SECONDS):
        done = initialise(live, arch=parsed(Arch.written, arch, "--arch"), version=system_version)
    if as_json:
        emit({"wrote": [shown(path) for path in done.wrote], "kept": [shown(path) for path in done.kept]})
        return
    for path in done.wrote:
        say(f"wrote {root / path.text}")
    for path in done.kept:
        say(f"kept  {root / path.text}")
    say(f"next: cosmos add-galaxy NAME URL{root_text(root)}")
