"""`cosmos remove`: wish for stars in an image no longer, and freeze."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import wished_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.edited import Terms, edit_and_freeze
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.options import EXISTING_FILE, IMAGE, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.errors import NoSolution
from cosmos.image.definition import Definition, read_definition
from cosmos.model.names import StarName
from cosmos.nearest import nearest


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("stars", nargs=-1, required=True, metavar="STAR...", shell_complete=wished_stars)
@click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
@click.option("--sign", "key_file", type=EXISTING_FILE, help="Sign the lock with this secret key of the role release.")
@passphrase_fd_option
@home_option
@reporting_options
@json_option
def remove(
    image: Path,
    stars: tuple[str, ...],
    offline: bool,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Take STAR out of [stars] of IMAGE's image.toml, and freeze. Comments and the other lines stay as they are.

    A star that another star needs stays in the lock. If the freeze fails, neither file is written.
    """
    definition = read_definition(image)
    names = tuple(dict.fromkeys(parsed(StarName.parse, text, "STAR") for text in stars))
    for name in names:
        if name not in definition.image.stars:
            raise NoSolution(str(definition.file), f"has no {name} in [stars]", hint=_way_out(definition, name))
    terms = Terms(offline=offline, key_file=key_file, passphrase_fd=passphrase_fd, home=home, as_json=as_json)
    edit_and_freeze(definition, dict.fromkeys(names), terms)


def _way_out(definition: Definition, name: StarName) -> str:
    """Return where the star is wished for instead, or which name was meant."""
    for file, members in definition.constellations.items():
        if name in members:
            return f"take it out of {definition.folder / file}, then: cosmos freeze {definition.folder}"
    near = nearest(name, map(str, definition.image.stars), 3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"to see who needs it: cosmos why {definition.folder} {name}"
