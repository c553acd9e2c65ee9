"""What each star of this repository does, against its expect.txt; and that nothing about it is unsafe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.programs import Cosmos

STARS = sorted(path.parent.name for path in (Path(__file__).parents[2] / "stars").glob("*/star.toml"))


@pytest.fixture(scope="module")
def galaxy(repo: Path) -> Path:
    """The galaxy that `make image` made."""
    folder = repo / ".cosmos/galaxy"
    if not (folder / "meta.toml").is_file():
        pytest.fail("there is no galaxy with the stars' files: make image")
    return folder


def built_from(repo: Path, name: str) -> Path:
    """Return the source folder that `make` builds the star from: the binary is in a copy of its own."""
    return repo / ("build/stars" if name == "cosmos" else "stars") / name


@pytest.mark.parametrize("name", STARS)
def test_a_star_does_what_its_expect_txt_says(name: str, repo: Path, galaxy: Path, stellar: Cosmos) -> None:
    how = ("--update",) if os.environ.get("REWRITE_GOLDEN") else ()
    expect = repo / "stars" / name / "expect.txt"
    stellar("test", built_from(repo, name), "--galaxy", galaxy, "--expect", expect, *how).ok()


@pytest.mark.parametrize("name", STARS)
def test_a_star_has_no_finding(name: str, repo: Path, galaxy: Path, stellar: Cosmos) -> None:
    assert stellar("lint", built_from(repo, name), "--galaxy", galaxy).ok().out == ""
