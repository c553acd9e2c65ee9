"""A pytest plugin: where several processes share a run, one of them runs all tests that share what takes long to make.

A fixture of a module or of a session is made once in each process. So the tests that ask for one that their own file
or folder defines form a group of pytest-xdist. What the whole suite shares is cheap, and is made in each process.
"""

from __future__ import annotations

from typing import Final

import pytest

WIDE: Final = ("module", "package", "session")
EVERYWHERE: Final = ("", "tests")  # where plugins and tests/conftest.py define theirs


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the groups, before pytest-xdist looks for them; a test's own `xdist_group` stays."""
    if hasattr(config, "workerinput"):
        for item in items:
            shared = group_of(item)
            if shared is not None and item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(shared))


def group_of(item: pytest.Item) -> str | None:
    """Return the widest place that defines a fixture of the test which others may share, or None."""
    info = getattr(item, "_fixtureinfo", None)  # no public name says where a fixture is defined
    if info is None:
        return None
    places = {
        fixture.baseid
        for fixtures in info.name2fixturedefs.values()
        for fixture in fixtures[-1:]
        if fixture.scope in WIDE and fixture.baseid not in EVERYWHERE
    }
    return min(places, key=len, default=None)
