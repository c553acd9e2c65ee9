"""What the tests boot."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def release(repo: Path) -> Path:
    """The release that `make image` made."""
    folder = repo / "images/rescue/out"
    if not (folder / "RELEASE.json").is_file():
        pytest.fail("there is no image to boot: make image")
    return folder
