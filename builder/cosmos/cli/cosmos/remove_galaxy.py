"""`cosmos remove-galaxy`: a system takes no more stars from a galaxy."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.cosmos.rows import galaxy_row
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.system import demand_system
from cosmos.limits import SETTINGS_SECONDS
from cosmos.model.names import GalaxyName


@click.command("remove-galaxy")
@click.argument("name")
@root_option
@json_option
def remove_galaxy(name: str, root: Path, as_json: bool) -> None:
    """Take no more stars from a galaxy. What came from it stays installed."""
    with LiveRoot.open(root) as live:
        demand_system(live)
        with at_work(live, SETTINGS_SECONDS):
            settings = read_settings(live).without_galaxy(parsed(GalaxyName.parse, name, "NAME"))
            write_settings(live, settings)
    if as_json:
        emit({"removed": name, "galaxies": [galaxy_row(galaxy) for galaxy in settings.galaxies]})
        return
    say(f"removed {name}")
