"""A zygote, and what its workers inherit: little memory, and few of root's powers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosmos.nova.confine import run_confined
from cosmos.nova.outcome import Limits, Outcome
from cosmos.nova.workers import WORKER
from cosmos.sandbox import conversation
from cosmos.sandbox.conversation import Patience
from cosmos.sandbox.kernel import NOBODY
from cosmos.sandbox.probe import demand_sandbox

LARGE = {"dataclasses", "inspect", "re", "typing"}  # each page of them would be mapped and unmapped for every script
LOADED = """
import sys
sys.path[:0] = sys.argv[1:]
from cosmos.sandbox import zygote
zygote._ready("cosmos.nova.worker")
print(*sys.modules)
"""
KEPT = 1 << 5 | 1 << 6 | 1 << 7  # CAP_KILL, CAP_SETGID, CAP_SETUID


def test_a_zygote_of_scripts_loads_no_large_module_that_it_can_do_without(repo: Path) -> None:
    paths = [str(repo / "builder"), *(path for path in sys.path if path.endswith("site-packages"))]
    words = [sys.executable, "-I", "-S", "-c", LOADED, *paths]
    loaded = {*subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()}
    assert WORKER in loaded
    assert loaded & LARGE == set()


def zygote() -> int:
    """Return the process id of the zygote of scripts."""
    program: Any = conversation._zygotes[WORKER][2]
    return int(program.pid)


def said_of(process: int) -> dict[str, str]:
    """Return what the kernel says of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def in_a_verb(look: Callable[[], None]) -> None:
    """Run a script, and `look` while it waits for the answer of a verb."""

    def call(*_: object) -> tuple[bool, None]:
        look()
        return True, None

    script = b'function install() exists("/x") end'
    outcome = run_confined(script, "x", "install", Limits(), Patience(seconds=600), call)
    assert outcome == Outcome(ending="done", problem="")


def bits(said: dict[str, str]) -> dict[str, int]:
    """Return the capabilities: effective, permitted, inheritable, of programs, ambient."""
    return {name: int(said[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has powers to give up")
def test_a_zygote_of_root_keeps_three_powers_and_a_worker_none() -> None:
    demand_sandbox(WORKER)
    own = bits(said_of(os.getpid()))
    seen: list[dict[str, str]] = []

    def look() -> None:
        workers = Path(f"/proc/{zygote()}/task/{zygote()}/children").read_text().split()
        seen.extend(said_of(int(worker)) for worker in workers)

    in_a_verb(look)
    kept = KEPT & own["CapPrm"]
    assert bits(said_of(zygote())) == {"CapEff": kept, "CapPrm": kept, "CapInh": 0, "CapBnd": 0, "CapAmb": 0}
    assert [bits(worker) for worker in seen] == [dict.fromkeys(bits(seen[0]), 0)]
    assert [(worker["NoNewPrivs"], worker["Seccomp"]) for worker in seen] == [("1", "2")]
    assert seen[0]["Uid"].split() == [str(NOBODY)] * 4


def test_a_zygote_survives_a_builder_that_no_longer_listens() -> None:
    """Its answers go to a socket whose other end is closed: that must not be its end by SIGPIPE."""
    demand_sandbox(WORKER)
    before = zygote()
    for _ in range(20):
        in_a_verb(lambda: None)
    assert zygote() == before
    assert Path(f"/proc/{before}/status").exists()
    assert int(said_of(before)["SigIgn"], 16) >> 12 & 1, "SIGPIPE, 13"
