"""Where each promise, probe and risk of the models that Cosmos follows leads: docs/security/promises.md, read strictly.

The page has one table of three columns: the model, its promise, and what the promise leads to here. The last is a list
of references, separated by commas:

    SO-nn, RR-nn              an objective or an accepted risk of docs/security/objectives.toml
    `tests/file.py::test_x`   a test
    [nnnn](../decisions/…)    a decision record

The plugin `objectives` turns a run red if a reference leads nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = "docs/security/promises.md"
_HEADER = ["from", "promise, probe or risk", "leads to"]
_ID = re.compile(r"(?:SO|RR)-\d\d")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_DECISION = re.compile(r"\[(\d{4})\]\(\.\./decisions/(\1-[a-z0-9-]+\.md)\)")


class BadPage(Exception):
    """The page is not what this module's docstring says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """One row of the page."""

    source: str
    text: str
    leads_to: tuple[str, ...]


def read_promises(text: str) -> list[Promise]:
    """Return the rows of the page's one table; raises `BadPage`."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    if len(rows) < 3 or rows[0] != _HEADER or any(set(cell) != {"-"} for cell in rows[1]):
        raise BadPage(f"want one table with the columns {', '.join(_HEADER)}, and rows in it")
    for row in rows[2:]:
        if len(row) != len(_HEADER) or not all(row):
            raise BadPage(f"want three cells with something in each, got: {' | '.join(row)}")
    return [Promise(source=row[0], text=row[1], leads_to=tuple(row[2].split(", "))) for row in rows[2:]]


def dead_ends(promises: Collection[Promise], ids: Collection[str], repo: Path) -> Iterator[str]:
    """Give one sentence for each reference that leads nowhere, and for each promise that stands there twice."""
    seen = set[str]()
    for promise in promises:
        if promise.text in seen:
            yield f"{promise.text!r} stands there twice"
        seen.add(promise.text)
        for reference in promise.leads_to:
            if problem := _problem(reference, ids, repo):
                yield f"{promise.text!r}: {problem}"


def _problem(reference: str, ids: Collection[str], repo: Path) -> str:
    """Return what is wrong with one reference, or nothing."""
    if _ID.fullmatch(reference):
        return "" if reference in ids else f"{reference} is no objective and no risk of the map that has a test"
    if test := _TEST.fullmatch(reference):
        file, name = test.groups()
        text = (repo / file).read_text() if (repo / file).is_file() else ""
        return "" if re.search(rf"^def {name}\(", text, re.MULTILINE) else f"there is no test {file}::{name}"
    if decision := _DECISION.fullmatch(reference):
        return "" if (repo / "docs/decisions" / decision[2]).is_file() else f"there is no decision {decision[2]}"
    return f"want SO-nn, RR-nn, `tests/file.py::test_x` or [nnnn](../decisions/nnnn-….md), got {reference!r}"
