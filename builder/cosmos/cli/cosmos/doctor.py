"""`cosmos doctor`: what this machine can do for a builder, and what mends the rest."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.options import home_option
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.image.doctor import Finding, demand_able, examined


@click.command()
@home_option
@json_option
def doctor(home: Path | None, as_json: bool) -> None:
    """Try what a builder needs of this machine. Each line says what it is for, and what mends it.

    Exit 0: images can be built; what else is lacking is named. Exit 5: no image can be built here.
    """
    around = surroundings()
    findings = []
    for finding in examined(around.home(home), around.now(), Path(tempfile.gettempdir())):
        findings.append(finding)
        for line in () if as_json else _lines(finding):
            say(line)
    if as_json:
        rows: list[Json] = [dataclasses.asdict(finding) for finding in findings]
        emit({"checks": rows, "builds": all(finding.standing != "broken" for finding in findings)})
    demand_able(findings)


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.standing:8} {finding.name:17} {finding.found}"
    yield f"{'':8} {'':17} for {finding.purpose}"
    if finding.mend:
        yield f"{'':8} {'':17} to mend it: {finding.mend}"
