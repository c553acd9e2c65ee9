"""The documents that follow rules: the names, the decisions, the Makefile's help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PARTS = ("## Context", "## Decision", "## Alternatives", "## What it costs")
RECORD = re.compile(r"(\d{4})-[a-z0-9-]+\.md")
TARGET = re.compile(r"^([a-z][a-z0-9-]*):(?!=)[^\n#]*(?:## (?P<meaning>.+))?$", re.MULTILINE)
MEANT_TO_NAME_THEM = {"docs/names.md", "tests/house/test_documents.py"}


@pytest.fixture(scope="session")
def records(repo: Path) -> dict[str, str]:
    """The decision records by file name."""
    folder = repo / "docs/decisions"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.md")) if RECORD.fullmatch(path.name)}


def banned_words(names: str) -> list[str]:
    """Return the words in backticks in the last column of the table."""
    rows = [line.rstrip().rstrip("|").rpartition("|")[2] for line in names.splitlines() if line.startswith("| ")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def test_nothing_is_called_by_a_name_that_was_decided_against(repo: Path, tracked_texts: dict[Path, str]) -> None:
    words = banned_words((repo / "docs/names.md").read_text())
    assert "lockfile" in words
    banned = re.compile(rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, words))})s?(?![\w-])", re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for path, text in tracked_texts.items()
        if (name := str(path.relative_to(repo))) not in MEANT_TO_NAME_THEM
        for number, line in enumerate(text.splitlines(), 1)
        if banned.search(line)
    ]
    assert found == []


def test_every_decision_has_its_parts(records: dict[str, str], repo: Path) -> None:
    assert records
    template = (repo / "docs/decisions/template.md").read_text()
    assert [part for part in PARTS if part not in template] == []
    lacking = {
        name: [part for part in PARTS if not re.search(rf"^{part}\n\S", text, re.MULTILINE)]
        for name, text in records.items()
    }
    assert {name: parts for name, parts in lacking.items() if parts} == {}
    unstated = [
        name for name, text in records.items() if not re.search(r"^Status: (accepted|replaced by \d{4})$", text, re.M)
    ]
    assert unstated == []


def test_every_decision_has_its_own_number_and_stands_in_the_index(records: dict[str, str], repo: Path) -> None:
    numbers = [name[:4] for name in records]
    assert numbers == [f"{place:04}" for place in range(1, len(numbers) + 1)]
    assert [name for name, text in records.items() if not text.startswith(f"# {name[:4]}: ")] == []
    index = (repo / "docs/decisions/README.md").read_text()
    assert re.findall(r"\]\((\d{4}-[^)]+)\)", index) == list(records)


def test_make_help_lists_every_target_that_is_supported(repo: Path) -> None:
    text = (repo / "Makefile").read_text()
    phony = {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for name in line.split()}
    meanings = {match[1]: match["meaning"] for match in TARGET.finditer(text)}
    shown = subprocess.run(["make", "help"], cwd=repo, capture_output=True, text=True, check=True).stdout
    assert phony
    assert {name for name in phony if not meanings.get(name)} == set(), "a target says what it does after ##"
    assert {name for name in phony if not re.search(rf"^\s*make {name}\s", shown, re.MULTILINE)} == set()
