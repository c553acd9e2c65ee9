"""`cosmos ls`: what an image holds."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import PATH, json_option
from cosmos.cli.terminal import emit, say
from cosmos.release.inspect import find_image, listed


@click.command()
@click.argument("image", type=PATH)
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@json_option
def ls(image: Path, globs: tuple[str, ...], as_json: bool) -> None:
    """List what an image holds, as its manifest states it. Only its index is read."""
    lines = listed(find_image(image), globs)
    if as_json:
        emit({"entries": [str(line) for line in lines]})
        return
    for line in lines:
        say(str(line))
