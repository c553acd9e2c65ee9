"""`cosmos cat`: print one file of an image."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cosmos.cli.options import IMAGE
from cosmos.cli.terminal import NamingStdout
from cosmos.release.inspect import file_pieces, find_image


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("path")
def cat(image: Path, path: str) -> None:
    """Write one file of an image to stdout. Only its layer is read, and it is verified first."""
    for piece in file_pieces(find_image(image), path):
        with NamingStdout():
            sys.stdout.buffer.write(piece)
    with NamingStdout():
        sys.stdout.buffer.flush()
