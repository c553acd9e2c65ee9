"""`stellar test`: compare the changes that a star's script makes with expect.txt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import EXISTING_PATH, FILE, json_option
from cosmos.cli.stellar.dependencies import galaxy_option, galaxy_stars, opened_star
from cosmos.cli.terminal import emit, say
from cosmos.errors import Differs, Malformed, NoSolution, ScriptFailed
from cosmos.model.demand import need_text
from cosmos.model.reporter import counted
from cosmos.stellar.open_star import OpenStar, open_star
from cosmos.stellar.try_star import EXPECT_FILE, changes, differences, update
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_SHOWN = 60  # lines of a comparison on a screen; --json has all


@click.command("test")
@click.argument("star", type=EXISTING_PATH, required=False)
@galaxy_option
@click.option("--below", "named", type=EXISTING_PATH, multiple=True, help="Without a galaxy: a dependency; in order.")
@click.option("--expect", type=FILE, help="The file to compare with.")
@click.option("--update", "rewrite", is_flag=True, help="Write the file instead.")
@json_option
def test(
    star: Path | None, galaxy: Path | None, named: tuple[Path, ...], expect: Path | None, rewrite: bool, as_json: bool
) -> None:
    """Run a star's script on an empty root and on the root of its dependencies. Compare the changes with expect.txt.

    STAR is an archive with expect.txt beside it, or a source folder with expect.txt in it. The script and the files
    come from the folder. If its star.toml names packages, the files come from the newest archive in --galaxy.

    With --galaxy alone, run the script of the newest version of every star in the index. A galaxy has no expect.txt, so
    the test is that each script ends well on the root of its dependencies.
    """
    if star is None:
        if named or expect or rewrite:
            raise click.UsageError("--below, --expect and --update belong to one STAR: name it")
        _test_all(galaxy, as_json=as_json)
        return
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
            hint="if the new changes are right: stellar test STAR --update",
        )
    if not as_json:
        say(f"wrote {file}" if rewrite else f"{star}: as expected")


def _test_all(galaxy: Path | None, *, as_json: bool) -> None:
    rows: list[Json] = []
    failed: list[str] = []
    for tried in galaxy_stars(galaxy):
        problem, laid = "" if tried.problem is None else f"its dependencies: {tried.problem}", 0
        if tried.below is not None:
            try:
                laid = len(tried.star.lay(tried.below).entries)
            except ScriptFailed as failure:
                problem = str(failure)
        failed += [f"{tried.label}: {problem}"] if problem else []
        rows.append({"star": tried.label, "entries": laid, "problem": problem})
        if not as_json and not problem:
            say(f"{tried.label}: runs, {counted(laid, 'entry', 'entries')}")
    if as_json:
        emit({"stars": rows})
    if failed:
        raise Differs(
            str(galaxy),
            f"{counted(len(failed), 'star')} of {len(rows)} do not install",
            differences=_shortened(tuple(failed)),
            hint="to see one alone: stellar test STAR --galaxy FOLDER",
        )


def _with_dependencies(
    star: Path, galaxy: Path | None, named: Sequence[Path]
) -> tuple[OpenStar, Mapping[TreePath, Entry]]:
    """Return the star, and the root of its dependencies, which must be known."""
    if galaxy is not None and named:
        raise Malformed("--below", "names dependencies, but --galaxy finds them", hint="give one of the two options")
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
            hint="add --galaxy FOLDER, or --below STAR for each",
        )
    return opened, below


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first lines, and the number of the others."""
    left = len(lines) - _SHOWN
    return lines if left <= 0 else (*lines[:_SHOWN], f"… and {left} lines more; --json has all")
