"""`stellar lint`: what is unsafe in what a star lays."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.options import EXISTING_PATH, json_option
from cosmos.cli.stellar.dependencies import galaxy_option, opened_star
from cosmos.cli.terminal import emit, say
from cosmos.errors import Malformed
from cosmos.stellar.lint_star import lint as lint_star


@click.command("lint")
@click.argument("star", type=EXISTING_PATH)
@galaxy_option
@json_option
def lint(star: Path, galaxy: Path | None, as_json: bool) -> None:
    """Look for what is unsafe in what a star lays.

    Rights that go beyond its own, paths that everybody may write to, links out of the root or (where its dependencies
    are known: --galaxy) to nothing, a missing licence, undeclared outputs.
    """
    opened, below = opened_star(star, galaxy)
    findings = lint_star(opened, below)
    if as_json:
        emit([{"weight": finding.weight, "problem": finding.problem} for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.weight}: {finding.problem}")
    errors = sum(finding.weight == "error" for finding in findings)
    if errors:
        raise Malformed(str(star), f"{errors} error{'s' if errors > 1 else ''}")
