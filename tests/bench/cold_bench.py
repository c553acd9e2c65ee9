"""What a cold build, a check of a release and an import cost, against the limit and other programs.

    PYTHONPATH=tests .venv/bin/python tests/bench/cold_bench.py [--short] [--rounds N] [--levels 3,9,19] [--data FOLDER]
        [--against SOURCES]… [--only ROWS] [--plot SVG]

The data are real packages of the Debian release that this machine's apt knows: `PACKAGES` with all that they need. The
first run fetches them with `stellar import-deb`, into FOLDER (default: `cosmos-bench` in the user's cache folder);
nothing of it lies in the repository. Each row is a process with its children; printed are the medians of processor
seconds, the smallest and the largest, and the ratio to the row that it is held against. The rows are interleaved: one
round runs each of them once. `--against` names the `builder` folder of another version, which runs the same rows.
`--plot` draws the medians. `--short` takes a few small packages, for a run of some minutes; its ratios are worse,
because the start of a program counts more. Before the first round, Python compiles the program, as pip does.

    limit       one plain program (plain.py): reads each archive, hashes it, unpacks it, hashes that, packs it again;
                for two workers two such programs at once, each with half of the archives
    look limit  the same of a release's image: reads, hashes, unpacks, hashes
    build       `cosmos build --level 3` with an empty store, and the lint of what was built
    verify      `cosmos verify` of that release
    import      `stellar import-deb` of fetched packages, at level 3
    others      mmdebstrap, mkosi, dpkg-deb with tar and zstd, of the same packages: see peers.py

What earlier rows wrote is set aside, and removed at the end: on ext4 without a journal, a new file costs more while
many others were removed in the last minutes. mmdebstrap and mkosi remove their own; the row after them pays for that.

Last comes what the image's frames, one for each star, take beyond one single frame of the same content.

With `--levels`, limit and build are also measured at other levels of zstd, in the first round alone.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import zstandard

import cosmos
from bench import peers
from bench.telling import told

PACKAGES = (
    *("nginx", "cron", "git", "vim", "htop", "rsync", "sudo", "nftables", "python3", "curl", "wget", "tmux", "less"),
    *("nano", "man-db", "gnupg", "openssh-server", "systemd", "gdb", "make", "lvm2", "btrfs-progs", "ghostscript"),
)
SHORT_PACKAGES = ("nano", "less", "cron", "htop", "curl")
OUTSIDE = ("libc-bin", "base-files", "man-db", "poppler-data")
SETUID = (
    *("libpam-modules-bin", "libutempter0", "login", "mount", "passwd", "openssh-client", "sudo", "util-linux"),
    *("cron", "cron-daemon-common"),
)
CHOWN = ("libpam-modules-bin", "libutempter0", "base-files", "passwd", "man-db", "cron", "cron-daemon-common")
ROLES = ("root", "author", "galaxy", "release")
LEVEL = "3"
OURS = ("build", "verify", "import")
TWO = (("2", "limit, two at once", "build with 2 workers"),) if (os.cpu_count() or 1) > 1 else ()
_PLAIN = Path(__file__).with_name("plain.py")
_IMAGE = """
name = "bench"
version = "1.0.0"
description = "real packages"
arch = "x86_64"
template = "./template"
source-date-epoch = 1767225600
[galaxies]
deb = "../galaxy"
[[output]]
format = "tar.zst"
[policy]
"""


def one_frame_bytes(image: Path, level: str = LEVEL) -> int:
    """Return the size of the content of `image` as one single frame, which the program zstd makes."""
    script = f'zstd -qdc "$1" | zstd -q --single-thread -{level} | wc -c'
    return int(subprocess.run(["sh", "-c", script, "sh", str(image)], capture_output=True, check=True).stdout)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the name of the row that it is held against, and its work. A slow one is done once."""

    against: str
    work: Callable[[], float]
    is_slow: bool = False


