"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout under test."""
    return REPO


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test data that no one here wrote; never copied into the repository."""
    folder = Path(os.environ.get("COSMOS_VECTORS", REPO.parent / "shared" / "vectors"))
    if not folder.is_dir():
        pytest.fail(f"foreign test data is not at {folder}: set COSMOS_VECTORS")
    return folder
