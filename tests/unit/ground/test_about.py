"""What the program says of itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cosmos.about import VERSION


def test_the_program_and_its_distribution_have_one_version(repo: Path) -> None:
    assert tomllib.loads((repo / "pyproject.toml").read_text())["project"]["version"] == VERSION
