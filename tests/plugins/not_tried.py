"""A pytest plugin: one line at the end of a run says what was not tried, and why.

    not tried: 36 (no foreign test data at ../shared/vectors, and COSMOS_VECTORS is not set), 2 (only root can …)

Under pytest-xdist the reports of every worker reach the controller, which alone writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

_SKIPPED = "Skipped: "


def line_of(reasons: Mapping[str, int]) -> str:
    """Return the line for these reasons, each with the number of tests; most first.

    >>> line_of({"only root can make device nodes": 1, "no foreign test data at x": 36})
    'not tried: 36 (no foreign test data at x), 1 (only root can make device nodes)'
    """
    rows = sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
    return "not tried: " + ", ".join(f"{count} ({' '.join(reason.split())})" for reason, count in rows)


class Watcher:
    """Counts the reasons for which tests were skipped."""

    def __init__(self) -> None:
        self._reasons = Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one report in: `longrepr` of a skipped one is (file, line, reason)."""
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            self._reasons[str(report.longrepr[2]).removeprefix(_SKIPPED)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say it, where there is something to say."""
        if self._reasons:
            terminalreporter.line(line_of(self._reasons), yellow=True)


def pytest_configure(config: pytest.Config) -> None:
    """Watch in the controller, or in the only process."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Watcher(), "not-tried")
