"""`cosmos ls`: list the entries of an image."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import IMAGE, json_option
from cosmos.cli.terminal import emit, say
from cosmos.release.inspect import find_image, listed


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@json_option
def ls(image: Path, globs: tuple[str, ...], as_json: bool) -> None:
    """List the entries of an image, as in its manifest. It reads only the image's index."""
    lines = listed(find_image(image), globs)
    if as_json:
        emit({"entries": [str(line) for line in lines]})
        return
    for line in lines:
        say(str(line))
