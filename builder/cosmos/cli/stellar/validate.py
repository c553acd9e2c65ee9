"""`stellar validate`: all that is wrong with a star, at once."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.options import EXISTING_PATH, json_option
from cosmos.cli.terminal import emit, say
from cosmos.errors import Malformed
from cosmos.stellar.validate_star import Finding, validate_star


@click.command("validate")
@click.argument("paths", type=EXISTING_PATH, nargs=-1, required=True)
@json_option
def validate(paths: tuple[Path, ...], as_json: bool) -> int:
    """Check stars: source folders or archives. Says everything that is wrong at once."""
    findings = {path: validate_star(path) for path in paths}
    wrong = sum(one.weight == "error" for rows in findings.values() for one in rows)
    if as_json:
        emit({str(path): [_finding_row(one) for one in rows] for path, rows in findings.items()})
    else:
        for path, rows in findings.items():
            for one in rows:
                say(f"{path}: {one.weight}: {one.problem}")
            say(f"{path}: {'good' if not any(one.weight == 'error' for one in rows) else 'not good'}")
    return Malformed.exit_code if wrong else 0


def _finding_row(one: Finding) -> dict[str, Json]:
    return {"weight": one.weight, "problem": one.problem}
