"""Hostile install scripts (tests/attack/nova/*.lua): none breaks out, none runs on, each ends as its first line says.

A script calls `breach(why)` where it got what it must not get. Besides, the host's secrets may not turn up in anything
that comes out, nothing may appear in the working folder, and no attack may end in an error that is not a script's (a
crash, a Python error).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "nova"
SCRIPTS = sorted(CORPUS.glob("*.lua"))
CPU_SECONDS = 2
WALL_SECONDS = 40  # on a loaded machine; alone the slowest takes a fifth
SECRET = "the-secret-of-the-builder"
ENDINGS = {
    "done": lambda problem: problem is None,
    "failed": lambda problem: problem is not None and ": was stopped: " not in problem,
    "stopped": lambda problem: problem is not None and ": was stopped: it " in problem,
    "syntax": lambda problem: problem is not None and "expected" in problem,
}


def attack(
    script: Path, folder: Path, prepare: Callable[[], object] | None = None, **environment: str
) -> dict[str, object]:
    """Run one script in a process of its own, which does `prepare` first; a hang or a crash fails the test."""
    (folder / "canary-of-the-host").write_text(SECRET)
    env = {**os.environ, "COSMOS_TEST_SECRET": SECRET, **environment}
    done = subprocess.run(
        [sys.executable, str(CORPUS / "stage_one.py"), str(script), str(CPU_SECONDS)],
        cwd=folder, env=env, preexec_fn=prepare, capture_output=True, timeout=WALL_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"crashed: {done.stderr.decode()[-2000:]}"
    assert done.stderr == b""
    assert SECRET.encode() not in done.stdout
    assert [path.name for path in folder.iterdir()] == ["canary-of-the-host"]
    return json.loads(done.stdout)


@pytest.mark.objective("SO-20")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_attack_gets_nowhere_and_ends(script, tmp_path):
    wanted = re.match(r"-- want: (\w+)\n", script.read_text())
    assert wanted, "the first line says how it must end"
    result = attack(script, tmp_path)
    assert result["breaches"] == []
    assert ENDINGS[wanted[1]](result["problem"]), f"wanted {wanted[1]}, got {result['problem']}"
    assert result["problem"] is None or re.match(r"ScriptFailed: attack: install\.lua\b", str(result["problem"]))


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(SCRIPTS) >= 120


def test_a_breach_would_be_seen(tmp_path):
    script = tmp_path / "x.lua"
    script.write_text("function install() pcall(breach, 'seen') end")
    folder = tmp_path / "cwd"
    folder.mkdir()
    assert attack(script, folder)["breaches"] == ["BREACH: seen"]


@pytest.mark.parametrize(
    "script", ["path-03-links-out", "lang-04-string-metatable", "path-07-nul-and-bytes", "render-01-shows"]
)
def test_one_script_gives_one_receipt_whatever_the_builder_is_like(script, tmp_path):
    results = []
    other = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nowhere"}
    for place, (environment, prepare) in enumerate(
        [({"PYTHONHASHSEED": "0"}, None), (other, lambda: (os.umask(0o077), os.sched_setaffinity(0, {0})))]
    ):
        folder = tmp_path / f"cwd{place}"
        folder.mkdir()
        result = attack(CORPUS / f"{script}.lua", folder, prepare, **environment)
        results.append((result["problem"], result["made"], result["receipt"]))
    assert results[0] == results[1]
    assert results[0][2]
