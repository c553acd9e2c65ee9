"""The program's version, and where to report a bug in it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"  # also in pyproject.toml; a test compares them
REPORT_BUGS_TO: Final = "the project's issue tracker, with the command and all of its output"
