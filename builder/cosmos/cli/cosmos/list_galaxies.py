"""`cosmos list-galaxies`: where a system takes its stars from."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.options import root_option
from cosmos.cli.cosmos.rows import galaxy_row
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import demand_system


@click.command("list-galaxies")
@root_option
@json_option
def list_galaxies(root: Path, as_json: bool) -> None:
    """List the galaxies that stars are taken from, in order of priority. None of them is opened."""
    with LiveRoot.open(root) as live:
        demand_system(live)
        galaxies = read_settings(live).galaxies
    if as_json:
        emit({"galaxies": [galaxy_row(galaxy) for galaxy in galaxies]})
        return
    width = max((len(galaxy.name) for galaxy in galaxies), default=0)
    for galaxy in galaxies:
        say(f"{galaxy.name:<{width}}  {galaxy.url}{'  (unsigned stars allowed)' if galaxy.allow_unsigned else ''}")