class Bench:
    """The folder of data, and the rows."""

    def __init__(self, data: Path, packages: tuple[str, ...] = PACKAGES) -> None:
        self.data = data
        self.packages = packages
        self.image = data / "image"
        self.out = data / "out"
        self.packed = self.out / "bench-1.0.0-x86_64.tar.zst"

    def prepare(self) -> None:
        """Make keys, galaxy, image and lock, unless they are there."""
        if (self.image / "universe.lock.toml").is_file():
            return
        self.data.mkdir(parents=True, exist_ok=True)
        for role in ROLES:
            words = ("key", "new", role, "--role", role, "--no-passphrase", "--out", "keys", *self.home())
            _run(self.data, "cosmos", *words)
        pinned = [word for role in ROLES for word in (f"--{role}", f"keys/{role}.pub")]
        _run(self.data, "stellar", "trust", "new", *pinned, "--out", "trust.toml")
        digest = hashlib.sha256((self.data / "trust.toml").read_bytes()).hexdigest()
        _run(self.data, "cosmos", "trust", "init", "trust.toml", "--sha256", digest, *self.home())
        self.make_galaxy("galaxy")
        template = self.image / "template"
        (template / "root").mkdir(parents=True, exist_ok=True)
        (template / "template.toml").write_text("merged-usr = true\n")
        stars = "".join(f'"{name}" = "*"\n' for name in (*self.packages, "debian-essential"))
        (self.image / "image.toml").write_text(f"{_IMAGE}{self.policy()}[stars]\n{stars}")
        _run(self.data, "cosmos", "freeze", "image", *self.home())

    def policy(self) -> str:
        """Return the powers of the stars that the galaxy has."""
        have = {file.stem for file in (self.data / "galaxy/stars").glob("*.toml")}
        powers = {"outside": OUTSIDE, "setuid": SETUID, "chown": CHOWN}
        return "".join(
            f"{power} = {json.dumps([name for name in names if name in have])}\n" for power, names in powers.items()
        )

    def home(self) -> tuple[str, str]:
        """Return the option that names the home."""
        return "--home", str(self.data / "home")

    def make_galaxy(self, name: str) -> None:
        """Fetch the packages and import them into a new galaxy."""
        _run(self.data, "stellar", "galaxy-init", name, "--name", "deb")
        _run(self.data, "stellar", *self.importing(name))
        _run(self.data, "stellar", "index-galaxy", name, "--key", "keys/author.key", "--key", "keys/galaxy.key")

    def importing(self, galaxy: str) -> list[str]:
        """Return the words of the import."""
        said = ["import-deb", *self.packages, "--closure", "--with-essential", "--galaxy", galaxy, "--level", LEVEL]
        return [*said, "--key", "keys/author.key", *self.home()]

    def building(self, *more: str, level: str = LEVEL) -> list[str]:
        """Return the words of a build."""
        words = ["build", "image", "--level", level, "--key", "keys/release.key", "--out", str(self.out)]
        return [*words, *more, *self.home()]

    def debs(self) -> list[str]:
        """Return the fetched packages."""
        return sorted(str(file) for file in (self.data / "home").rglob("*.deb"))

    def rows(self, sources: list[Path], levels: Iterable[str]) -> dict[str, Row]:
        """Return each row's name, the row that it is held against, and its work, which returns CPU seconds."""
        verify = ("cosmos", "verify", str(self.out), "--key", "keys/release.pub")
        rows: dict[str, Row] = {}
        for level in levels:
            for jobs, limit_row, build_row in (("1", "limit", "build with 1 worker"), *TWO):
                at = "" if level == LEVEL else f", level {level}"
                rows[limit_row + at] = Row(limit_row + at, partial(self._limit, int(jobs), level), is_slow=bool(at))
                for name, source in _versions(sources):
                    work = partial(self._build, jobs, source, level)
                    rows[build_row + at + name] = Row(limit_row + at, work, is_slow=bool(at))
        rows["tar | zstd -T0"] = Row("limit", self._tar)
        rows["dpkg-deb -x, tar | zstd -T0"] = Row("limit", self._dpkg_and_tar)
        for packed in ("xz", "zstd") if peers.has_mmdebstrap() else ():
            rows[f"mmdebstrap, {packed}"] = Row("limit", partial(self._mmdebstrap, packed))
        if self.packages == PACKAGES and peers.has_mkosi():  # it installs systemd, of which the few have no part
            rows["mkosi, with scripts"] = Row("limit", self._mkosi, is_slow=True)
        rows["sha256sum"] = Row("sha256sum", self._sha256sum)
        rows["look limit"] = Row("sha256sum", partial(self._plain, "look", [str(self.packed)]))
        for name, source in _versions(sources):
            rows[f"verify{name}"] = Row("look limit", partial(self._cpu, *verify, source=source))
        rows["dpkg-deb -x + sha256"] = Row("dpkg-deb -x + sha256", self._dpkg)
        for name, source in _versions(sources):
            rows[f"import{name}"] = Row("dpkg-deb -x + sha256", partial(self._import, source))
        return rows

    def _sha256sum(self) -> float:
        return self._cpu("sha256sum", *map(str, sorted(self.out.iterdir())))

    def _plain(self, what: str, files: list[str]) -> float:
        return self._cpu(sys.executable, str(_PLAIN), what, *files)

    def _limit(self, programs: int, level: str) -> float:
        archives = sorted(str(file) for file in (self.data / "galaxy/packages").iterdir())
        words = [[sys.executable, str(_PLAIN), level, *archives[first::programs]] for first in range(programs)]
        before = os.times()
        children = [subprocess.Popen(one, env=_environment()) for one in words]
        codes = [child.wait() for child in children]
        if any(codes):
            sys.exit("the limit failed")
        return _children_seconds(before, os.times())

    def _build(self, jobs: str, source: Path | None, level: str) -> float:
        self._set_aside(self.data / "home/store", self.out)
        return self._cpu("cosmos", *self.building("--jobs", jobs, level=level), source=source)

    def _tar(self) -> float:
        root = self.data / "root"
        if not root.is_dir():
            root.mkdir()
            subprocess.run(["tar", "--zstd", "-xf", str(self.packed), "-C", str(root)], check=True)
        return self._cpu("sh", "-c", f"tar --sort=name -C {root} -c . | zstd -q -T0 -{LEVEL} > /dev/null")

    def _mmdebstrap(self, packed: str) -> float:
        return self._peer(peers.mmdebstrap(self.data, self.debs(), packed))

    def _mkosi(self) -> float:
        return self._peer(peers.mkosi(self.data, self.debs(), self._room(), LEVEL))

    def _dpkg_and_tar(self) -> float:
        return self._peer(peers.unpacked_and_packed(self.debs(), self._room(), LEVEL))

    def _dpkg(self) -> float:
        return self._peer(peers.unpacked_and_hashed(self.debs(), self._room()))

    def _peer(self, work: peers.Work) -> float:
        return self._cpu(*work.words, cwd=work.folder)

    def _room(self) -> str:
        return tempfile.mkdtemp(dir=self._aside())

    def _import(self, source: Path | None) -> float:
        self._set_aside(self.data / "again")
        _run(self.data, "stellar", "galaxy-init", "again", "--name", "deb")
        return self._cpu("stellar", *self.importing("again"), "--offline", source=source)

    def _aside(self) -> Path:
        folder = self.data / "aside"
        folder.mkdir(exist_ok=True)
        return folder

    def _set_aside(self, *places: Path) -> None:
        for place in places:
            if place.exists():
                place.rename(Path(tempfile.mkdtemp(dir=self._aside())) / place.name)

    def clear(self) -> None:
        """Remove what was set aside."""
        shutil.rmtree(self.data / "aside", ignore_errors=True)

    def _cpu(self, *words: str, source: Path | None = None, cwd: str | None = None) -> float:
        """Return the processor seconds of a program and its children."""
        environment = _environment() | ({} if source is None else {"PYTHONPATH": str(source)})
        command = [_program(words[0]), *words[1:]]
        before = os.times()
        done = subprocess.run(command, cwd=cwd or self.data, env=environment, capture_output=True, check=False)
        after = os.times()
        if done.returncode:
            sys.exit(f"{' '.join(words[:4])}: ended with {done.returncode}\n{done.stderr.decode()[-2000:]}")
        return _children_seconds(before, after)


