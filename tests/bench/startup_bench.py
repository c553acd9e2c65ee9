"""How long the single-file binary takes to start: `--version` and `status`, of one binary or of several, interleaved.

    python tests/bench/startup_bench.py [BINARY…]       (default: build/binary/cosmos)

Printed are the medians of 21 runs of each: user and system CPU seconds together, wall seconds, and the most memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 21
REPO = Path(__file__).resolve().parents[2]


def run(command: list[str]) -> tuple[float, float, int]:
    """Return the CPU seconds, the wall seconds and the most KiB of memory of one run."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={"HOME": "/"})
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss


def main() -> None:
    """Run all commands in turns, and print a row for each."""
    binaries = [Path(word).resolve() for word in sys.argv[1:]] or [REPO / "build" / "binary" / "cosmos"]
    with tempfile.TemporaryDirectory() as root:
        subprocess.run([binaries[0], "init", "--root", root], check=True, stdout=subprocess.DEVNULL)
        commands = [
            [str(binary), *words] for words in (["--version"], ["status", "--root", root]) for binary in binaries
        ]
        figures: list[list[tuple[float, float, int]]] = [[] for _ in commands]
        for _ in range(RUNS):
            for rows, command in zip(figures, commands, strict=True):
                rows.append(run(command))
    for rows, command in zip(figures, commands, strict=True):
        cpu, wall, kib = (statistics.median(column) for column in zip(*rows, strict=True))
        size = Path(command[0]).stat().st_size
        least = min(cpu for cpu, _, _ in rows)
        print(
            f"{command[0]} ({size:,} bytes) {command[1]}: CPU {cpu:.3f} s (least {least:.3f}), "
            f"wall {wall:.3f} s, {kib:,.0f} KiB"
        )


if __name__ == "__main__":
    main()
