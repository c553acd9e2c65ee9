"""The answer of `cosmos lint`, in lines and in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cosmos.canon import Json
from cosmos.model.reporter import counted
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.linting import LintReport
from cosmos.release.lint.rules import HINTS, RULES

_SHOWN: Final = 20  # paths of one rule; a person reads no more, and --json has all


def lint_lines(report: LintReport) -> Iterator[str]:
    """Yield the answer for people: rule by rule, then what was waived and what was not judged."""
    for rule in RULES:
        found = [finding for finding in report.findings if finding.rule == rule.id]
        if not found:
            continue
        yield f"{rule.id}: {counted(len(found), 'path')}"
        yield from (f"  {_said(finding)}" for finding in found[:_SHOWN])
        if len(found) > _SHOWN:
            yield f"  … and {len(found) - _SHOWN} more; --json has all"
        yield f"  hint: {rule.hint}"
    for rule in RULES:
        covered = [one for one in report.waived if one.finding.rule == rule.id]
        if covered:
            waiver = covered[0].waiver
            yield f"waived: {rule.id}: {counted(len(covered), 'path')}, until release {waiver.until}: {waiver.reason}"
    yield from (f"its waiver has expired: {rule}" for rule in report.expired)
    yield from (f"its waiver covers no finding: {rule}" for rule in report.idle)
    yield from (f"not judged: {what}" for what in report.unjudged)
    counts = (counted(report.entries, "path"), counted(len(RULES), "rule"), counted(len(report.findings), "finding"))
    yield ", ".join(counts)


def lint_row(report: LintReport) -> dict[str, Json]:
    """Return the answer for machines."""
    return {
        "entries": report.entries,
        "findings": [{**_row(finding), "hint": HINTS[finding.rule]} for finding in report.findings],
        "waived": [{**_row(one.finding), **one.waiver.to_json()} for one in report.waived],
        "expired-waivers": [*report.expired],
        "idle-waivers": [*report.idle],
        "not-judged": [*report.unjudged],
    }


def _said(finding: Finding) -> str:
    owner = f"  [{finding.star}]" if finding.star else ""
    return f"/{finding.path.text} {finding.what}{owner}"


def _row(finding: Finding) -> dict[str, Json]:
    return {"rule": finding.rule, "path": finding.path.text, "what": finding.what, "owner": finding.star}
