"""What the commands of a running system cost, as whole processes, and how that grows with the number of stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/system_bench.py [--keep FOLDER] [--rounds N] [SIZE…]

Each size is a signed galaxy in a folder, a system that accepted its trust document, and all its stars installed:
`1000x50` is 1,000 stars with 50 small files each. The default is 10, 100, 1,000 and 5,000 stars with 50 files. Each
star needs the one before it in its group of ten, and has one file of configuration. Printed are processor seconds (the
child's own and the kernel's for it) and the most memory it had: the least of `--rounds` runs. The last column says how
many times the seconds grow from the last size but one to the last, beside the number by which the stars do.

`--keep` keeps the systems in that folder, and uses those that are there already. `--program` measures another program
than that of the sources: the single-file binary.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The measuring process is small, and so imports nothing of Cosmos: a child begins with the memory of its parent.

SIZES = ("10x50", "100x50", "1000x50", "5000x50")
GROUP = 10
MIB = 1 << 20
OLD = "star-00003"  # there is a newer version of it
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "show": ("show", "star-00005"),
    "search": ("search", "editor"),
    "owns": ("owns", "/usr/share/star-00005/part-007"),
    "why": ("why", "star-00005"),
    "install of one": ("install", "one-more", "--yes"),
    "update of one": ("update", OLD, "--yes"),
    "uninstall of one": ("uninstall", "one-more", "--yes"),
    "verify": ("verify",),
    "freeze": ("freeze",),
}
BACK: dict[str, tuple[tuple[str, ...], ...]] = {  # what makes a command possible once more
    "install of one": (("uninstall", "one-more", "--yes"),),
    "update of one": (("update", f"{OLD}@=1.0.0", "--allow-downgrade", OLD, "--yes"),),
    "uninstall of one": (("install", "one-more", "--yes"),),
}


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    seconds: float
    mib: int

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.mib} MiB"


def cost(program: Sequence[str], *words: str) -> Cost:
    """Run a program to its end, and return what it cost."""
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(program[0], [*program, *words], compiled, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join((*program, *words))[:200]}: exit {os.waitstatus_to_exitcode(status)}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 // MIB)


def make(folder: Path, stars: int, files: int) -> None:
    """Make a galaxy with this many stars, and a system without them."""
    import tomli_w

    from cosmos.device.initialise import initialise
    from cosmos.device.journal import at_work
    from cosmos.device.root import LiveRoot
    from cosmos.device.settings import write_settings
    from cosmos.device.system import TRUST_PATH
    from cosmos.model.image import GalaxySource
    from cosmos.model.names import Arch, GalaxyName
    from cosmos.model.settings import Settings
    from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_signers, write_spec

    signers = make_signers()
    galaxy = GalaxyFixture(folder / "galaxy", GalaxyName("core"), signers)
    for below in ("packages", "stars", "snapshots"):
        (galaxy.path / below).mkdir(parents=True)
    galaxy.index.write_text('format = 2\nname = "core"\nversion = "2026.01.01"\nseq = 0\n')
    names = [f"star-{number:05}" for number in range(stars)]
    for number, name in enumerate(names):
        held = {f"usr/share/{name}/part-{part:03}": f"{name} {part}".encode() for part in range(files - 1)}
        held[f"etc/{name}.conf"] = b"a = 1\n"
        needs = {names[number - 1]: "*"} if number % GROUP else {}
        for version in ("1.0.0", "1.1.0") if name == OLD else ("1.0.0",):
            spec = StarSpec(name, version, held, needs, description=f"an editor of kind {number}")
            write_spec(galaxy, spec)
    write_spec(galaxy, StarSpec("one-more", files={"usr/bin/one-more": b"x"}, dependencies={names[-1]: "*"}))
    index_by_stellar(galaxy)
    root = folder / "root"
    root.mkdir()
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(GalaxySource(name=GalaxyName("core"), url=str(galaxy.path)),)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(signers.roots().to_toml()).encode())


def measured(folder: Path, size: str, program: Sequence[str], rounds: int) -> dict[str, Cost]:
    """Return the least cost of each command on a system of this size."""
    root = ("--root", str(folder / "root"))
    found: dict[str, Cost] = {}
    if not (folder / "root").is_dir():
        folder.mkdir(exist_ok=True)
        subprocess.run([sys.executable, __file__, "--make", str(folder), size], check=True)
        names = [f"star-{number:05}" for number in range(int(size.split("x")[0]))]
        wishes = [f"{name}@=1.0.0" if name == OLD else name for name in names]
        found["install of all"] = cost(program, "install", *wishes, "--yes", *root)
    for name, words in COMMANDS.items():
        runs = []
        for number in range(rounds):
            if number:
                for back in BACK.get(name, ()):
                    cost(program, *back, *root)
            runs.append(cost(program, *words, *root))
        found[name] = Cost(min(run.seconds for run in runs), min(run.mib for run in runs))
    for back in BACK["update of one"]:
        cost(program, *back, *root)
    return found


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description="Measure the commands of a running system.")
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="STARSxFILES")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--program", type=Path, default=Path(sys.executable).with_name("cosmos"))
    options = parser.parse_args()
    program, costs = (str(options.program.resolve()),), list[dict[str, Cost]]()
    cost(program, "--version")
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="cosmos-bench-") as passing:
            costs.append(measured((options.keep or Path(passing)) / size, size, program, options.rounds))
    counts = [int(size.split("x")[0]) for size in options.sizes]
    print("| command |" + "".join(f" {count:,} stars |" for count in counts) + " grows by |")
    print("|---|" + "---:|" * (len(counts) + 1))
    for name in dict.fromkeys((*COMMANDS, *costs[-1])):
        cells = [str(one.get(name, "")) for one in costs]
        grows = ""
        if len(costs) > 1 and name in costs[-1] and name in costs[-2]:
            grows = f"{costs[-1][name].seconds / costs[-2][name].seconds:.1f} of {counts[-1] / counts[-2]:.1f}"
        print(f"| `{name}` | {' | '.join(cells)} | {grows} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), *map(int, sys.argv[3].split("x")))
    else:
        main()
