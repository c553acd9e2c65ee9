"""`cosmos remove`: wish for stars in an image no longer, and freeze."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import wished_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.edited import Terms, edit_and_freeze, editing_options
from cosmos.cli.options import IMAGE
from cosmos.errors import NoSolution, quoted
from cosmos.image.definition import Definition, read_definition
from cosmos.model.names import StarName
from cosmos.nearest import nearest


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("stars", nargs=-1, required=True, metavar="STAR...", shell_complete=wished_stars)
@editing_options
def remove(terms: Terms, image: Path, stars: tuple[str, ...]) -> None:
    """Take STAR out of [stars] of IMAGE's image.toml, and freeze. Comments and the other lines stay as they are.

    A star that another star needs stays in the lock. If the freeze fails, neither file is written.
    """
    definition = read_definition(image)
    names = tuple(dict.fromkeys(parsed(StarName.parse, text, "STAR") for text in stars))
    for name in names:
        if name not in definition.image.stars:
            raise NoSolution(str(definition.file), f"has no {name} in [stars]", hint=_way_out(definition, name))
    edit_and_freeze(definition, dict.fromkeys(names), terms)


def _way_out(definition: Definition, name: StarName) -> str:
    """Return where the star is wished for instead, or which name was meant."""
    for file, members in definition.constellations.items():
        if name in members:
            return f"take it out of {definition.folder / file}, then: cosmos freeze {quoted(definition.folder)}"
    near = nearest(name, map(str, definition.image.stars), 3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"to see who needs it: cosmos why {quoted(definition.folder)} {name}"
