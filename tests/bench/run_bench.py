"""What `run()` costs: a sandbox made, inspected, filled, read back and ended, round a program that does nothing.

    PYTHONPATH=builder python tests/bench/run_bench.py

Printed are the medians of `run{"true"}` on an empty tree, and on one of 1,000 files with 16 KiB each.
"""

from __future__ import annotations

import statistics
import time

from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.tree.entry import Entry, Tree, tree_of
from cosmos.treepath import TreePath

RUNS = 40
LARGE = tree_of(
    Entry(path=TreePath.parse(f"d{n % 10}/f{n}"), kind="file", mode=0o644, content=bytes(16 << 10)) for n in range(1000)
)


def milliseconds(tree: Tree) -> float:
    """Time one program."""
    began = time.perf_counter()
    bubble = Bubble(tools=HOST_TOOLS, epoch=0, timeout_seconds=60, where="bench")
    assert bubble.run((b"true",), {}, tree).status == 0
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print the medians."""
    for name, tree in (("an empty tree", {}), ("1,000 files", LARGE)):
        print(f'run{{"true"}} on {name}: {statistics.median(milliseconds(tree) for _ in range(RUNS)):.1f} ms')


if __name__ == "__main__":
    main()
