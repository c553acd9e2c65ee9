"""`stellar new-star`: make the source folder of a star."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed, quoted
from cosmos.model.names import StarName
from cosmos.stellar.new_star import new_star


@click.command("new-star")
@click.argument("name")
@click.option("--folder", type=FOLDER, default=Path("stars"), show_default=True, help="Make NAME in this folder.")
@click.option("--deb", metavar="PACKAGE", help="Make it of this Debian package.")
@click.option("--description", metavar="TEXT", help="What it is, in a line. Without it, a terminal asks.")
@click.option("--license", "licence", metavar="SPDX", help="Its licence (SPDX). Without it, a terminal asks.")
@json_option
def new(name: str, folder: Path, deb: str | None, description: str | None, licence: str | None, as_json: bool) -> None:
    """Make the source folder of a star: a star.toml to fill in, an install script, files/."""
    around = surroundings()
    may_ask = around.stdin_is_terminal and not as_json
    if description is None:
        description = _asked("What is it, in a line") if may_ask else ""
    if licence is None:
        licence = _asked("Its licence (SPDX)") if may_ask else ""
    try:
        star = StarName.parse(name)
    except ValueError as error:
        raise Malformed("the star's name", str(error)) from error
    made = new_star(folder / star, star, deb=deb, description=description, licence=licence)
    from cosmos.cli.schemas import with_schemas

    made = with_schemas(made, folder)
    if as_json:
        emit({"folder": str(folder / star), "files": [str(file) for file in made]})
        return
    for file in made:
        say(str(file))
    around.terminal.note(f"next: stellar validate {quoted(folder / star)}")


def _asked(question: str) -> str:
    answer: str = click.prompt(question, default="", show_default=False, err=True)
    return answer
