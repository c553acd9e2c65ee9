"""Hostile templates give the same bytes, or the same error with its line, in every process; none crashes or runs on.

The processes differ in what must not matter: the seed of hashes, the locale, the time zone, the size of the stack, how
deep the stack is at the call, and whether any further codec or module can be loaded.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.templates import HOSTILE

TESTS = Path(__file__).parent.parent
SCRIPT = Path(__file__).parent / "templates_in_a_process.py"
MEMORY = 1 << 30
PROCESSES = [
    {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Tokyo"},
    {"PYTHONHASHSEED": "4711", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE", "PYTHONINTMAXSTRDIGITS": "700"},
    {"PYTHONHASHSEED": "random", "PYTHONMALLOC": "debug", "PYTHONOPTIMIZE": "2"},
]


def answers(seed: int, count: int, frames: int = 0, **environment: str) -> list[list[str]]:
    """Return what comes of the hostile templates, of `count` mutations of them, and of `count` grown templates."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed), str(count), str(frames)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    said: list[list[str]] = json.loads(done.stdout)
    return said


@pytest.mark.objective("SO-24")
def test_a_template_gives_the_same_bytes_or_the_same_error_in_every_process():
    first, *others = (answers(11, 150, frames=60 * place, **env) for place, env in enumerate(PROCESSES))
    assert len(first) == len(HOSTILE) + 2 * 150
    for other in others:
        assert other == first


def test_every_error_of_a_hostile_template_names_its_line():
    said = answers(12, 0)
    problems = [one for pair in said for one in pair if " does not " in one]
    assert len(problems) > 200
    for problem in problems:
        assert re.match(r"(a|b\.j2|m)?:[1-9][0-9]*: does not (parse|render): [^\n]+", problem), problem


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_thousands_of_mutated_templates_end_as_templates_do(seed):
    assert len(answers(seed, 2000, PYTHONHASHSEED=str(seed))) == len(HOSTILE) + 2 * 2000
