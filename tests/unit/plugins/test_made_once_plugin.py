"""The plugin that makes what several tests share once in a shared run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def of_the_folder(): ...
"""
TESTS = """
import pytest

@pytest.fixture(scope="module")
def large(): ...

@pytest.fixture
def own(): ...

@pytest.mark.parametrize("number", range(2))
def test_of_the_module(large, number): ...

def test_alone(own, tmp_path_factory): ...

@pytest.mark.xdist_group("named")
def test_of_a_named_group(large): ...

def test_of_the_folder(large, of_the_folder): ...
"""


SHARED = {
    "test_of_the_module[0]@folder/test_it.py",
    "test_of_the_module[1]@folder/test_it.py",
    "test_alone",
    "test_of_a_named_group@named",
    "test_of_the_folder@folder",
}


@pytest.mark.parametrize(
    ("options", "names"),
    [(("-n", "2", "--dist", "loadgroup"), SHARED), ((), {name.partition("@")[0] for name in SHARED})],
    ids=["shared", "alone"],
)
def test_tests_that_share_a_large_fixture_are_a_group_of_a_shared_run(
    pytester: pytest.Pytester, options: tuple[str, ...], names: set[str], repo: Path
) -> None:
    pytester.makeini(f"[pytest]\npythonpath = {shlex.quote(str(repo / 'tests'))}\n")
    pytester.makeconftest('pytest_plugins = ["plugins.made_once"]')
    folder = pytester.mkdir("folder")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TESTS)
    done = pytester.runpytest_subprocess("-rA", "-p", "no:cacheprovider", *options)
    done.assert_outcomes(passed=5)
    assert {line.split("::")[1] for line in done.outlines if line.startswith("PASSED")} == names
