"""`cosmos add-galaxy`: add a galaxy to the settings of a system."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cosmos.cli.cosmos.arguments import parsed, root_text
from cosmos.cli.cosmos.options import root_option
from cosmos.cli.cosmos.rows import galaxy_row
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.system import demand_system
from cosmos.limits import SETTINGS_SECONDS
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.transport.opening import open_carrier


@click.command("add-galaxy")
@click.argument("name")
@click.argument("url")
@click.option("--allow-unsigned", is_flag=True, help="Accept unsigned stars from it. Every command that does so warns.")
@root_option
@json_option
def add_galaxy(name: str, url: str, allow_unsigned: bool, root: Path, as_json: bool) -> None:
    """Take stars from the galaxy at URL: a folder, file:// or http://. A known NAME gets the new address."""
    has_scheme = "://" in url
    address = url if has_scheme else os.path.normpath(surroundings().at(url))
    galaxy = GalaxySource(name=parsed(GalaxyName.parse, name, "NAME"), url=address, allow_unsigned=allow_unsigned)
    carrier = open_carrier(url, Path("/"), root)  # checks the address; it reads nothing and makes no socket
    with LiveRoot.open(root) as live:
        demand_system(live)
        with at_work(live, SETTINGS_SECONDS):
            write_settings(live, read_settings(live).with_galaxy(galaxy))
    folder = carrier.address if has_scheme else address
    if carrier.is_local and not Path(folder).is_dir():
        surroundings().terminal.warn(f"{name}: {folder} is not a folder at the moment")
    if allow_unsigned:
        surroundings().terminal.warn(f"{name}: unsigned stars of this galaxy will be accepted")
    if as_json:
        emit(galaxy_row(galaxy))
        return
    say(f"{galaxy.name}  {galaxy.url}")
    say(f"next: cosmos install STAR{root_text(root)}")
