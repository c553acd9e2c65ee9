"""docs/nova.md says what is so: its lists are those of the program."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

import pytest
from lupa.lua54 import LuaRuntime

from cosmos import limits
from cosmos.nova.broker import SIGNATURES
from cosmos.nova.job import NovaResult
from cosmos.sandbox.bubble_probe import WANTED as WANTED_OF_PROGRAMS
from cosmos.sandbox.probe import WANTED
from cosmos.sandbox.seccomp import LAST, NOT_EXECUTABLE, PLAIN, REFUSED

BEGIN, END = "<!-- what Nova has of Lua: make golden writes this table -->\n", "\n<!-- end -->\n"
LIST_NAMES = """
  local libraries = {["string."] = string, ["table."] = table, ["math."] = math, ["utf8."] = utf8, [""] = _G}
  for library, t in pairs(libraries) do for name in pairs(t) do log(library .. " " .. name) end end"""
Install = Callable[[str], NovaResult]


def test_every_verb_has_a_line(repo):
    text = (repo / "docs/nova.md").read_text()
    for verb in SIGNATURES:
        assert re.search(rf"^\| `{verb.decode()}[({{]", text, re.MULTILINE), verb


def test_what_is_left_of_lua_and_what_is_gone_is_what_the_page_says(repo, install):
    page = repo / "docs/nova.md"
    before, found, rest = page.read_text().partition(BEGIN)
    old, end, after = rest.partition(END)
    assert found and end
    new = lua_table(names_in_plain_lua(), names_in_nova(install))
    if os.environ.get("REWRITE_GOLDEN"):
        page.write_text(before + BEGIN + new + END + after)
        old = new
    assert old.splitlines() == new.splitlines(), "docs/nova.md: see the diff; make golden accepts it"


def test_nova_adds_nothing_to_lua_but_its_verbs(install):
    plain, nova = names_in_plain_lua(), names_in_nova(install)
    verbs = {verb.decode() for verb in SIGNATURES}
    assert nova[""] - plain[""] == verbs | {"install", "install_root"}
    assert all(nova[library] <= plain[library] for library in nova if library)


@pytest.mark.parametrize(("library", "name"), [("", "debug"), ("math.", "random"), ("utf8.", "len")])
def test_a_function_more_or_less_changes_the_table(library, name):
    plain = names_in_plain_lua()
    kept = {each: set(names) for each, names in plain.items()}
    kept[library].discard(name)
    assert lua_table(plain, kept) != lua_table(plain, plain)


def names_in_plain_lua() -> dict[str, set[str]]:
    """Return the names of Lua 5.4 itself: of the globals, and of each library that Nova has."""
    lines: list[str] = []
    LuaRuntime(register_eval=False).execute(f"local log = ...; {LIST_NAMES}", lines.append)
    return by_library(line for line in lines if line != " python")  # lupa's own


def names_in_nova(install: Install) -> dict[str, set[str]]:
    """Return the names that a script sees, likewise."""
    return by_library(install(LIST_NAMES).receipt.logs)


def by_library(lines: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of lines that are a library and a name."""
    found: dict[str, set[str]] = {}
    for line in lines:
        library, name = line.split(" ")
        found.setdefault(library, set()).add(name)
    return found


def lua_table(plain: dict[str, set[str]], nova: dict[str, set[str]]) -> str:
    """Return the page's table of what Nova has of each library of `plain`, and what it has not."""
    rows = ["| | left | gone |", "|---|---|---|"]
    for library in sorted(plain):
        left, gone = (
            " ".join(sorted(names)) for names in (plain[library] & nova[library], plain[library] - nova[library])
        )
        cells = (f"`{cell}`" if cell else "" for cell in (library, left, gone))
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n" + "\n".join(rows) + "\n"


def test_the_limits_are_the_programs(repo):
    text = (repo / "docs/nova.md").read_text()
    assert limits.MAX_NOVA_INSTRUCTIONS == 100_000_000 and "100 million" in text
    assert limits.MAX_NOVA_WORK == 60_000_000 and "60 million units" in text
    for number in (
        limits.MAX_NOVA_MEMORY_BYTES >> 20,
        limits.MAX_NOVA_WRITTEN_BYTES >> 20,
        limits.MAX_NOVA_LOG_BYTES >> 20,
    ):
        assert f"{number} MiB" in text
    assert text.count(f"| {limits.MAX_NOVA_CPU_SECONDS} seconds |") == 2
    assert f"| {limits.MAX_WORKER_BYTES >> 20} MiB |" in text
    assert f"at most {limits.MAX_NOVA_TEMPLATE_BYTES >> 20} MiB; its result has at most" in text
    assert f"has at most {limits.MAX_NOVA_RENDERED_BYTES >> 20} MiB. Variables" in text
    assert f"| {limits.MAX_NOVA_EVENTS:,} / {limits.MAX_NOVA_RECEIPT_BYTES >> 20} MiB |" in text
    assert f"whatever they count | {limits.MAX_NOVA_VERB_SECONDS} seconds |" in text
    assert f"| {limits.MAX_SCRIPT_BYTES >> 10} KiB |" in text


def test_the_system_calls_and_the_probe_are_the_programs(repo):
    text = (repo / "docs/nova.md").read_text()
    allowed = re.search(r"The filter allows\s+`([^`]+)`", text)
    assert allowed
    assert tuple(allowed[1].split()) == PLAIN
    assert all(f"`{name}`" in text for name in NOT_EXECUTABLE)
    assert dict(re.findall(r"^\| `([a-z-]+)` \| `(\w+)` \|$", text, re.MULTILINE)) == WANTED
    assert f"| {limits.MAX_NOVA_WAIT_SECONDS} seconds |" in text


def test_what_programs_meet_is_the_programs(repo):
    text = (repo / "docs/nova.md").read_text()
    assert dict(re.findall(r"^\| `([a-z-]+)` \| `([a-z ]+)` \| .+ \|$", text, re.MULTILINE)) == WANTED_OF_PROGRAMS
    refused = re.search(r"with EPERM\s+`([^`]+)`", text)
    assert refused
    assert tuple(refused[1].split()) == REFUSED
    assert f"files without a name | {limits.MAX_STAGE_BYTES >> 30} GiB |" in text
    assert f"the tools that stars bring | {limits.MAX_TOOLS_BYTES >> 30} GiB |" in text
    assert f"every call that is newer than Linux 7.2 (number {LAST})" in text
    assert f"no further one starts | {limits.MAX_NOVA_PROGRAMS_SECONDS // 3600} hours |" in text
