"""What freezing an image and choosing on a device cost, as whole processes, from 100 to 10,000 stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/freeze_bench.py [SIZE…]

Each size is a signed galaxy of that many stars, with three dependencies each on stars before them, and an image that
wishes for them all. Printed are processor seconds (the child's own and the kernel's for it) and the most memory it had.
The yardstick is a loop of 20 million additions, timed before and after each row: about 1.1 s on an idle machine.

    freeze          `cosmos freeze` with an empty store; then again, with nothing changed; then `--check`
    choose          on a system with an empty cache, opening its galaxy and choosing all stars; then again
    install         `cosmos install --dry-run` of all stars: choosing, fetching, verifying and staging
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tomli_w

from cosmos.device.choose import choose
from cosmos.device.galaxies import open_galaxies
from cosmos.device.initialise import initialise
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.system import TRUST_PATH, read_universe
from cosmos.limits import MIB
from cosmos.model.constellation import Constellation
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex, Listed
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName
from cosmos.model.settings import Settings
from cosmos.resolve.catalogue import Wish
from cosmos.trust.roles import GALAXY_TYPE
from fakes.galaxies import GalaxyFixture, StarSpec, make_signers, write_spec
from fakes.images import ImageFixture, make_image, write_image

EPOCH = 1_767_225_600
COSMOS = str(Path(sys.executable).with_name("cosmos"))
COLUMNS = ("yardstick", "freeze", "again", "--check", "choose", "again", "install --dry-run")


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    seconds: float
    mib: int

    def __str__(self) -> str:
        return f"{self.seconds:6.2f} s {self.mib:4} MiB"


def measured(*words: str) -> Cost:
    """Run a program to its end, and return what it cost."""
    silent = ((os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),)
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(words[0], words, compiled, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(words)[:200]}: exit {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 // MIB)


def yardstick() -> float:
    """Return the processor seconds that a known piece of work takes right now."""
    start, total = time.process_time(), 0
    for number in range(20_000_000):
        total += number
    return time.process_time() - start


def specs(size: int) -> list[StarSpec]:
    """Return stars with three dependencies each."""
    dice = random.Random(size)
    return [
        StarSpec(
            f"star-{at}",
            f"1.{dice.randrange(40)}.{dice.randrange(10)}",
            {f"usr/lib/star-{at}/data": b"data"},
            {f"star-{dice.randrange(at)}": dice.choice(("*", ">=1", "^1.0")) for _ in range(3)} if at else {},
        )
        for at in range(size)
    ]


def publish(galaxy: GalaxyFixture, stars: Sequence[StarSpec]) -> None:
    """Write the stars and the signed index, in the form that `stellar index-galaxy` gives it."""
    rows: list[Listed] = [replace(write_spec(galaxy, spec), arch=Arch("any")) for spec in stars]
    index = GalaxyIndex(
        format=INDEX_FORMAT,
        name=galaxy.name,
        version="2026.01.01",
        seq=2,
        newest={row.name: row.version for row in rows},
        checksums={row.name: row.archive for row in rows},
        snapshot=tuple(sorted(rows, key=lambda row: row.name)),
    )
    data = tomli_w.dumps(index.to_toml()).encode()
    galaxy.index.write_bytes(data)
    galaxy.index.with_name("meta.toml.dsse").write_bytes(galaxy.signers["galaxy"].sign(GALAXY_TYPE, data))


def make_inputs(folder: Path, size: int) -> ImageFixture:
    """Write the galaxy, the image, and beside them a constellation with the same wishes."""
    stars = specs(size)
    image = make_image(folder, signers=make_signers())
    publish(image.galaxy, stars)
    wishes = {star.name: "*" for star in stars}
    write_image(image, wishes)
    rows = {"name": "all", "members": sorted(wishes)}
    (folder / "all.toml").write_bytes(tomli_w.dumps(rows).encode())
    return image


def make_system(root: Path, image: ImageFixture) -> Path:
    """Return an empty system that takes its stars from the image's galaxy."""
    root.mkdir()
    with LiveRoot.open(root) as live:
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(GalaxySource(name=GalaxyName("core"), url=str(image.galaxy.path)),)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(image.signers.roots().to_toml()).encode())
    return root


def choose_all(root: Path, constellation: Path) -> None:
    """Choose every member of the constellation, as `cosmos install` does before it fetches."""
    members = Constellation.parse(constellation.read_bytes(), str(constellation)).members
    wishes = [Wish(who="user", name=name, constraint=limit) for name, limit in members.items()]
    with LiveRoot.open(root) as live:
        opened = open_galaxies(live, read_settings(live), offline=False)
        chosen = choose(wishes, read_universe(live), opened, epoch=EPOCH)
    assert len(chosen.stars) == len(members)


def row(size: int) -> list[str]:
    """Measure one size."""
    with tempfile.TemporaryDirectory(prefix="cosmos-bench-") as name:
        folder = Path(name)
        image = make_inputs(folder, size)
        freeze = (COSMOS, "freeze", str(image.folder), "--home", str(image.home), "--json")
        choosing = (sys.executable, __file__, "--choose", str(make_system(folder / "one", image)), f"{folder}/all.toml")
        other = str(make_system(folder / "other", image))
        install = (COSMOS, "install", "--dry-run", "--json", "--root", other, "--constellation", f"{folder}/all.toml")
        runs = (freeze, freeze, (*freeze, "--check"), choosing, choosing, install)
        before, costs = yardstick(), [str(measured(*words)) for words in runs]
        return [f"{before:.2f} to {yardstick():.2f}", *costs]


def main(sizes: Sequence[int]) -> None:
    """Print the table."""
    print(f"| stars | {' | '.join(COLUMNS)} |\n|{'---:|' * (1 + len(COLUMNS))}")
    measured(COSMOS, "freeze", "--help")  # so that all modules are compiled
    for size in sizes:
        print(f"| {size:6} | {' | '.join(row(size))} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--choose"]:
        choose_all(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main([int(size) for size in sys.argv[1:]] or [100, 1_000, 5_000, 10_000])
