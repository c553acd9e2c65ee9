"""Mutated install scripts end as scripts end: done, failed or stopped. None hangs, or takes the builder along."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SCRIPT = Path(__file__).parent / "scripts_in_a_process.py"
MEMORY = 1 << 30
WALL_SECONDS = 200  # on a loaded machine; alone the slowest takes a twentieth


def endings(seed: int, count: int) -> list[tuple[str, float]]:
    """Return how each of `count` mutated scripts ended, and its seconds."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed), str(count)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        timeout=count * WALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    said: list[tuple[str, float]] = json.loads(done.stdout)
    return said


@pytest.mark.objective("SO-20")
def test_a_mutated_script_ends_as_a_script_does():
    said = endings(1, 40)
    assert len(said) == 40
    assert {ending for ending, _ in said} <= {"done", "failed", "stopped"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
def test_a_thousand_mutated_scripts_end_as_scripts_do(seed):
    said = endings(seed, 1000)
    assert {ending for ending, _ in said} <= {"done", "failed", "stopped"}
    assert max(seconds for _, seconds in said) < WALL_SECONDS
