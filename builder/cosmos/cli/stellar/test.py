"""`stellar test`: does a star's script still make the change that expect.txt states?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from cosmos.cli.options import EXISTING_PATH, FILE, json_option
from cosmos.cli.stellar.dependencies import galaxy_option, opened_star
from cosmos.cli.terminal import emit, say
from cosmos.errors import Differs, Malformed, NoSolution
from cosmos.model.demand import need_text
from cosmos.stellar.open_star import OpenStar, open_star
from cosmos.stellar.try_star import EXPECT_FILE, changes, differences, update
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_SHOWN = 60  # lines of a comparison on a screen; --json has all


@click.command("test")
@click.argument("star", type=EXISTING_PATH)
@galaxy_option
@click.option("--below", "named", type=EXISTING_PATH, multiple=True, help="Without a galaxy: a dependency; in order.")
@click.option("--expect", type=FILE, help="The file to compare with.")
@click.option("--update", "rewrite", is_flag=True, help="Write the file instead.")
@json_option
def test(
    star: Path, galaxy: Path | None, named: tuple[Path, ...], expect: Path | None, rewrite: bool, as_json: bool
) -> None:
    """Run a star's script on an empty root and on its dependencies', and compare the change with expect.txt.

    STAR is an archive, or a source folder; expect.txt lies beside or in it. The script that runs is the folder's, as it
    stands; what it copies is the folder's too, or, where star.toml names packages, what the newest archive in --galaxy
    holds.
    """
    file = expect or (star if star.is_dir() else star.parent) / EXPECT_FILE
    opened, below = _with_dependencies(star, galaxy, named)
    found = changes(opened, below)
    if rewrite:
        update(found, file)
    lines = () if rewrite else differences(found, file)
    if as_json:
        emit({"star": str(opened.name), "same": not lines, "differences": list(lines)})
    if lines:
        raise Differs(
            str(file),
            f"{opened.name} does something else",
            differences=_shortened(lines),
            hint="stellar test --update rewrites it, where that is right",
        )
    if not as_json:
        say(f"wrote {file}" if rewrite else f"{star}: as expected")


def _with_dependencies(
    star: Path, galaxy: Path | None, named: Sequence[Path]
) -> tuple[OpenStar, Mapping[TreePath, Entry]]:
    """Return the star, and the root of its dependencies, which must be known."""
    if galaxy is not None and named:
        raise Malformed("--below", "names what --galaxy finds by itself", hint="give one of the two")
    opened, below = opened_star(star, galaxy)
    if named:
        laid: dict[TreePath, Entry] = {}
        for path in named:
            laid |= open_star(path).lay(laid).entries
        return opened, laid
    if below is None:
        raise NoSolution(
            str(star),
            f"depends on {', '.join(map(need_text, opened.needs))}",
            hint="--galaxy FOLDER takes them from there; --below STAR names one",
        )
    return opened, below


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many lines as a person reads, and how many there are besides."""
    left = len(lines) - _SHOWN
    return lines if left <= 0 else (*lines[:_SHOWN], f"… and {left} lines more; --json has all")
