"""`make bench` runs every benchmark, and each still fits the program that it measures."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
BENCHES = sorted(file.stem for file in (REPO / "tests/bench").glob("*_bench.py"))


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_finds_what_it_measures(name: str) -> None:
    assert callable(importlib.import_module(f"bench.{name}").main)


def test_make_bench_runs_every_benchmark() -> None:
    target = (REPO / "Makefile").read_text().partition("\nbench: ")[2].partition("\n.PHONY")[0]
    looped = re.search(r"for bench in ([a-z ]+); do", target)
    assert looped is not None
    named = {*re.findall(r"/(\w+)_bench\.py", target), *looped[1].split()}
    assert {f"{name}_bench" for name in named} == set(BENCHES)
