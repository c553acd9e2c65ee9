"""What a star with a script costs more than one without, as whole processes.

    PYTHONPATH=tests .venv/bin/python tests/bench/script_bench.py [--stars 400] [--rounds 3] [--jobs 1,2] [--old FOLDER]

An image of small stars, each ten in a chain, whose scripts make two calls, is built with an empty store, and beside it
the same stars without scripts. A script sees the layers of up to nine stars below its own. Printed are medians of
processor seconds (the build's own and those of all its processes), the least and the most, and the milliseconds for
each script. The processes that run scripts outlive the build by a moment; they are waited for, and count, too.
`--old FOLDER` measures the sources in another checkout as well, in turns. The stores of earlier builds are removed at
the end (see scale_bench). `KEEP=FOLDER` in the environment keeps the galaxies there.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.telling import told
from bench.warm_bench import NEW, Bench, opened, small
from fakes.galaxies import StarSpec

STARS: Final = 400
SCRIPT: Final = """function install()
  copy("usr/", "/usr/")
  symlink("data", "/usr/lib/{0}/link")
end
"""
Seconds = dict[tuple[str, str, int], list[float]]
_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>


def reaped() -> float:
    """Return the processor seconds of the processes that outlived their parents, after they have ended."""
    seconds = 0.0
    while True:
        try:
            used = os.wait4(-1, 0)[2]
        except ChildProcessError:
            return seconds
        seconds += used.ru_utime + used.ru_stime


def scripted(count: int) -> Iterator[StarSpec]:
    """Yield the stars of `small`, each with a script of two calls."""
    return (replace(spec, script=SCRIPT.format(spec.name)) for spec in small(count))


def measured(benches: dict[str, list[Bench]], jobs: list[int], rounds: int) -> Seconds:
    """Return the seconds of each build, by the kind of its stars, its checkout and its workers."""
    out: Seconds = {}
    for _ in range(rounds):
        for workers in jobs:
            for kind, of in benches.items():
                for bench in of:
                    bench.set_aside("home/store", "image/out")
                    took = bench.run("build", "--jobs", str(workers)) + reaped()
                    told(f"{kind}, {bench.name}, workers {workers}", took)
                    out.setdefault((kind, bench.name, workers), []).append(took)
    return out


def spread(seconds: list[float]) -> str:
    """Return the median, the least and the most in words."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    """Measure, and print a line for each checkout and number of workers."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    words = argparse.ArgumentParser()
    words.add_argument("--stars", type=int, default=STARS)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--jobs", default="1,2")
    words.add_argument("--old", type=Path)
    asked = words.parse_args()
    jobs = [int(number) for number in asked.jobs.split(",")]
    checkouts = {**({"old": asked.old} if asked.old else {}), "new": NEW}
    with tempfile.TemporaryDirectory(prefix="cosmos-script-") as temporary:
        where = Path(temporary)
        kept = Path(os.environ.get("KEEP", where))
        benches: dict[str, list[Bench]] = {}
        for kind, stars in (("without", small), ("scripts", scripted)):
            image = opened(kept / f"{kind}-{asked.stars}", stars(asked.stars))
            benches[kind] = [Bench(name, sources, image, where) for name, sources in checkouts.items()]
            for bench in benches[kind]:
                bench.run("freeze")
        seconds = measured(benches, jobs, asked.rounds)
    for workers in jobs:
        for name in checkouts:
            without, scripts = (seconds[kind, name, workers] for kind in ("without", "scripts"))
            each = (statistics.median(scripts) - statistics.median(without)) / asked.stars * 1000
            shown = f"without {spread(without)}, with scripts {spread(scripts)}, each script {each:.1f} ms"
            print(f"{name}, workers {workers}: {shown}")


if __name__ == "__main__":
    main()
