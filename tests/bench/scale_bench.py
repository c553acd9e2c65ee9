"""What an image costs with its number of stars, as whole processes: from 10 to 5,000 small stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/scale_bench.py [--rounds N] [--plot SVG] [SIZE…]

Each size is a signed galaxy of that many stars with one small file each, each ten in a chain, and an image of them all.
Printed are the medians of processor seconds (the child's own and the kernel's for it), and how many times they grow
from each size to the next. `--plot` draws them. Nothing may grow faster than the number of stars.

    cold              `cosmos build` with an empty store, with one and with two workers
    nothing changed   the same build again; then with `--trust-stat`
    one changed       `stellar index-galaxy`, `cosmos freeze --upgrade` and `cosmos build` of a new version of one star
    verify, ls        `cosmos verify` and `cosmos ls` of the release

The stores of earlier builds are moved out of the way, and removed at the end. To make many files soon after many others
were removed costs time of the kernel, up to a quarter of such a build: ext4 without a journal passes over each number
of a file that was removed in the last minutes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.plots import draw_lines
from bench.telling import told
from bench.warm_bench import NEW, Bench, changeable, opened, small

SIZES: Final = (10, 100, 1_000, 5_000)
OLD_ENOUGH_SECONDS: Final = 3  # a file that is younger may have changed within one tick of its time
Row = tuple[str, float]


def measured(bench: Bench, rounds: int) -> Iterator[Row]:
    """Yield each row's name and seconds, several times if there are several rounds."""
    where = bench.folder
    signing = ("--key", str(where / "release.key"))
    bench.run("freeze")
    for _ in range(rounds):
        for jobs in (1, 2):
            bench.set_aside("home/store", "image/out")
            workers = "1 worker" if jobs == 1 else f"{jobs} workers"
            yield f"cold, {workers}", bench.run("build", *signing, "--jobs", str(jobs))
        yield "verify", bench.look("verify", "--key", str(where / "release.pub"))
        yield "ls", bench.look("ls")
    bench.run("build")  # from here on unsigned, as somebody builds who tries things: `--trust-stat` signs nothing
    bench.run("build")
    time.sleep(OLD_ENOUGH_SECONDS)
    for _ in range(rounds):
        yield "nothing changed", bench.run("build")
        yield "nothing changed, --trust-stat", bench.run("build", "--trust-stat")
    bench.index()
    star = changeable(where / "galaxy", 1)
    for _ in range(rounds):
        bench.change(star)
        yield "one changed: index-galaxy", bench.index()
        yield "one changed: freeze", bench.run("freeze", "--upgrade")
        yield "one changed: build", bench.run("build")


def main() -> None:
    """Measure, and print the table."""
    words = argparse.ArgumentParser()
    words.add_argument("sizes", nargs="*", type=int, default=SIZES)
    words.add_argument("--rounds", type=int, default=1)
    words.add_argument("--plot", type=Path)
    asked = words.parse_args()
    seconds: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="cosmos-scale-") as temporary:
        for place, size in enumerate(asked.sizes):
            made = opened(Path(temporary) / str(size), small(size))
            bench = Bench("measured", NEW, made, Path(temporary))
            for name, took in measured(bench, asked.rounds):
                seconds.setdefault(name, [[] for _ in asked.sizes])[place].append(told(f"{size:,} stars, {name}", took))
    medians = {name: [statistics.median(took) for took in of] for name, of in seconds.items()}
    print(f"{'stars':34}" + "".join(f"{size:>18,}" for size in asked.sizes))
    for name, of in medians.items():
        grown = ("", *(f"(x {new / old:.1f})" for old, new in pairwise(of)))
        print(f"{name:34}" + "".join(f"{f'{took:.2f} s {by}':>18}" for took, by in zip(of, grown, strict=True)))
    if asked.plot is not None:
        draw_lines(asked.plot, "Processor seconds: an image of small stars", list(asked.sizes), medians)


if __name__ == "__main__":
    main()
