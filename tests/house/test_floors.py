"""The floors of the house: imports only go down, and every module stands on one (contracts in pyproject.toml)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def linted(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the checkout's own `builder/`, not over an installed copy."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "builder"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied(repo: Path, tmp_path: Path) -> Path:
    """A copy of the program that a test may spoil."""
    shutil.copytree(repo / "builder", tmp_path / "builder", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(repo / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_only_go_down_and_siblings_do_not_know_each_other(repo: Path) -> None:
    answer = linted(repo)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_module_that_stands_on_no_floor_fails_the_check(copied: Path) -> None:
    (copied / "builder/cosmos/stray.py").write_text('"""Nowhere."""\n')
    answer = linted(copied)
    assert answer.returncode != 0
    assert "cosmos.stray" in answer.stdout


def test_an_import_that_goes_up_fails_the_check(copied: Path) -> None:
    (copied / "builder/cosmos/model/upward.py").write_text('"""Up."""\n\nimport cosmos.tree.entry\n')
    answer = linted(copied)
    assert answer.returncode != 0
    assert "cosmos.model.upward" in answer.stdout


def test_siblings_that_know_each_other_fail_the_check(copied: Path) -> None:
    for room in ("tree", "trust"):
        (copied / "builder/cosmos" / room).mkdir(exist_ok=True)
        (copied / "builder/cosmos" / room / "__init__.py").touch()
    (copied / "builder/cosmos/trust/nosy.py").write_text('"""Sideways."""\n\nimport cosmos.tree.entry\n')
    answer = linted(copied)
    assert answer.returncode != 0
    assert "cosmos.trust.nosy" in answer.stdout
