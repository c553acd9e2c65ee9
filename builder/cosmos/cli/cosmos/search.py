"""`cosmos search`: find stars of a system's galaxies by words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import offline_option, root_option
from cosmos.cli.network import network
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.root import LiveRoot
from cosmos.device.search import Found, Searched
from cosmos.device.search import search as search_stars
from cosmos.model.reporter import counted


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@root_option
@offline_option
@reporting_options
@json_option
def search(words: tuple[str, ...], root: Path, offline: bool, as_json: bool) -> None:
    """Find stars whose name or description has every WORD. Upper and lower case do not matter.

    Exit 0 also if no star is found.
    """
    around = surroundings()
    with LiveRoot.open(root) as live:
        done = search_stars(live, words, around.reporter(quiet=False), network(), offline=offline)
    if done.by_name:
        galaxies = counted(len(done.by_name), "galaxy has", "galaxies have")
        around.terminal.note(f"{galaxies} no catalogue, and only names are searched there: {', '.join(done.by_name)}")
    if as_json:
        emit(_row(words, done))
        return
    if not done.found:
        meant = f"; did you mean {' or '.join(done.near)}?" if done.near else ""
        around.terminal.note(f"no star has {' and '.join(map(repr, words))} in its name or description{meant}")
    for line in _lines(done.found):
        say(line)


def _row(words: tuple[str, ...], done: Searched) -> dict[str, Json]:
    return {
        "words": list(words),
        "stars": [_found_row(found) for found in done.found],
        "by-name-only": [str(name) for name in done.by_name],
        "left-out": {str(name): why for name, why in done.left_out.items()},
    }


def _found_row(found: Found) -> dict[str, Json]:
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
        "installed": None if found.installed is None else str(found.installed),
    }


def _lines(found: tuple[Found, ...]) -> Iterator[str]:
    """Yield one line a star, in columns."""
    rows = [(one.star.name, str(one.star.version or "?"), one.galaxy, _words(one)) for one in found]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for name, version, galaxy, words in rows:
        yield f"{name:<{widths[0]}}  {version:<{widths[1]}}  {galaxy:<{widths[2]}}  {words}".rstrip()


def _words(found: Found) -> str:
    """Return the last column: whether the star is installed, and what it is."""
    state = ""
    if found.installed is not None:
        state = "[installed] " if found.installed == found.star.version else f"[installed {found.installed}] "
    return f"{state}{found.star.description}"
