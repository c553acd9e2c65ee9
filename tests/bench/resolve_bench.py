"""What resolving and judging cost, from 100 to 10,000 stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/resolve_bench.py [SIZE…]

Each size is a library of three versions a star and three dependencies each, all of whose stars are wished for; one
where every star's newest version cannot be had, which is found only two stars further down; and one with a chain of
that length at whose end there is no solution. Memory is of the whole process so far.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Mapping

from cosmos.errors import NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.names import Arch, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Facts, Wish
from cosmos.resolve.judging import faults
from cosmos.resolve.resolving import Resolved, resolve
from fakes.libraries import MemoryLibrary, facts

MACHINE = Arch("x86_64")


def plain(size: int) -> dict[str, Facts]:
    """Stars with three dependencies each, on stars before them."""
    dice = random.Random(1)
    limits = ("*", ">=1", ">=2")
    return {
        f"s{at} {major}.0.0": facts({f"s{dice.randrange(at)}": dice.choice(limits) for _ in range(3)} if at else {})
        for at in range(size)
        for major in (1, 2, 3)
    }


def hopeless_newest(size: int) -> dict[str, Facts]:
    """Stars whose newest version needs, through another star, what a star that comes last rules out."""
    return {
        **{f"s{at} 2.0.0": facts({f"m{at}": "*"}) for at in range(size)},
        **{f"s{at} 1.0.0": facts() for at in range(size)},
        **{f"m{at} {major}.0.0": facts({"lib": "^2"}) for at in range(size) for major in (1, 2)},
        **{f"z {major}.0.0": facts({"lib": "^1"}) for major in (1, 2)},
        **{f"lib {version}": facts() for version in ("1.0.0", "1.1.0", "2.0.0", "2.1.0")},
    }


def no_solution(size: int) -> dict[str, Facts]:
    """A chain at whose end stands what another star rules out."""
    return {
        **{f"s{at} 1.0.0": facts({f"s{at + 1}": "*"}) for at in range(size)},
        f"s{size} 1.0.0": facts({"lib": "^2"}),
        "z 1.0.0": facts({"lib": "^1"}),
        **{f"lib {version}": facts() for version in ("1.0.0", "2.0.0")},
    }


def row(label: str, library: Mapping[str, Facts], wanted: list[str], kept: Mapping[StarName, Version]) -> None:
    """Resolve and judge once, and print what it cost."""
    offered = MemoryLibrary(library)
    wishes = [Wish(who="image", name=StarName(name), constraint=ANY_VERSION) for name in wanted]
    found: tuple[Resolved, ...] = ()
    start = time.process_time()
    try:
        found = resolve(wishes, offered, MACHINE, kept)
    except NoSolution:
        label += ", none"
    resolved = time.process_time()
    faults(wishes, [one.placed for one in found], MACHINE)
    judged = time.process_time()
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"| {label:28} | {len(library):6} | {resolved - start:8.2f} | {judged - resolved:6.2f} | {mib:5} |", flush=True
    )


def main(sizes: list[int]) -> None:
    """Print the table."""
    print("| stars wished for             | listed | resolve s | judge s | MiB |\n|---|---:|---:|---:|---:|")
    for size in sizes:
        names = [f"s{at}" for at in range(size)]
        row(f"{size}", plain(size), names, {})
        row(f"{size}, all in the lock", plain(size), names, {StarName(name): Version.parse("2.0.0") for name in names})
        row(f"{size}, newest hopeless", hopeless_newest(size), [*names, "z"], {})
        row(f"{size}, no solution", no_solution(size), ["s0", "z"], {})


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100, 1_000, 2_000, 5_000, 10_000])
