"""Say on standard error what a benchmark has just measured: its table comes at its end, after an hour perhaps."""

from __future__ import annotations

import sys


def told(row: str, seconds: float) -> float:
    """Print the figure of one row in one round, and return it."""
    print(f"  {row}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds
