"""A pytest plugin: where several processes share a run, the slow tests are first, so that none of them ends it alone.

pytest-xdist gives the tests out in the order in which they were collected; only groups of several tests come before.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests that are marked `slow` first; every process of a run has the same order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
