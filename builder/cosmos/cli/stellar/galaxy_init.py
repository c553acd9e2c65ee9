"""`stellar galaxy-init`: an empty galaxy."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.stellar.publishing import today
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.links import real
from cosmos.model.names import GalaxyName
from cosmos.stellar.galaxy_init import init_galaxy


@click.command("galaxy-init")
@click.argument("folder", type=FOLDER)
@click.option("--name", metavar="NAME", help="The galaxy's name [default: the folder's].")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@json_option
def galaxy_init(folder: Path, name: str | None, description: str, as_json: bool) -> None:
    """Begin an empty galaxy in FOLDER."""
    around = surroundings()
    try:
        galaxy_name = GalaxyName.parse(name if name is not None else real(folder).name)
    except ValueError as error:
        raise Malformed("the galaxy's name", str(error)) from error
    galaxy = init_galaxy(folder, galaxy_name, description, today(around.now()))
    if as_json:
        emit({"galaxy": str(galaxy_name), "folder": str(galaxy.root)})
        return
    say(f"{galaxy.root}: galaxy {galaxy_name}")
    around.terminal.note(f"next: stellar build-star stars/NAME --galaxy {quoted(folder)} --key AUTHOR.key")
