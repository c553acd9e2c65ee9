"""What the commands of a running system cost, as whole processes, on a system of many stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/system_bench.py [STARSxFILES…]

Each size is a signed galaxy in a folder, a system that accepted its trust document, and all its stars installed:
`1000x50` is 1,000 stars with 50 small files each (the first default; the other is `5000x10`). Each star needs the one
before it in its group of ten. Printed are processor seconds (the child's own and the kernel's for it), and the most
memory it had.

`KEEP=FOLDER` in the environment keeps the systems in that folder, and uses those that are there already.
"""

from __future__ import annotations

import os
import sys
import tempfile
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

COSMOS = str(Path(sys.executable).with_name("cosmos"))
SIZES = ("1000x50", "5000x10")
GROUP = 10
COMMANDS: dict[str, tuple[str, ...]] = {
    "--version": ("--version",),
    "status": ("status",),
    "show": ("show", "star-00005"),
    "search": ("search", "editor"),
    "install one more": ("install", "one-more", "--dry-run"),
    "verify": ("verify",),
    "freeze": ("freeze",),
    "install": ("install", "one-more"),
}


def cost(*words: str) -> str:
    """Run a program to its end, and return what it cost."""
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    child = os.posix_spawn(words[0], words, os.environ, file_actions=[silent])
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return f"{usage.ru_utime + usage.ru_stime:6.2f} s {usage.ru_maxrss * 1024 // MIB:4} MiB"


def made(folder: Path, stars: int, files: int) -> Path:
    """Make a system with this many stars, and return its root."""
    signers = make_signers()
    galaxy = GalaxyFixture(folder / "galaxy", GalaxyName("core"), signers)
    for below in ("packages", "stars", "snapshots"):
        (galaxy.path / below).mkdir(parents=True)
    galaxy.index.write_text('format = 2\nname = "core"\nversion = "2026.01.01"\nseq = 0\n')
    names = [f"star-{number:05}" for number in range(stars)]
    for number, name in enumerate(names):
        held = {f"usr/share/{name}/part-{part:03}": f"{name} {part}".encode() for part in range(files)}
        needs = {names[number - 1]: "*"} if number % GROUP else {}
        write_spec(galaxy, StarSpec(name, files=held, dependencies=needs, description=f"an editor of kind {number}"))
    write_spec(galaxy, StarSpec("one-more", files={"usr/bin/one-more": b"x"}, dependencies={names[-1]: "*"}))
    index_by_stellar(galaxy)
    root = folder / "root"
    root.mkdir()
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(GalaxySource(name=GalaxyName("core"), url=str(galaxy.path)),)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(signers.roots().to_toml()).encode())
    print(f"{'':16}  {'install all':>17}  {cost(COSMOS, 'install', *names, '--root', str(root))}", flush=True)
    return root


def main() -> None:
    """Print one row a command."""
    for size in sys.argv[1:] or SIZES:
        stars, files = map(int, size.split("x"))
        print(f"{stars:,} stars with {stars * files:,} files", flush=True)
        with tempfile.TemporaryDirectory(prefix="cosmos-bench-") as passing:
            folder = Path(os.environ["KEEP"]) / size if "KEEP" in os.environ else Path(passing)
            root = folder / "root" if (folder / "root").is_dir() else made(folder, stars, files)
            for name, words in COMMANDS.items():
                where = () if name == "--version" else ("--root", str(root))
                print(f"{'':16}  {name:>17}  {cost(COSMOS, *words, *where)}", flush=True)


if __name__ == "__main__":
    main()
