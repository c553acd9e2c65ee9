"""What a catalogue costs its maintainer and a device, as whole processes, from 100 to 5,000 stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/search_bench.py [SIZE…]

Each size is a signed galaxy of that many stars with one small file each. Printed are processor seconds (the child's own
and the kernel's for it), the most memory it had, and the size of the catalogue.

    index       what `stellar index-galaxy` does, for the whole galaxy, then again after one star more
    search      `cosmos search` in the galaxy's folder; `cosmos search --offline` after a sync over HTTP
    sync        `cosmos sync --index`: the index and the catalogue
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import tomli_w

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH
from cosmos.limits import MIB
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName
from cosmos.model.settings import Settings
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_signers, write_spec
from fakes.http_servers import serving

WORDS = (
    "small",
    "fast",
    "portable",
    "library",
    "tool",
    "editor",
    "server",
    "files",
    "images",
    "sound",
    "text",
    "network",
)
COSMOS = str(Path(sys.executable).with_name("cosmos"))
COLUMNS = ("index", "index again", "sync", "search", "search --offline", "catalogue")


def cost(*words: str) -> str:
    """Run a program to its end, and return what it cost."""
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    child = os.posix_spawn(words[0], words, os.environ, file_actions=[silent])
    return told(child)


def forked(work: Callable[[], object]) -> str:
    """Do the work in a child of this process, and return what it cost."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return told(child)


def told(child: int) -> str:
    """Wait for a child, and return what it cost."""
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return f"{usage.ru_utime + usage.ru_stime:6.2f} s {usage.ru_maxrss * 1024 // MIB:4} MiB"


def row(folder: Path, size: int) -> list[str]:
    """Return the costs of one size."""
    chance, signers = random.Random(size), make_signers()
    galaxy = GalaxyFixture(folder / "galaxy", GalaxyName("core"), signers)
    for below in ("packages", "stars", "snapshots"):
        (galaxy.path / below).mkdir(parents=True)
    galaxy.index.write_text('format = 2\nname = "core"\nversion = "2026.01.01"\nseq = 0\n')
    for number in range(size):
        text = " ".join(chance.choices(WORDS, k=8))
        write_spec(galaxy, StarSpec(f"star-{number:05}", files={"usr/x": text.encode()}, description=text))
    costs = [forked(lambda: index_by_stellar(galaxy))]
    write_spec(galaxy, StarSpec("one-more", files={"usr/y": b"y"}, description="the last one"), 2)
    costs.append(forked(lambda: index_by_stellar(galaxy)))
    with serving(galaxy.path) as address:
        root = system(folder, address, "far")
        costs.append(cost(COSMOS, "sync", "--index", "--root", root))
    near = system(folder, str(galaxy.path), "near")
    costs.append(cost(COSMOS, "search", "editor", "sound", "--root", near))
    costs.append(cost(COSMOS, "search", "editor", "sound", "--offline", "--root", root))
    newest = max((galaxy.path / "catalogues").iterdir(), key=lambda file: file.stat().st_size)
    return [*costs, f"{newest.stat().st_size:9,} bytes"]


def system(folder: Path, url: str, name: str) -> str:
    """Return the root of a system that takes its stars from `url`."""
    root = folder / name
    root.mkdir()
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        source = GalaxySource(name=GalaxyName("core"), url=url)
        write_settings(live, Settings(galaxies=(source,)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(make_signers().roots().to_toml()).encode())
    return str(root)


def main() -> None:
    """Print one row a size."""
    print(f"{'stars':>6}  " + "  ".join(f"{name:>17}" for name in COLUMNS))
    for size in map(int, sys.argv[1:] or ("100", "1000", "5000")):
        with tempfile.TemporaryDirectory(prefix="cosmos-bench-") as folder:
            print(f"{size:6}  " + "  ".join(f"{text:>17}" for text in row(Path(folder), size)), flush=True)


if __name__ == "__main__":
    main()
