"""docs/nova.md says what is so: its lists are those of the program."""

from __future__ import annotations

import re

from cosmos import limits
from cosmos.nova.broker import SIGNATURES
from cosmos.nova.bubble_probe import WANTED as WANTED_OF_PROGRAMS
from cosmos.nova.probe import WANTED
from cosmos.nova.seccomp import NOT_EXECUTABLE, PLAIN, REFUSED


def test_every_verb_has_a_line(repo):
    text = (repo / "docs/nova.md").read_text()
    for verb in SIGNATURES:
        assert re.search(rf"^\| `{verb.decode()}[({{]", text, re.MULTILINE), verb


def test_the_functions_that_are_left_are_listed(repo, install):
    text = (repo / "docs/nova.md").read_text()
    left = re.search(r"## What is left of Lua\n(.*?)What is gone", text, re.DOTALL)
    assert left
    named = {word for code in re.findall(r"`([^`]+)`", left[1]) for word in code.split()}
    body = """
      for _, t in ipairs{_G, string, table} do for name in pairs(t) do log(name) end end"""
    verbs = {verb.decode() for verb in SIGNATURES} | {
        "print",
        "install",
        "install_root",
        "string",
        "table",
        "math",
        "utf8",
    }
    assert set(install(body).receipt.logs) - verbs == named - {
        "string.",
        "table.",
        "math.",
        "utf8.",
        "random",
        "randomseed",
    }


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
    assert f"| {limits.MAX_NOVA_CPU_SECONDS} seconds |" in text
    assert f"| {limits.MAX_NOVA_EVENTS:,} |" in text
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
    assert f"no further one starts | {limits.MAX_NOVA_PROGRAMS_SECONDS // 3600} hours |" in text
