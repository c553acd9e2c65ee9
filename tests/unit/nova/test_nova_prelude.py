"""Nova's own Lua is read from its files, when it is needed and not before, and goes where the program goes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from lupa.lua54 import LuaRuntime

from cosmos.nova.prelude import PRELUDE
from fakes.waiting import LONG_SECONDS

WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, words: opened.append(str(words[0])) if event == "open" else None)
{code}
print(sorted({{name.rpartition("/")[2] for name in opened if name.endswith(".lua")}}))
"""
VERSION = """
from cosmos.cli.cosmos.main import program
from cosmos.cli.endings import run
sys.argv = ["cosmos", "--version"]
try: run(program, "cosmos")
except SystemExit: pass
"""


def files(repo: Path) -> list[Path]:
    """Return Nova's Lua files."""
    return sorted((repo / "builder/cosmos/nova/lua").iterdir())


@pytest.mark.parametrize(
    ("code", "read"),
    [
        (VERSION, "[]"),
        ("import cosmos.nova.run", "[]"),
        ("import cosmos.nova.worker", "['base.lua', 'library.lua', 'patterns.lua', 'verbs.lua']"),
    ],
    ids=["cosmos --version", "what asks for a worker", "a worker"],
)
def test_only_a_worker_reads_the_lua_files(code: str, read: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(code=code)],
        capture_output=True, text=True, timeout=LONG_SECONDS, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == read


def test_lua_gets_each_file_from_its_first_empty_line_on(repo: Path) -> None:
    for file in files(repo):
        comment, _, text = file.read_text().partition("\n\n")
        assert all(line.startswith("--") for line in comment.splitlines()), file
        assert f"\n{text}".encode() in PRELUDE, file
    assert PRELUDE.startswith(b"\nlocal call, max_instructions,")


def test_each_file_is_lua_by_itself(repo: Path) -> None:
    for file in files(repo):
        LuaRuntime().compile(file.read_text())


def test_whatever_of_the_program_is_no_python_is_packed_into_the_wheel(repo: Path) -> None:
    package = repo / "builder" / "cosmos"
    packed = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    wanted = {path for name, globs in packed.items() for each in globs
              for path in (repo / "builder" / name.replace(".", "/")).glob(each)}  # fmt: skip
    files_there = (path for path in package.rglob("*") if "__pycache__" not in path.parts)  # which others write to now
    there = {path for path in files_there if path.is_file() and path.suffix != ".py"}
    page = {package / "release" / "report" / name for name in ("page.css", "page.html")}
    assert there == wanted == {*files(repo), *page}
