"""`stellar lint`: find unsafe entries of a star."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import EXISTING_PATH, json_option
from cosmos.cli.stellar.dependencies import Tried, galaxy_option, galaxy_stars, opened_star
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.errors import Malformed
from cosmos.model.reporter import counted
from cosmos.stellar.lint_star import lint as lint_star
from cosmos.stellar.validate_star import Finding


@click.command("lint")
@click.argument("star", type=EXISTING_PATH, required=False)
@galaxy_option
@json_option
def lint(star: Path | None, galaxy: Path | None, as_json: bool) -> None:
    """Find unsafe entries of a star, or of every star of a galaxy.

    It reports special rights, paths that everybody may write to, links out of the root, private keys and tokens in its
    files, a missing licence and undeclared outputs. With --galaxy it knows the star's dependencies, and also
    reports links to nothing. With --galaxy alone, it looks at the newest version of every star in the index.
    """
    if star is not None:
        findings = [("", finding) for finding in lint_star(*opened_star(star, galaxy))]
    else:
        findings = [(tried.label, finding) for tried in galaxy_stars(galaxy) for finding in _of(tried)]
    if as_json:
        emit([_row(label, finding) for label, finding in findings])
    else:
        for label, finding in findings:
            say(f"{label}: {finding.weight}: {finding.problem}" if label else f"{finding.weight}: {finding.problem}")
    errors = sum(finding.weight == "error" for _, finding in findings)
    if errors:
        raise Malformed(str(star or galaxy), counted(errors, "error"))
    if star is None and not as_json:
        surroundings().terminal.note(f"{galaxy}: no errors, {counted(len(findings), 'warning')}")


def _of(tried: Tried) -> Iterator[Finding]:
    if tried.problem is not None:
        yield Finding(weight="error", problem=f"its dependencies: {tried.problem}")
    yield from lint_star(tried.star, tried.below)


def _row(label: str, finding: Finding) -> dict[str, Json]:
    named: dict[str, Json] = {"star": label} if label else {}
    return {**named, "weight": finding.weight, "problem": finding.problem}
