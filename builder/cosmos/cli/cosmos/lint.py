"""`cosmos lint`: find what an image should not be shipped with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.lint_words import lint_lines, lint_row
from cosmos.cli.options import EXISTING_PATH, PATH, json_option
from cosmos.cli.terminal import Surroundings, emit, say, surroundings
from cosmos.errors import CosmosError, Differs, WorldFailed, quoted
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.model.reporter import Reporter, counted
from cosmos.release.lint.linting import LintReport, lint_release


@click.command()
@click.argument("release", type=EXISTING_PATH)
@click.option(
    "--builder-folder",
    "folders",
    type=PATH,
    multiple=True,
    help="A further folder of the builder that no file may name; your home is one.",
)
@json_option
def lint(release: Path, folders: tuple[Path, ...], as_json: bool) -> None:
    """Find what RELEASE should not be shipped with: secrets, identities, open rights, programs that cannot start.

    RELEASE is a release's folder, an image's folder or an image. `cosmos build` runs the same rules and warns. Waive a
    rule in image.toml, with a reason and the last release that the waiver counts for: [policy.waive.RULE].
    Exit 0: nothing was found. Exit 7: something was found, and is named. Signatures are not checked here.
    """
    around = surroundings()
    report = lint_release(release, builder_folders(around, *map(around.at, map(str, folders))))
    if as_json:
        emit(lint_row(report))
    else:
        for line in lint_lines(report):
            say(line)
    if report.findings:
        rules = len({finding.rule for finding in report.findings})
        raise Differs(
            str(release),
            f"{counted(len(report.findings), 'finding')} of {counted(rules, 'rule')}",
            hint=f"mend them, or write under [policy] in {IMAGE_FILE}: "
            f'waive.{report.findings[0].rule} = {{ reason = "…", until = COUNTER }}',
        )


def builder_folders(around: Surroundings, *named: Path) -> tuple[bytes, ...]:
    """Return the builder's home and the named folders, as they may stand in files. A user without home has none."""
    try:
        folders = (around.user_home, *named)
    except WorldFailed:
        folders = named
    return tuple(str(folder).encode("utf-8", "surrogateescape") for folder in folders)


def warn_of_findings(release: Path, report_on: Callable[[], LintReport], reporter: Reporter) -> dict[str, Json]:
    """Warn of what a built release should not be shipped with, one line a rule; return how often each rule is broken.

    `report_on` makes the report on it.

    A release without a layered image is not judged. A release that cannot be read is no error of the build: its next
    reader says so.
    """
    try:
        report = report_on()
    except CosmosError as error:
        reporter.warn(f"the release was not linted: {error}")
        return {}
    for line in _warnings(report):
        reporter.warn(f"lint: {line}")
    if report.findings:
        reporter.note(f"to see every path and what to do: cosmos lint {quoted(release)}")
    counts: dict[str, Json] = {}
    for finding in report.findings:
        before = counts.get(finding.rule, 0)
        counts[finding.rule] = 1 + (before if isinstance(before, int) else 0)
    return counts


def _warnings(report: LintReport) -> list[str]:
    lines = []
    for rule in dict.fromkeys(sorted(finding.rule for finding in report.findings)):
        of_rule = [finding for finding in report.findings if finding.rule == rule]
        more = f" (and {len(of_rule) - 1} more)" if len(of_rule) > 1 else ""
        lines.append(f"{rule}: /{of_rule[0].path.text} {of_rule[0].what}{more}")
    lines += [f"{rule}: its waiver has expired" for rule in report.expired]
    lines += [f"{rule}: its waiver covers no finding" for rule in report.idle]
    return lines
