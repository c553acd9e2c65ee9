"""`stellar lint`: find unsafe entries of a star."""

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
    """Find unsafe entries of a star.

    It reports special rights, paths that everybody may write to, links out of the root, private keys and tokens in its
    files, a missing licence and undeclared outputs. With --galaxy it knows the star's dependencies, and also
    reports links to nothing.
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
