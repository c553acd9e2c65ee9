"""`cosmos add`: wish for stars in an image, and freeze."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import listed_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.edited import Terms, edit_and_freeze, editing_options
from cosmos.cli.options import IMAGE
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed, quoted
from cosmos.image.definition import read_definition
from cosmos.model.constellation import wish
from cosmos.model.constraint import Constraint
from cosmos.model.names import StarName


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("stars", nargs=-1, required=True, metavar="STAR[@RANGE]...", shell_complete=listed_stars)
@editing_options
def add(terms: Terms, image: Path, stars: tuple[str, ...]) -> None:
    """Write STAR into [stars] of IMAGE's image.toml, and freeze. Comments and the other lines stay as they are.

    RANGE is a constraint, such as nano@^7.2 or 'nano@>=7, <9'. Without RANGE, any version counts, and a star that is
    there already keeps its constraint. If the freeze fails, neither file is written.
    """
    definition = read_definition(image)
    there, wishes = definition.image.stars, dict[StarName, Constraint | None]()
    for text in stars:
        name, limit = parsed(wish, text, "STAR")
        if name in wishes:
            raise Malformed("STAR", f"{name} is named twice", hint=f"name it once: {quoted(text)}")
        wishes[name] = there.get(name, limit) if "@" not in text else limit
    same = [name for name, limit in wishes.items() if name in there and limit is not None and there[name] == limit]
    for name in same:
        surroundings().reporter(quiet=terms.as_json).note(f'{definition.file}: has {name} = "{there[name]}" already')
    changed = {name: limit for name, limit in wishes.items() if name not in same}
    edit_and_freeze(definition, changed, terms)
