"""Every command that the documentation shows works, in the order in which it is shown."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from cosmos.cli.cosmos.main import program
from cosmos.cli.stellar.main import stellar
from fakes.programs import write_programs

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `cosmos` and `stellar` are on the path."""
    folder = write_programs(tmp_path / "bin")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


# A page, and what its commands show.
PAGES = [
    pytest.param("tutorial.md", ("greeting = hello", "usr/bin/hi"), marks=pytest.mark.slow),
    pytest.param("how-to/signing-ceremony.md", ("signed by 2 of 2",), marks=pytest.mark.slow),
    pytest.param(
        *("how-to/debian-list.md", ("nginx-light 1.22", "unchanged images/server/out", "the same")),
        marks=[pytest.mark.exhaustive, pytest.mark.network],
    ),
]


@pytest.mark.parametrize(("page", "said"), PAGES)
def test_a_page_works_as_it_is_written(
    repo: Path, tmp_path: Path, on_path: dict[str, str], page: str, said: tuple[str, ...]
) -> None:
    blocks = BLOCK.findall((repo / "docs" / page).read_text())
    assert len(blocks) >= 7
    work = tmp_path / "work"
    work.mkdir()
    script = "set -eu\n" + "".join(f"echo '== block {number}' >&2\n{block}" for number, block in enumerate(blocks))
    done = subprocess.run(["sh", "-c", script], cwd=work, env=on_path, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert [text for text in said if text not in done.stdout] == []


def test_every_page_with_commands_that_a_script_can_run_is_run(repo: Path) -> None:
    """A page of docs/ or docs/how-to/ with blocks of `sh` stands in the table above, or has a test of its own."""
    tests = "".join(path.read_text() for path in (repo / "tests").glob("*/test_*.py"))
    with_blocks = [
        str(page.relative_to(repo / "docs"))
        for page in (*(repo / "docs").glob("*.md"), *(repo / "docs/how-to").glob("*.md"))
        if BLOCK.search(page.read_text())
    ]
    assert len(with_blocks) >= 4
    assert [page for page in with_blocks if f'{page}"' not in tests] == []


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


def test_every_command_that_a_page_mentions_is_a_command(repo: Path) -> None:
    """`cosmos WORD` and `stellar WORD` in a line of text: a command that was renamed must not live on in a page."""
    programs = {"cosmos": program, "stellar": stellar}
    mentioned = {
        (str(page.relative_to(repo)), name, word)
        for page in (repo / "docs").rglob("*.md")
        if "decisions/" not in str(page)  # what was decided speaks of its day
        for name, word in re.findall(r"`(cosmos|stellar) ([a-z][a-z-]+)", page.read_text())
    }
    assert len(mentioned) > 200
    known = {name: set(top.list_commands(click.Context(top))) for name, top in programs.items()}
    assert sorted(row for row in mentioned if row[2] not in known[row[1]]) == []


def test_every_page_that_a_page_links_to_is_there(repo: Path) -> None:
    missing = [
        f"{page.relative_to(repo)}: {target}"
        for page in (repo / "README.md", *sorted((repo / "docs").rglob("*.md")))
        for target in re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text())
        if not (page.parent / target).is_file()
    ]
    assert missing == []
