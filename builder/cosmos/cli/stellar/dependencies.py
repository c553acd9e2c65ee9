"""Open a star to try, and the root of its dependencies."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from cosmos.cli.options import FOLDER
from cosmos.cli.stellar.options import machine
from cosmos.errors import CosmosError, NoSolution, ScriptFailed
from cosmos.records import dataclass
from cosmos.stellar.galaxy_library import GalaxyLibrary
from cosmos.stellar.open_star import OpenStar, open_star
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

galaxy_option = click.option(
    "--galaxy",
    type=FOLDER,
    help="Take the archive of a star made of packages, and its dependencies, from here. Without STAR: all its stars.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A star of a galaxy, and the root of its dependencies; or why its dependencies have none."""

    label: str
    star: OpenStar
    below: Mapping[TreePath, Entry] | None
    problem: CosmosError | None = None


def opened_star(star: Path, galaxy: Path | None) -> tuple[OpenStar, Mapping[TreePath, Entry] | None]:
    """Return the star and the root of its dependencies; None if they are not known."""
    if galaxy is not None:
        library = GalaxyLibrary.open(galaxy, machine(platform.machine()))
        opened = library.star(star)
        return opened, library.dependency_root(opened)
    opened = open_star(star)
    return opened, None if opened.needs else {}


def galaxy_stars(galaxy: Path | None) -> Iterator[Tried]:
    """Yield the newest version of every star of the galaxy, each with the root of its dependencies.

    Raises `click.UsageError` without a galaxy, `NoSolution` for one that lists no star, `Refused` for changed files.
    """
    if galaxy is None:
        raise click.UsageError("name a STAR, or a --galaxy to try all of its stars")
    library = GalaxyLibrary.open(galaxy, machine(platform.machine()))
    for candidate, opened in library.newest():
        label = f"{candidate.name} {candidate.version} ({candidate.arch})"
        try:
            yield Tried(label=label, star=opened, below=library.dependency_root(opened))
        except (NoSolution, ScriptFailed) as error:
            yield Tried(label=label, star=opened, below=None, problem=error)
