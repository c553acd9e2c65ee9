"""`stellar test` and `stellar lint`."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.stellar_options import json_option
from cosmos.cli.terminal import emit, say
from cosmos.errors import Malformed
from cosmos.stellar.try_star import EXPECT_FILE, changes, compare, open_star, update
from cosmos.stellar.try_star import lint as lint_star

_STAR = click.Path(path_type=Path, exists=True)


@click.command("test")
@click.argument("star", type=_STAR)
@click.option("--below", "dependencies", type=_STAR, multiple=True, help="A star that it depends on; in order.")
@click.option("--expect", type=click.Path(path_type=Path, dir_okay=False), help="The file to compare with.")
@click.option("--update", "rewrite", is_flag=True, help="Write the file instead.")
def test(star: Path, dependencies: tuple[Path, ...], expect: Path | None, rewrite: bool) -> None:
    """Run a star's script on an empty root and on its dependencies', and compare the change with expect.txt.

    STAR is an archive, or a source folder that ships everything itself; expect.txt lies beside or in it.
    """
    file = expect or (star if star.is_dir() else star.parent) / EXPECT_FILE
    found = changes(open_star(star), [open_star(path) for path in dependencies])
    if rewrite:
        update(found, file)
        say(f"wrote {file}")
        return
    compare(found, file)
    say(f"{star}: as expected")


@click.command("lint")
@click.argument("star", type=_STAR)
@json_option
def lint(star: Path, as_json: bool) -> None:
    """Look for what is unsafe in what a star lays: modes, links, a missing licence, undeclared outputs."""
    findings = lint_star(open_star(star))
    if as_json:
        emit([{"weight": finding.weight, "problem": finding.problem} for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.weight}: {finding.problem}")
    errors = sum(finding.weight == "error" for finding in findings)
    if errors:
        raise Malformed(str(star), f"{errors} error{'s' if errors > 1 else ''}")


COMMANDS: tuple[click.Command, ...] = (test, lint)
