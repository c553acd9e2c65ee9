"""Lua's own test suite runs in the sandbox, but for what `lua_suite.toml` takes out of it, each piece with its reason.

The suite lies in the source distribution of lupa that requirements.txt pins; it is fetched when a test wants it, and
kept below build/. Nothing of it is in this repository. Lines that are cut become empty, so that line numbers stay.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosmos.errors import ScriptFailed
from cosmos.nova.job import NovaResult

TABLE = Path(__file__).parent / "lua_suite.toml"
SUITE = tomllib.loads(TABLE.read_text())
PRELUDE = SUITE.pop("prelude").replace("\n", " ")  # on the first line
FILES = sorted(SUITE)
TESTS = "third-party/lua54/testes"


@pytest.fixture(scope="session")
def lua_tests(repo: Path) -> Callable[[str], str]:
    """Returns the text of one file of the suite."""
    pinned = re.search(r"^(lupa==\S+) \\\n(?: +--hash=.*\n)+", (repo / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    folder = repo / "build/lua-suite"
    name, version = pinned[1].split("==")
    archive = folder / f"{name}-{version}.tar.gz"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "requirements.txt").write_text(pinned[0])
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-input", "--no-deps",
             "--no-build-isolation", "--no-binary", name, "--require-hashes", "-r", "requirements.txt"],
            cwd=folder, env={**os.environ, "LUPA_NO_LUAJIT": "true"}, timeout=2000, check=True,
        )  # fmt: skip  # pip asks the package for its metadata, and lupa would compile LuaJIT before it answers
    assert f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}" in pinned[0]

    def text(file: str) -> str:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(f"{name}-{version}/{TESTS}/{file}.lua")
            assert member
            return member.read().decode("latin-1")  # byte for byte

    return text


def kept(text: str, cuts: list[dict[str, Any]]) -> str:
    """Return `text` without what `cuts` take out."""
    lines = text.split("\n")
    for cut in cuts:
        assert cut["why"] and cut.keys() <= {"first", "times", "last", "before", "instead", "why"}
        places = [place for place, line in enumerate(lines) if cut["first"] in line]
        assert len(places) == cut.get("times", 1), f"{cut['first']} is in {len(places)} lines"
        for place in places:
            stop = place + 1
            if end := cut.get("last") or cut.get("before"):
                after = [later for later in range(place, len(lines)) if end in lines[later]]
                assert after, f"{end} is in no line after {cut['first']}"
                stop = after[0] + ("last" in cut)
            lines[place:stop] = [cut.get("instead", "")] + [""] * (stop - place - 1)
    return "\n".join(lines)


def lines_of_code(text: str) -> int:
    """Return how many lines are neither empty nor a comment."""
    return sum(1 for line in text.split("\n") if line.strip() and not line.strip().startswith("--"))


def as_script(text: str) -> str:
    """Return the text as `script` wants it: each byte that is none of UTF-8 a surrogate."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


@pytest.mark.network
@pytest.mark.xdist_group("lua_suite")
@pytest.mark.parametrize("file", FILES)
def test_luas_own_tests_hold_in_the_sandbox(file: str, lua_tests, script: Callable[[str], NovaResult]) -> None:
    whole = lua_tests(file)
    part = kept(whole, SUITE[file].get("cut", []))
    result = script(as_script(PRELUDE + part))
    assert int(result.receipt.logs[-1]) >= SUITE[file]["asserts"]
    assert 100 * lines_of_code(part) >= SUITE[file]["lines"] * lines_of_code(whole)


@pytest.mark.network
@pytest.mark.xdist_group("lua_suite")
def test_a_wrong_answer_anywhere_in_the_suite_would_be_seen(lua_tests, script: Callable[[str], NovaResult]) -> None:
    text = lua_tests("utf8")
    with pytest.raises(ScriptFailed, match=rf"install\.lua:{text.count(chr(10)) + 2}: assertion failed"):
        script(as_script(f"{PRELUDE}{text}\nassert(utf8.char(228) == 'a')"))


def test_most_of_the_suite_is_in_the_table():
    assert len(FILES) >= 18
    assert all(SUITE[file]["lines"] >= 40 for file in FILES)
    assert sum(SUITE[file]["asserts"] for file in FILES) > 275_000


@pytest.mark.parametrize(
    ("cut", "problem"),
    [
        ({"first": "nowhere"}, "is in 0 lines"),
        ({"first": "twice"}, "is in 2 lines"),
        ({"first": "once", "last": "nowhere"}, "is in no line after once"),
    ],
)
def test_a_cut_that_does_not_fit_is_an_error(cut, problem):
    with pytest.raises(AssertionError, match=problem):
        kept("once\ntwice\ntwice", [{**cut, "why": "a test"}])


def test_a_cut_leaves_the_numbers_of_lines_as_they_were():
    text = "a\nb\nc\nd\ne"
    assert kept(text, [{"first": "b", "last": "c", "why": "x"}]) == "a\n\n\nd\ne"
    assert kept(text, [{"first": "b", "before": "d", "instead": "z", "why": "x"}]) == "a\nz\n\nd\ne"
