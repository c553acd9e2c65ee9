"""Every command that the documentation shows works, in the order in which it is shown."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from cosmos.cli.cosmos.main import program
from fakes.programs import write_programs

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `cosmos` and `stellar` are on the path."""
    folder = write_programs(tmp_path / "bin")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


@pytest.mark.slow
def test_the_tutorial_works_as_it_is_written(repo: Path, tmp_path: Path, on_path: dict[str, str]) -> None:
    blocks = BLOCK.findall((repo / "docs" / "tutorial.md").read_text())
    assert len(blocks) >= 8
    work = tmp_path / "work"
    work.mkdir()
    script = "set -eu\n" + "".join(f"echo '== block {number}' >&2\n{block}" for number, block in enumerate(blocks))
    done = subprocess.run(["sh", "-c", script], cwd=work, env=on_path, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "greeting = hello" in done.stdout
    assert "usr/bin/hi" in done.stdout


def test_every_command_in_the_readme_is_a_command(repo: Path) -> None:
    """What the README shows is a target of the Makefile, or a command of cosmos with the options that it has."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (repo / "Makefile").read_text(), re.MULTILINE))
    shown = [
        line[2:].partition("#")[0].split()
        for block in CONSOLE.findall((repo / "README.md").read_text())
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert len(shown) >= 6
    for first, second, *rest in shown:
        assert first in ("make", "cosmos")
        if first == "make":
            assert second in targets
        else:
            command = program.get_command(click.Context(program), second)
            assert command is not None
            known = {name for option in command.params for name in option.opts}
            assert {word for word in rest if word.startswith("--")} <= known


def test_every_page_that_a_page_links_to_is_there(repo: Path) -> None:
    missing = [
        f"{page.relative_to(repo)}: {target}"
        for page in (repo / "README.md", *sorted((repo / "docs").rglob("*.md")))
        for target in re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text())
        if not (page.parent / target).is_file()
    ]
    assert missing == []
