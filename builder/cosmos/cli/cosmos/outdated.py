"""`cosmos outdated`: what `cosmos freeze --upgrade` would move in an image, and what holds the other stars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.options import IMAGE, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import emit, say
from cosmos.errors import quoted
from cosmos.image.definition import read_definition
from cosmos.image.outdated import Compared, Outdated
from cosmos.image.outdated import outdated as compared
from cosmos.model.reporter import counted
from cosmos.model.version import Version


@click.command()
@click.argument("image", type=IMAGE)
@click.option("--offline", is_flag=True, help="Use what the store holds; open no galaxy.")
@home_option
@reporting_options
@json_option
def outdated(image: Path, offline: bool, home: Path | None, as_json: bool) -> None:
    """Show which stars of IMAGE's lock are not the newest: what `freeze --upgrade` would take, and what holds the rest.

    A line has the star, the locked version, the newest that fits, the newest that there is, and the archive's size
    before and after. Below it stands what holds the star. Exit 0 also if something is outdated. Nothing is written.
    """
    found = compared(read_definition(image), world_at(home, image, offline=offline, quiet=as_json))
    if as_json:
        emit(_row(image, found))
        return
    for line in _lines(found, image):
        say(line)


def _row(image: Path, found: Outdated) -> dict[str, Json]:
    return {
        "image": str(image),
        "lock": str(found.lock_file),
        "galaxies": [{"name": str(name), "locked-seq": was, "seq": now} for name, was, now in found.galaxies],
        "up-to-date": not found.to_say,
        "stars": [_star_row(star) for star in found.stars],
    }


def _star_row(star: Compared) -> dict[str, Json]:
    return {
        "star": str(star.name),
        "galaxy": str(star.galaxy),
        "move": star.move,
        "locked": None if star.locked is None else str(star.locked.version),
        "fits": None if star.fits is None else str(star.fits.version),
        "newest": None if star.newest is None else str(star.newest),
        "locked-bytes": None if star.locked is None else star.locked.size_bytes,
        "fits-bytes": None if star.fits is None else star.fits.size_bytes,
        "held-by": list(star.held_by),
        "withdrawn": star.withdrawn,
        "untrusted": star.untrusted,
    }


def _lines(found: Outdated, image: Path) -> Iterator[str]:
    """Yield a line a star, in columns, each with the reasons below it, and a line of what to do."""
    rows = [_words(star) for star in found.to_say]
    table = [("star", "locked", "fits", "newest", "bytes"), *rows] if rows else []
    widths = [max((len(row[column]) for row in table), default=0) for column in range(5)]
    for place, row in enumerate(table):
        yield "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        if place:
            yield from (f"    {line}" for line in _reasons(found.to_say[place - 1]))
    moving = sum(star.move != "stays" for star in found.stars)
    if moving:
        yield f"{counted(moving, 'star')} would move. next: cosmos freeze {quoted(image)} --upgrade"
    elif rows:
        yield "no star would move"
    else:
        yield f"{found.lock_file}: every star is the newest that there is ({counted(len(found.stars), 'star')})"


def _words(star: Compared) -> tuple[str, str, str, str, str]:
    was, now = star.locked, star.fits
    sizes = (f"{one.size_bytes:,}" for one in (was, now) if one is not None)
    return (
        str(star.name),
        _version(None if was is None else was.version),
        _version(None if now is None else now.version),
        _version(star.newest),
        " -> ".join(dict.fromkeys(sizes)),
    )


def _version(version: Version | None) -> str:
    return "-" if version is None else str(version)


def _reasons(star: Compared) -> Iterator[str]:
    if star.move == "down":
        yield f"a downgrade: only with --allow-downgrade {star.name}"
    elif star.move == "exchanged":
        yield "the galaxy has another archive under the same version"
    elif star.move in ("comes", "goes"):
        yield "new: a star that moves needs it" if star.move == "comes" else "goes: no star needs it any more"
    if star.withdrawn:
        yield "withdrawn: its galaxy does not list the locked version any more"
    if star.untrusted:
        yield f"not trusted now: {star.untrusted}"
    yield from (f"held: {reason}" for reason in star.held_by)
