"""The locked requirements: every package pinned with hashes, no address, and the three locks agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROGRAM_LOCKS = ("requirements.txt", "requirements-dev.txt", "freeze/requirements-binary.txt")
LOCKS = (*PROGRAM_LOCKS, "requirements-bench.txt")
_OLDER = r"(?: ; python_version < \"3\.\d+\")?"  # a package that a later Python has in itself
_PIN = re.compile(rf"^([a-z0-9-]+)==(\S+){_OLDER}((?: \\\n    --hash=sha256:[0-9a-f]{{64}})+)$", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return {name: version for name, version, _ in _PIN.findall(path.read_text())}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes_or_a_comment(repo: Path, lock: str) -> None:
    rest = _PIN.sub("", (repo / lock).read_text())
    strays = [line for line in rest.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert strays == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_address(repo: Path, lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", (repo / lock).read_text())


@pytest.mark.parametrize("lock", PROGRAM_LOCKS[1:])
def test_checks_and_binary_use_the_very_packages_that_the_program_does(repo: Path, lock: str) -> None:
    program = pins(repo / "requirements.txt")
    assert program
    assert program.items() <= pins(repo / lock).items()


def test_what_draws_plots_takes_the_packages_of_the_tests_as_they_are(repo: Path) -> None:
    tests, plots = pins(repo / "requirements-dev.txt"), pins(repo / "requirements-bench.txt")
    assert "matplotlib" in plots
    assert "matplotlib" not in tests
    assert {name: tests.get(name, version) for name, version in plots.items()} == plots


def test_the_lock_covers_what_the_project_asks_for(repo: Path) -> None:
    asked = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=!~ \[;]", wish)[0].lower().replace(".", "-") for wish in asked}
    assert names <= pins(repo / "requirements.txt").keys()


def test_the_star_cosmos_has_the_projects_version(repo: Path) -> None:
    version = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["version"]
    assert tomllib.loads((repo / "stars/cosmos/star.toml").read_text())["version"] == version
