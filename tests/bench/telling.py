"""What a benchmark says before its table, which comes at its end, after an hour perhaps: one line for each figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def told(row: str, seconds: float) -> float:
    """Print the figure of one row in one round on standard error, and return it."""
    print(f"  {row}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds


def silently(*words: object, cwd: Path | None = None) -> None:
    """Run a program, of which only an error is said; that ends the benchmark."""
    done = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words[:4]))}: ended with {done.returncode}\n{done.stderr[-2000:]}")
