"""What it costs to build again, as whole processes: nothing changed, some stars changed, and five thousand small stars.

    PYTHONPATH=tests .venv/bin/python tests/bench/warm_bench.py [--imported] [--stars 214] [--small 0] [--rounds 3]
        [--changed 1,5,20] [--old FOLDER] [--plot SVG]

With `--imported`, the stars are packages of Debian that `stellar import-deb` makes, as in cold_bench. Else they are the
files of packages that are installed on this Debian machine: the first ones by name that are not
larger than 12 MiB, with the dependencies that they have among each other. `--small N` adds an image of N stars with one
small file each. `--old FOLDER` measures the sources in another checkout as well (`git worktree add FOLDER COMMIT`): the
two take turns in every round, each with a galaxy, a home and a release of its own. The own work of changed stars is to
read, hash and unpack their archives, and to hash and pack the contents, in one plain program.

Printed are medians of processor seconds (the child's own and the kernel's for it) and their spread. `KEEP=FOLDER` in
the environment keeps the galaxies in that folder, and uses those that are there already.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import cold_bench, plain
from bench.plots import Bar, draw
from bench.telling import told
from cosmos.limits import MIB
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec, index_by_stellar, make_signers, write_spec
from fakes.images import ImageFixture, make_image, write_image

MAX_PACKAGE_BYTES: Final = 12 * MIB
LEVEL: Final = 3
NAME: Final = re.compile(r"[a-z0-9-]+")  # the others would need quotes in image.toml
NEW: Final = Path(__file__).parents[2]
START: Final = "import sys; from cosmos.cli.{0}.main import main; sys.argv[0] = '{0}'; main()"


def cost(words: list[str], sources: Path) -> float:
    """Run a program of the checkout `sources` to its end, and return its processor seconds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(sources / "builder")
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    started = [sys.executable, "-c", START.format(words[0]), *words[1:]]
    child = os.posix_spawn(sys.executable, started, environment, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(words)}: exit {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def packages(count: int) -> Iterator[StarSpec]:
    """Yield `count` installed packages as stars."""
    words = ("dpkg-query", "-W", "-f", "${Package}\t${Installed-Size}\t${Depends}\n")
    rows = [line.split("\t") for line in subprocess.check_output(words, text=True).splitlines()]
    known: set[str] = set()
    owned: set[str] = set()
    for name, kib, depends in rows:
        if len(known) == count or int(kib) << 10 > MAX_PACKAGE_BYTES or name in known or not NAME.fullmatch(name):
            continue
        files = dict(_files(name, owned))
        if not files:
            continue
        owned |= set(files)
        needs = {word.split()[0].split(":")[0] for word in re.split(r"[,|] ?", depends) if word}
        yield StarSpec(name, "1.0.0", files, dict.fromkeys(sorted(needs & known), "*"))
        known.add(name)


def _files(name: str, owned: set[str]) -> Iterator[tuple[str, Entry]]:
    listed = subprocess.check_output(("dpkg-query", "-L", name), text=True).splitlines()
    for path in map(Path, listed):
        short = re.sub(r"^(bin|sbin|lib|lib64)/", r"usr/\1/", str(path).lstrip("/"))
        if short in owned or not short.isascii() or not short.startswith(("usr/", "etc/")):
            continue
        try:
            if path.is_symlink():
                target = os.fsencode(path.readlink())
                yield short, Entry(path=TreePath.parse(short), kind="symlink", mode=0o777, target=target)
            elif path.is_file():
                mode = path.stat().st_mode & 0o777
                yield short, Entry(path=TreePath.parse(short), kind="file", mode=mode, content=path.read_bytes())
        except OSError:
            continue


def small(count: int) -> Iterator[StarSpec]:
    """Yield `count` stars with one small file each, each ten in a chain."""
    for at in range(count):
        needs = {f"star-{at - 1:05}": "*"} if at % 10 else {}
        yield StarSpec(f"star-{at:05}", "1.0.0", {f"usr/lib/star-{at:05}/data": b"%d" % at * 100}, needs)


def made(where: Path, stars: Iterator[StarSpec]) -> ImageFixture:
    """Return an image of all `stars`, with its galaxy indexed as `stellar` does it."""
    keys = make_signers()
    image = make_image(where, (StarSpec("zz-first"),), signers=keys)
    names = [write_spec(image.galaxy, spec).name for spec in stars]
    index_by_stellar(image.galaxy)
    write_image(image, dict.fromkeys(names, "*"), tables=f'[[output]]\nformat = "tar.zst"\nlevel = {LEVEL}\n')
    for role in ("author", "galaxy"):
        keys[role].save(where / f"{role}.key", None)
    return image


def opened(where: Path, stars: Iterator[StarSpec]) -> Path:
    """Return the folder of an image of `stars`: a new one, or the one that was kept."""
    if not (where / "done").exists():
        shutil.rmtree(where, ignore_errors=True)
        made(where, stars)
        (where / "done").touch()
    return where


class Bench:
    """One checkout with a galaxy, a home and a release of its own."""

    def __init__(self, name: str, sources: Path, of: Path, where: Path) -> None:
        self.name, self._sources, self._version = name, sources, 0
        self.folder = where / f"{of.name}-{name}"
        for part in ("galaxy", "home", "image", "keys"):
            if (of / part).is_dir():
                ignored = shutil.ignore_patterns("store", "out")
                shutil.copytree(of / part, self.folder / part, symlinks=True, ignore=ignored)
        for key in (*of.glob("*.key"), *of.glob("*.pub")):
            shutil.copy2(key, self.folder)

    def set_aside(self, *places: str) -> None:
        """Move these folders out of the way, if they are there. They are removed with all the rest."""
        for place in places:
            if (self.folder / place).exists():
                aside = Path(tempfile.mkdtemp(prefix="aside-", dir=self.folder))
                (self.folder / place).rename(aside / "was")

    @property
    def _image(self) -> list[str]:
        return [str(self.folder / "image"), "--home", str(self.folder / "home")]

    def run(self, *words: str) -> float:
        """Return the cost of a command of `cosmos` on the image."""
        return cost(["cosmos", words[0], *self._image, *words[1:]], self._sources)

    def look(self, *words: str) -> float:
        """Return the cost of a command of `cosmos` on the release."""
        return cost(["cosmos", words[0], str(self.folder / "image" / "out"), *words[1:]], self._sources)

    def index(self, *words: str) -> float:
        """Return the cost of `stellar index-galaxy`."""
        files = [next(self.folder.rglob(f"{role}.key")) for role in ("author", "galaxy")]
        keys = [word for file in files for word in ("--key", str(file))]
        return cost(["stellar", "index-galaxy", str(self.folder / "galaxy"), *keys, *words], self._sources)

    def index_by_stat(self) -> float:
        """Return the cost of `stellar index-galaxy --trust-stat`."""
        return self.index("--trust-stat", "--home", str(self.folder / "home"))

    def change(self, stars: list[str]) -> None:
        """Write another version of `stars`: the archives with one file more, and no statements yet."""
        self._version += 1
        for star in stars:
            copy_one(self.folder / "galaxy", star, self._version)

    def own_work(self, stars: list[str]) -> float:
        """Return the processor seconds that the newest archives of `stars` cost in a plain program."""
        found = self.folder / "galaxy" / "packages"
        archives = [max(found.glob(f"{star}-[0-9]*.tar.zst"), key=lambda file: file.stat().st_mtime) for star in stars]
        begun = time.process_time()
        plain.limit(map(str, archives), str(LEVEL))
        return time.process_time() - begun


def copy_one(galaxy: Path, star: str, number: int) -> None:
    """Write the archive of a new version of `star`, which has one file more than the first."""
    script = (
        "import sys; from pathlib import Path; from cosmos.stellar.archive_file import open_archive;"
        "from cosmos.model.star import Star; from dataclasses import replace; from cosmos.model.version import Version;"
        "from cosmos.pack.star_archive import write_star; from cosmos.tree.entry import Entry;"
        "from cosmos.treepath import TreePath; g, n, v = Path(sys.argv[1]), sys.argv[2], sys.argv[3];"
        "files = g.glob(f'packages/{n}-[0-9]*.tar.zst'); first = min(files, key=lambda file: file.stat().st_mtime);"
        "c = open_archive(first).contents(''); s = Star.parse(c.manifest, 'star.toml'); kind = s.version.scheme;"
        "v = Version.parse(f'{s.version}+c{v}' if kind == 'debian' else f'1.0.{v}', kind); s = replace(s, version=v);"
        "e = Entry(path=TreePath.parse(f'usr/share/changed-{n}'), kind='file', mode=0o644, content=str(v).encode());"
        "p = write_star(s, None, [*c.files.values(), e], level=3);"
        "(g / 'packages' / first.with_name(s.archive_name)).write_bytes(bytes(p.data))"
    )
    subprocess.run((sys.executable, "-c", script, str(galaxy), star, str(number)), check=True)


def imported() -> Path:
    """Return a folder with a galaxy of imported packages, an image, a home and keys, as cold_bench keeps it."""
    data = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cosmos-bench"
    cold_bench.Bench(data).prepare()
    return data


def changeable(galaxy: Path, count: int) -> list[str]:
    """Return names of stars that no other star needs in one version, or below one: spread over the alphabet."""
    needs: dict[str, list[str]] = {}
    for file in (galaxy / "stars").glob("*.toml"):
        star = tomllib.loads(file.read_text())
        for name, limit in star.get("dependencies", {}).items():
            needs.setdefault(name, []).append(limit)
        needs.setdefault(star["name"], [])
    free = sorted(name for name, limits in needs.items() if all(limit.startswith((">=", "*")) for limit in limits))
    has_archive = [name for name in free if any(galaxy.glob(f"packages/{name}-[0-9]*.tar.zst"))]
    return has_archive[len(has_archive) // count // 2 :: max(1, len(has_archive) // count)][:count]


def measure(
    benches: list[Bench], rounds: int, changed: list[list[str]], out: dict[str, dict[str, list[float]]]
) -> None:
    """Fill `out` with the seconds of every row, by the name of the checkout."""

    def note(row: str, bench: Bench, seconds: float) -> None:
        out.setdefault(row, {}).setdefault(bench.name, []).append(told(f"{row} ({bench.name})", seconds))

    for bench in benches:
        note("freeze, first", bench, bench.run("freeze"))
        note("build, cold", bench, bench.run("build"))
        bench.run("build"), bench.run("freeze")
        bench.index()
        if bench.name == "new":
            bench.index_by_stat()
    for _ in range(rounds):
        for bench in benches:
            note("build, nothing changed", bench, bench.run("build"))
            note("freeze, nothing changed", bench, bench.run("freeze"))
            if bench.name == "new":
                note("build --trust-stat, nothing changed", bench, bench.run("build", "--trust-stat"))
                note("freeze --trust-stat, nothing changed", bench, bench.run("freeze", "--trust-stat"))
                note("index-galaxy --trust-stat, nothing changed", bench, bench.index_by_stat())
            note("freeze --check", bench, bench.run("freeze", "--check"))
            note("index-galaxy, nothing changed", bench, bench.index())
            note("ls", bench, bench.look("ls"))
    for _ in range(rounds):
        for names in changed:
            row = f"{len(names)} changed:"
            for bench in benches:
                bench.change(names)
                note(f"{row} own work", bench, bench.own_work(names))
                indexed, frozen, built = bench.index(), bench.run("freeze", "--upgrade"), bench.run("build")
                note(f"{row} index-galaxy", bench, indexed)
                note(f"{row} freeze", bench, frozen)
                note(f"{row} build", bench, built)
                note(f"{row} all three", bench, indexed + frozen + built)
                if bench.name == "new":
                    bench.run("build")  # hashes everything, and notes the stats of what has changed
                    time.sleep(3)
                    bench.run("build"), bench.index_by_stat()
                    bench.change(names)
                    indexed, frozen = bench.index_by_stat(), bench.run("freeze", "--upgrade")
                    built = bench.run("build", "--trust-stat")
                    note(f"{row} index-galaxy --trust-stat", bench, indexed)
                    note(f"{row} build --trust-stat", bench, built)
                    note(f"{row} all three, --trust-stat", bench, indexed + frozen + built)


def main() -> None:
    """Measure, and print a table."""
    words = argparse.ArgumentParser()
    words.add_argument("--imported", action="store_true")
    words.add_argument("--changed", default="1,5,20")
    words.add_argument("--stars", type=int, default=214)
    words.add_argument("--small", type=int, default=0)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--old", type=Path)
    words.add_argument("--plot", type=Path)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="cosmos-warm-") as temporary:
        where = Path(temporary)
        kept = Path(os.environ.get("KEEP", where))
        bars: list[Bar] = []
        images: dict[str, Path] = {"packages of Debian": imported()} if asked.imported else {}
        real = 0 if asked.imported else asked.stars
        for title, count, stars in (("real", real, packages), ("small", asked.small, small)):
            if count:
                images[f"{count} stars, {title}"] = opened(kept / f"{title}-{count}", stars(count))
        for title, image in images.items():
            checkouts = {**({"old": asked.old} if asked.old else {}), "new": NEW}
            benches = [Bench(name, sources, image, where) for name, sources in checkouts.items()]
            rows: dict[str, dict[str, list[float]]] = {}
            changed = [changeable(image / "galaxy", int(count)) for count in asked.changed.split(",")]
            measure(benches, asked.rounds, changed, rows)
            show(title, rows)
            bars += [
                Bar(name=row if len(of) == 1 else f"{row} ({which})", against=title, values=seconds)
                for row, of in rows.items()
                for which, seconds in of.items()
            ]
        if asked.plot is not None:
            draw(asked.plot, "Processor seconds of building again", bars)


def show(title: str, rows: dict[str, dict[str, list[float]]]) -> None:
    """Print one table: for each checkout the median, the least and the most."""
    print(title)
    for row, of in rows.items():
        cells = (
            f"{name} {statistics.median(seconds):6.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
            for name, seconds in of.items()
        )
        print(f"  {row:38} {'   '.join(cells)}")


if __name__ == "__main__":
    main()
