"""Random faults in archives and images: each is read or refused in words, within 1 GiB of memory and 30 seconds.

`make test-slow` tries 20,000 mutations (fakes.mutated_archives), ordinary runs some hundreds. What the strict reader
accepts is also listed by the tar programs of this machine: they must see the same names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos.pack.untar import read_tar
from fakes import mutated_archives
from fakes.mutated_archives import KINDS, accepted_tars

QUICK = 40
EACH = 20_000 // len(KINDS) + 1
PACKAGES = {"bsdtar": "libarchive-tools"}


def tried(kind: str, count: int) -> dict[str, int]:
    """Return how often each outcome was seen, in a process of its own; fails with the tracebacks of bugs."""
    command = [sys.executable, "-m", "fakes.mutated_archives", kind, "0", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(mutated_archives.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert not {"bug", "no words"} & found.keys(), done.stderr
    assert sum(found.values()) == count
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.objective("SO-19")
def test_an_input_with_random_faults_is_read_or_refused_in_words(kind: str) -> None:
    found = tried(kind, QUICK)
    assert found.keys() - {"read"}, "the faults reach nothing"


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_very_many_inputs_with_random_faults_are_read_or_refused_in_words(kind: str) -> None:
    found = tried(kind, EACH)
    print(kind, found)
    assert found["read"] > 0, "no faulty input passes the outer checks"


def listed(tool: str, archive: Path) -> list[bytes]:
    """Return the names in an archive, as a program of this machine lists them."""
    program = shutil.which(tool)
    if program is None:
        pytest.fail(f"{tool} is missing: apt-get install {PACKAGES.get(tool, tool)}")
    quoting = ["--quoting-style=literal", "--no-wildcards"] if tool == "tar" else []
    command = [program, *quoting, "-tf", str(archive)]
    done = subprocess.run(
        command, capture_output=True, check=False, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    )
    return done.stdout.splitlines()


def demand_seen_alike(tool: str, count: int, folder: Path) -> None:
    """Assert that `tool` lists the entries that our reader finds in faulty archives that it accepts."""
    for data in accepted_tars(count):
        (folder / "x.tar").write_bytes(data)
        ours = [bytes(entry.path) for entry in read_tar(data, "x.tar")]
        if not all(name.isascii() and name.decode().isprintable() for name in ours):
            continue  # each program writes such a name in its own way
        theirs = [name.removeprefix(b"./").removesuffix(b"/") for name in listed(tool, folder / "x.tar")]
        assert theirs == ours


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_another_tar_sees_the_same_entries_in_what_is_accepted(tool: str, tmp_path: Path) -> None:
    demand_seen_alike(tool, 20, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_another_tar_sees_the_same_entries_in_very_many_that_are_accepted(tool: str, tmp_path: Path) -> None:
    demand_seen_alike(tool, 1000, tmp_path)
