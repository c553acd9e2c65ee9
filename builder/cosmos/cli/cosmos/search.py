"""`cosmos search`: find stars of a system's galaxies by words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option, offline_option, root_option
from cosmos.cli.network import network
from cosmos.cli.options import IMAGE, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.search import search as search_stars
from cosmos.model.reporter import counted
from cosmos.staging.searching import Found, Searched

Has: TypeAlias = Literal["installed", "locked"]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--image", type=IMAGE, help="Search the galaxies of this image instead of a system's.")
@root_option
@offline_option
@home_option
@reporting_options
@json_option
def search(
    words: tuple[str, ...], image: Path | None, root: Path, offline: bool, home: Path | None, as_json: bool
) -> None:
    """Find stars whose name or description has every WORD. Upper and lower case do not matter.

    Exit 0 also if no star is found. With --image, `[locked]` stands for `[installed]`.
    """
    around = surroundings()
    if image is not None:
        done = _of_image(image, words, home, offline=offline)
    elif home is not None:
        raise click.UsageError("--home is for --image IMAGE")
    else:
        with LiveRoot.open(root) as live:
            done = search_stars(live, words, around.reporter(quiet=False), network(), offline=offline)
    has: Has = "installed" if image is None else "locked"
    if done.by_name:
        galaxies = counted(len(done.by_name), "galaxy has", "galaxies have")
        around.terminal.note(f"{galaxies} no catalogue, and only names are searched there: {', '.join(done.by_name)}")
    if as_json:
        emit(_row(words, done, has))
        return
    if not done.found:
        meant = f"; did you mean {' or '.join(done.near)}?" if done.near else ""
        around.terminal.note(f"no star has {' and '.join(map(repr, words))} in its name or description{meant}")
    for line in _lines(done.found, has):
        say(line)


def _of_image(image: Path, words: tuple[str, ...], home: Path | None, *, offline: bool) -> Searched:
    from cosmos.cli.cosmos.world import world_at
    from cosmos.image.definition import read_definition
    from cosmos.image.search import search_image

    return search_image(read_definition(image), world_at(home, image, offline=offline, quiet=True), words)


def _row(words: tuple[str, ...], done: Searched, has: Has) -> dict[str, Json]:
    return {
        "words": list(words),
        "stars": [_found_row(found, has) for found in done.found],
        "by-name-only": [str(name) for name in done.by_name],
        "left-out": {str(name): why for name, why in done.left_out.items()},
    }


def _found_row(found: Found, has: Has) -> dict[str, Json]:
    star = found.star
    return {
        "name": str(star.name),
        "version": None if star.version is None else str(star.version),
        "arch": None if star.arch is None else str(star.arch),
        "type": star.type,
        "galaxy": str(found.galaxy),
        "description": star.description,
        "license": star.license,
        "size-bytes": star.size_bytes,
        "provides": [str(name) for name in star.provides],
        has: None if found.had is None else str(found.had),
    }


def _lines(found: tuple[Found, ...], has: Has) -> Iterator[str]:
    """Yield one line a star, in columns."""
    rows = [(one.star.name, str(one.star.version or "?"), one.galaxy, _words(one, has)) for one in found]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for name, version, galaxy, words in rows:
        yield f"{name:<{widths[0]}}  {version:<{widths[1]}}  {galaxy:<{widths[2]}}  {words}".rstrip()


def _words(found: Found, has: Has) -> str:
    """Return the last column: whether the system or the lock has the star, and what it is."""
    state = ""
    if found.had is not None:
        state = f"[{has}] " if found.had == found.star.version else f"[{has} {found.had}] "
    return f"{state}{found.star.description}"
