"""`cosmos add`: wish for stars in an image, and freeze."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.completing import listed_stars
from cosmos.cli.cosmos.arguments import parsed
from cosmos.cli.cosmos.edited import Terms, edit_and_freeze
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.options import EXISTING_FILE, IMAGE, json_option
from cosmos.cli.passphrase import passphrase_fd_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.image.definition import read_definition
from cosmos.model.constellation import wish
from cosmos.model.constraint import Constraint
from cosmos.model.names import StarName


@click.command()
@click.argument("image", type=IMAGE)
@click.argument("stars", nargs=-1, required=True, metavar="STAR[@RANGE]...", shell_complete=listed_stars)
@click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
@click.option("--sign", "key_file", type=EXISTING_FILE, help="Sign the lock with this secret key of the role release.")
@passphrase_fd_option
@home_option
@reporting_options
@json_option
def add(
    image: Path,
    stars: tuple[str, ...],
    offline: bool,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Write STAR into [stars] of IMAGE's image.toml, and freeze. Comments and the other lines stay as they are.

    RANGE is a constraint, such as nano@^7.2 or 'nano@>=7, <9'. Without RANGE, any version counts, and a star that is
    there already keeps its constraint. If the freeze fails, neither file is written.
    """
    definition = read_definition(image)
    there, wishes = definition.image.stars, dict[StarName, Constraint | None]()
    for text in stars:
        name, limit = parsed(wish, text, "STAR")
        if name in wishes:
            raise Malformed("STAR", f"{name} is named twice", hint=f"name it once: {text}")
        wishes[name] = there.get(name, limit) if "@" not in text else limit
    same = [name for name, limit in wishes.items() if name in there and limit is not None and there[name] == limit]
    for name in same:
        surroundings().reporter(quiet=as_json).note(f'{definition.file}: has {name} = "{there[name]}" already')
    changed = {name: limit for name, limit in wishes.items() if name not in same}
    terms = Terms(offline=offline, key_file=key_file, passphrase_fd=passphrase_fd, home=home, as_json=as_json)
    edit_and_freeze(definition, changed, terms)
