"""Goldens: files that a person can read in a diff. `make golden` writes them anew; a commit that does says why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[str, str], None]


@pytest.fixture
def golden() -> Golden:
    """A function that compares a text with the file of that name beside the tests, or writes it for `make golden`."""
    folder = Path(__file__).parent

    def compare(name: str, text: str) -> None:
        path = folder / name
        if os.environ.get("REWRITE_GOLDEN"):
            path.write_text(text)
        assert text.splitlines() == path.read_text().splitlines(), f"{name}: see the diff; make golden accepts it"

    return compare
