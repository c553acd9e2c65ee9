"""No damage to a document of any kind ends in anything but a value or a clean refusal, in little memory and time.

`fakes.document_kinds` lists the kinds, `fakes.mutations` makes the damage, and `fakes.mutation_driver` reads it in a
process with 1 GiB of address space. To see one mutation again: python tests/fakes/mutation_driver.py NUMBER 1 KIND.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.document_kinds import KINDS

MANY = int(os.environ.get("MUTATIONS", "20000"))  # of each kind, with `make test-mutations`
FEW = 60


def tried(repo: Path, count: int, *kinds: str) -> list[dict[str, Any]]:
    """Return what came of the first `count` mutations of each kind."""
    driver = repo / "tests/fakes/mutation_driver.py"
    ran = subprocess.run(
        [sys.executable, driver, "0", str(count), *kinds],
        env={**os.environ, "PYTHONPATH": f"{repo / 'builder'}{os.pathsep}{repo / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.objective("SO-19")
def test_a_damaged_document_of_any_kind_is_read_or_cleanly_refused(repo: Path) -> None:
    found = tried(repo, FEW)
    assert {one["kind"]: one["failures"] for one in found} == {kind: {} for kind in KINDS}


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_of_many_to_a_document_does_more(kind: str, repo: Path) -> None:
    (found,) = tried(repo, MANY, kind)
    outcomes = ", ".join(f"{outcome}: {count}" for outcome, count in found["outcomes"].items())
    print(f"{kind}: {outcomes}; at most {found['peak-mib']} MiB, {found['slowest-ms']} ms")
    assert found["failures"] == {}
