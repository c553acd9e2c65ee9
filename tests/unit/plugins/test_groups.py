"""The tests of one `xdist_group` run in one process: they share a port, or what takes long to make.

This depends on the versions of pytest and pytest-xdist together, and fails silently where they do not fit.
"""

from __future__ import annotations

import pytest

TEST = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.xdist_group("one")
def test_which_process(number):
    Path({place!r}, f"{{os.getpid()}}").touch()
"""


def test_the_tests_of_a_group_run_in_one_process(pytester: pytest.Pytester) -> None:
    processes = pytester.mkdir("processes")
    for name in ("test_a", "test_b"):
        pytester.makepyfile(**{name: TEST.format(place=str(processes))})
    done = pytester.runpytest_subprocess("-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=16)
    assert len(list(processes.iterdir())) == 1
