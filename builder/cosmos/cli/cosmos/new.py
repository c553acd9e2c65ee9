"""`cosmos new`: make a small image definition to start from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cosmos.cli.options import PATH, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.image.new import new_image


@click.command()
@click.argument("folder", metavar="NAME", type=PATH)
@click.option("--arch", default=os.uname().machine, show_default=True, help="The architecture of the image.")
@click.option("--galaxy", nargs=2, default=("core", "../galaxy"), metavar="NAME URL", help="The galaxy of its stars.")
@click.option("--epoch", type=int, help="source-date-epoch [default: $SOURCE_DATE_EPOCH, else the start of today].")
@json_option
def new(folder: Path, arch: str, galaxy: tuple[str, str], epoch: int | None, as_json: bool) -> None:
    """Make a small image definition to start from."""
    around = surroundings()
    today = int(around.environ.get("SOURCE_DATE_EPOCH") or int(around.now()) // 86400 * 86400)
    files = new_image(folder, arch=arch, galaxy=galaxy[0], url=galaxy[1], epoch=today if epoch is None else epoch)
    from cosmos.cli.schemas import with_schemas

    files = with_schemas(files, folder)
    if as_json:
        emit({"files": [str(file) for file in files]})
        return
    for file in files:
        say(str(file))
    say(f"next: add stars to {files[0]}, then cosmos freeze {folder}")
