"""The plugin that says in one line what a run did not try."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.fixture
def vectors():
    pytest.skip("no vectors")

@pytest.mark.parametrize("name", "abc")
def test_a_vector(vectors, name): ...

@pytest.mark.skipif(True, reason="only root can")
def test_a_device(): ...

@pytest.mark.xfail
def test_what_is_expected_to_fail():
    assert False

def test_something(): ...
"""


@pytest.fixture
def folder(pytester: pytest.Pytester, repo: Path) -> pytest.Pytester:
    pytester.makeini(f"[pytest]\npythonpath = {shlex.quote(str(repo / 'tests'))}\naddopts = -p no:cacheprovider\n")
    pytester.makeconftest('pytest_plugins = ["plugins.not_tried"]')
    pytester.makepyfile(TESTS)
    return pytester


@pytest.mark.parametrize("words", [(), ("-n", "2")])
def test_what_was_not_tried_is_one_line_with_its_reasons(folder: pytest.Pytester, words: tuple[str, ...]) -> None:
    result = folder.runpytest(*words)
    result.assert_outcomes(passed=1, skipped=4, xfailed=1)
    lines = [line for line in result.outlines if line.startswith("not tried: ")]
    assert lines == ["not tried: 3 (no vectors), 1 (only root can)"]


def test_a_run_that_tried_everything_says_nothing(folder: pytest.Pytester) -> None:
    result = folder.runpytest("-k", "something or expected")
    assert "not tried" not in result.stdout.str()
