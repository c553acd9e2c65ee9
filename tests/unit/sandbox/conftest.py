"""Fixtures: an entry in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath


def node(path: str, kind: Kind = "file", content: bytes = b"", mode: int = 0o644, **fields: Any) -> Entry:
    """An entry in one line."""
    return Entry(path=TreePath.parse(path), kind=kind, content=content, mode=mode, **fields)


@pytest.fixture
def entry() -> Callable[..., Entry]:
    """Makes an entry."""
    return node
