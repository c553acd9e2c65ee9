"""docs/lint.md lists every rule, in the words of the rules' own table."""

from __future__ import annotations

import re
from pathlib import Path

from cosmos.release.lint.rules import RULES


def test_the_page_s_table_is_the_table_of_rules(repo: Path) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \| (.*) \|$", (repo / "docs/lint.md").read_text(), re.MULTILINE)
    assert rows == [(rule.id, rule.finds, rule.hint) for rule in RULES]
