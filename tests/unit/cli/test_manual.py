"""Manual pages have every command and option, the same bytes each time, and nothing that roff takes for its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cosmos.cli.cosmos.main import _COMMANDS
from fakes.programs import Cosmos


def test_each_command_has_a_page_and_a_hidden_one_has_none(tmp_path: Path, cosmos: Cosmos) -> None:
    cosmos("manual", tmp_path / "man").ok()
    names = {file.name for file in (tmp_path / "man").iterdir()}
    hidden = {"manual", "rebuild-once"}
    assert {f"cosmos-{name}.1" for name in _COMMANDS if name not in hidden} <= names
    assert {"cosmos.1", "cosmos-key-new.1", "cosmos-stellar-build-star.1"} <= names
    assert {f"cosmos-{name}.1" for name in hidden} & names == set()


def test_a_page_says_what_the_help_says(tmp_path: Path, cosmos: Cosmos) -> None:
    cosmos("manual", tmp_path).ok()
    page = (tmp_path / "cosmos-build.1").read_text()
    assert ".SH NAME\ncosmos\\-build \\- Build IMAGE" in page
    assert ".B \\-\\-offline\nMake no socket and open no galaxy" in page
    assert ".BR cosmos\\-build (1)" in (tmp_path / "cosmos.1").read_text()


def test_a_second_time_gives_the_same_bytes(tmp_path: Path, cosmos: Cosmos) -> None:
    for name in ("one", "two"):
        cosmos("manual", tmp_path / name).ok()
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not there")
def test_roff_has_nothing_to_complain_about(tmp_path: Path, cosmos: Cosmos) -> None:
    cosmos("manual", tmp_path).ok()
    pages = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-wall", "-z", *pages], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
