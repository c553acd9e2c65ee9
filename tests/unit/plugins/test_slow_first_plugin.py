"""The plugin that lets a shared run begin with its slow tests."""

from __future__ import annotations

import pytest

from plugins.slow_first import pytest_collection_modifyitems

TESTS = """
import pytest

def test_a(): ...

@pytest.mark.slow
def test_b(): ...

def test_c(): ...

@pytest.mark.slow
def test_d(): ...
"""


@pytest.mark.parametrize(("is_shared", "order"), [(True, "bdac"), (False, "abcd")])
def test_a_shared_run_begins_with_its_slow_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, is_shared: bool, order: str
) -> None:
    pytester.makeini("[pytest]\nmarkers = slow\n")
    items = pytester.getitems(TESTS)
    config = items[0].config
    monkeypatch.delattr(config, "workerinput", raising=False)
    if is_shared:
        monkeypatch.setattr(config, "workerinput", {}, raising=False)
    pytest_collection_modifyitems(config, items)
    assert "".join(item.name[-1] for item in items) == order
