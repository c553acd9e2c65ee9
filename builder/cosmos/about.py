"""What this program is: its version, and where its bugs go."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"  # pyproject.toml says the same; tests/house checks it
REPORT_BUGS_TO: Final = "report it with the lines above and the command that you typed to the maintainers of cosmos-builder"
