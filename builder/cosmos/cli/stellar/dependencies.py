"""A star to try, and the root of its dependencies."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import click

from cosmos.cli.options import FOLDER
from cosmos.cli.stellar.options import machine
from cosmos.stellar.galaxy_shelf import GalaxyShelf
from cosmos.stellar.open_star import OpenStar, open_star
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

galaxy_option = click.option(
    "--galaxy", type=FOLDER, help="Take the archive of a star made of packages, and its dependencies, from here."
)


def opened_star(star: Path, galaxy: Path | None) -> tuple[OpenStar, Mapping[TreePath, Entry] | None]:
    """Return the star, and the root of its dependencies; None where they are not known."""
    if galaxy is not None:
        shelf = GalaxyShelf.open(galaxy, machine(platform.machine()))
        opened = shelf.star(star)
        return opened, shelf.below(opened)
    opened = open_star(star)
    return opened, None if opened.needs else {}