def _children_seconds(before: os.times_result, after: os.times_result) -> float:
    return after.children_user + after.children_system - before.children_user - before.children_system


def _versions(sources: list[Path]) -> list[tuple[str, Path | None]]:
    return [("", None), *((f" ({source.parent.name})", source) for source in sources)]


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name)) if name in ("cosmos", "stellar") else name


def _environment() -> dict[str, str]:
    """Return the environment of all programs: a Python that compiled its modules once need not do so again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _run(folder: Path, program: str, *words: str) -> None:
    command = [_program(program), *words]
    done = subprocess.run(command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"{program} {' '.join(words[:3])}: ended with {done.returncode}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--short", action="store_true", help="few and small packages, one round")
    parser.add_argument("--against", type=Path, action="append", default=[])
    parser.add_argument("--only", default="", help="the rows whose names begin so; several are separated by commas")
    parser.add_argument("--levels", default=LEVEL, help="of zstd, for limit and build")
    parser.add_argument("--plot", type=Path, help="draw the figures into this SVG file")
    asked = parser.parse_args()
    data = asked.data or cache / ("cosmos-bench-short" if asked.short else "cosmos-bench")
    bench = Bench(data.absolute(), SHORT_PACKAGES if asked.short else PACKAGES)
    rounds = asked.rounds or (1 if asked.short else 3)
    sources = [source.absolute() for source in asked.against]
    for source in (Path(cosmos.__file__).parent, Path(zstandard.__file__).parents[1], *sources):
        compileall.compile_dir(source, quiet=2, workers=2)
    bench.prepare()
    if not bench.packed.is_file():
        _run(bench.data, "cosmos", *bench.building())
    wanted = tuple(asked.only.split(","))
    rows = {name: row for name, row in bench.rows(sources, asked.levels.split(",")).items() if name.startswith(wanted)}
    figures: dict[str, list[float]] = {name: [] for name in rows}
    start = time.monotonic()
    try:
        for number in range(rounds):
            for name, row in rows.items():
                if number == 0 or not row.is_slow:
                    figures[name].append(told(name, row.work()))
    finally:
        bench.clear()
    what = f"{len(bench.debs())} packages, level {LEVEL}, {rounds} {'round' if rounds == 1 else 'rounds'}"
    print(f"{what}, {time.monotonic() - start:.0f} s in all")
    print(f"{'CPU seconds':32} median  (least to most)    ratio")
    for name, row in rows.items():
        own = figures[name]
        held = f"{median(own) / median(figures[row.against]):5.2f} x {row.against}" if row.against in figures else ""
        print(f"{name:32} {median(own):6.2f}  ({min(own):.2f} to {max(own):.2f})  {held}")
    one, whole = one_frame_bytes(bench.packed), bench.packed.stat().st_size
    print(f"the image has {whole:,} bytes, {(whole / one - 1) * 100:.2f} % more than one single frame")
    if asked.plot is not None:
        from bench.plots import Bar, draw  # matplotlib is there for `make bench` alone

        bars = [
            Bar(name=name, against=row.against, values=figures[name], is_ours=name.startswith(OURS))
            for name, row in rows.items()
        ]
        draw(asked.plot, f"Processor seconds: {what}", bars)


if __name__ == "__main__":
    main()
