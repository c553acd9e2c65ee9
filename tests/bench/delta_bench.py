"""What updates cost, on real Debian packages.

    PYTHONPATH=tests .venv/bin/python tests/bench/delta_bench.py [--data FOLDER] [--plot SVG] [CHANGED…]

Not a test. FOLDER (default: `cosmos-bench-updates` in the user's cache folder) keeps the packages: two versions of each
of CHANGED_STARS, as far as the suites of apt's sources have two (main, updates, security), and one of each of
SAME_STARS. Images are built through a galaxy, as an operator builds them; then for 2, 6 and 20 changed stars (or the
numbers that are named) it prints the bytes that travel, and `--plot` draws them:

    frames        the frames that the old image lacks: what `cosmos fetch` downloads of the image
    patches       the reference: `zstd -19 --patch-from` of each changed star's content, by the program zstd
    delta         the whole file of `cosmos delta`: patches, head, signature and documents
    whole patch   `zstd -9 --long=31 --patch-from` of the two images, unpacked (level 19 takes many minutes)
    casync        the chunks that the old image lacks, and the index (if casync is installed)

It needs apt-get, dpkg-deb and zstd.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.plots import Bar, draw
from bench.telling import silently
from cosmos.pack.image_file import ImageReader
from cosmos.pack.untar import read_tar
from cosmos.release.delta.making import Side
from cosmos.release.delta.pairs import paired
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec
from fakes.programs import REPO
from fakes.updates import Update, make_update

CHANGED_STARS = (
    *("libssl3", "tzdata", "openssl", "libxml2", "perl-base", "openssh-client", "libsystemd0", "udev", "systemd"),
    *("python3.11-minimal", "libpython3.11-stdlib", "sudo", "libarchive13", "bind9-libs", "libcurl4", "curl"),
    *("unbound", "rsync", "nginx", "libxslt1.1"),
)
SAME_STARS = (
    *("bash", "coreutils", "grep", "sed", "gawk", "findutils", "tar", "gzip", "bzip2", "xz-utils", "util-linux"),
    *("procps", "psmisc", "iproute2", "iputils-ping", "less", "nano", "file", "libmagic-mgc", "libmagic1"),
    *("ncurses-base", "libncursesw6", "libtinfo6", "libreadline8", "zlib1g", "liblzma5", "libzstd1", "libbz2-1.0"),
    *("libgcc-s1", "libstdc++6", "libacl1", "libattr1", "libselinux1", "libpcre2-8-0", "libcrypt1", "e2fsprogs"),
    *(
        "dosfstools",
        "kmod",
        "libkmod2",
        "strace",
        "tcpdump",
        "tree",
        "jq",
        "libjq1",
        "libonig5",
        "mawk",
        "make",
        "patch",
    ),
    *("diffutils", "binutils-common", "libsqlite3-0", "libffi8", "libdb5.3", "gdbm-l10n", "hdparm", "iptables", "lsof"),
)
LINKS = {b"bin": b"usr/bin", b"sbin": b"usr/sbin", b"lib": b"usr/lib", b"lib64": b"usr/lib64"}


def versions(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the versions that apt knows of each package, the oldest first."""
    said = subprocess.run(["apt-cache", "madison", *names], capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    for line in reversed(said.splitlines()):
        name, version, where = (part.strip() for part in line.split("|"))
        if where.endswith("Packages") and version not in found.setdefault(name, []):
            found[name].append(version)
    return found


def packages(folder: Path, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Path]:
    """Return the packages of these names and versions, each downloaded once."""

    def held(name: str, version: str) -> list[Path]:
        return [*folder.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")]

    pairs = [*wanted]
    lacking = [f"{name}={version}" for name, version in pairs if not held(name, version)]
    if lacking:
        silently("apt-get", "-qq", "download", *lacking, cwd=folder)
    return {pair: held(*pair)[0] for pair in pairs}


def star(deb: Path, name: str, version: str) -> StarSpec:
    """Return a package as a star: its files, all of root's, with merged /usr."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True).stdout
    files: dict[str, Entry] = {}
    for entry in read_tar(tar, deb.name, devices="keep", rules="dpkg"):
        first, _, rest = bytes(entry.path).partition(b"/")
        path = TreePath(LINKS[first] + b"/" + rest) if first in LINKS and rest else entry.path
        if entry.kind in ("file", "symlink") and path.startswith((b"usr/", b"etc/")):
            target = entry.target
            files[path.text] = Entry(
                path=path,
                kind=entry.kind,
                mode=entry.mode & 0o777,
                mtime=entry.mtime,
                content=entry.content,
                target=target,
            )
    version = version.partition(":")[2] or version  # the fake galaxy has no file names for an epoch
    return StarSpec(re.sub(r"[^a-z0-9-]", "-", name), version, files, scheme="debian")


def run(*words: object) -> None:
    """Run `cosmos`."""
    program = f"import sys; sys.path.insert(0, {str(REPO / 'builder')!r}); sys.argv[0] = 'cosmos'; "
    program += "from cosmos.cli.cosmos.main import main; main()"
    silently(sys.executable, "-c", program, *words)


def compressed_patch(old: Path, new: Path, *more: str) -> int:
    """Return the size of the patch by the program zstd."""
    patch = new.with_suffix(".patch")
    silently("zstd", "-q", "-f", *more, f"--patch-from={old}", new, "-o", patch)
    return patch.stat().st_size


def patches(update: Update, work: Path) -> int:
    """Return the size of the patches of all changed layers of stars, by the program zstd."""
    old, new = Side(update.old), Side(update.new)
    total = 0
    for pair, named in zip(paired(old.layers, layers := new.layers), layers, strict=True):
        if pair.reference is None or named.layer in ("directories", "template"):
            continue
        for file, content in (("old", old.image.content(pair.reference)), ("new", new.image.content(pair.place))):
            (work / file).write_bytes(content)
        packed_bytes = new.image.reader.layers[pair.place].seek.packed_bytes
        total += min(compressed_patch(work / "old", work / "new", "-19", "--long=27"), packed_bytes)
    return total


def casync(old: Path, new: Path, work: Path) -> int | None:
    """Return the bytes of the chunks that the old image lacks, and of the index; None without casync."""
    if shutil.which("casync") is None:
        return None
    for side, file in (("old", old), ("new", new)):
        store = work / f"{side}.castr"
        silently("casync", "make", f"--store={store}", work / f"{side}.caibx", file)
    known = {chunk.name for chunk in (work / "old.castr").rglob("*.cacnk")}
    lacking = [chunk for chunk in (work / "new.castr").rglob("*.cacnk") if chunk.name not in known]
    return sum(chunk.stat().st_size for chunk in lacking) + (work / "new.caibx").stat().st_size


def measure(chosen: list[str], stars: dict[str, tuple[StarSpec, StarSpec]], work: Path) -> dict[str, int]:
    """Return the bytes of each way for these changed stars, and print what making and applying a delta takes."""
    old = [pair[0] for pair in stars.values()]
    new = [pair[1] if name in chosen else pair[0] for name, pair in stars.items()]
    update = make_update(work / "update", run, old, new, tables='[[output]]\nformat = "tar.zst"\nlevel = 9\n')
    started = time.monotonic()
    run("delta", update.old, update.new, "-o", work / "d", "--key", update.secret_key)
    made = time.monotonic() - started
    started = time.monotonic()
    run("apply", work / "d", "--from", update.old, "-o", work / "made", "--key", update.public_key)
    print(f"{len(chosen)} changed: made in {made:.1f} s, applied in {time.monotonic() - started:.1f} s", flush=True)
    image = next(update.new.glob("*.tar.zst"))
    known = {layer.digest for layer in ImageReader.open(next(update.old.glob("*.tar.zst"))).layers}
    tars = [work / "old.tar", work / "new.tar"]
    for side, tar in zip((update.old, update.new), tars, strict=True):
        silently("zstd", "-q", "-f", "-d", next(side.glob("*.tar.zst")), "-o", tar)
    ways = {
        "the whole image": image.stat().st_size,
        "cosmos fetch: frames": sum(
            layer.seek.packed_bytes for layer in ImageReader.open(image).layers if layer.digest not in known
        ),
        "cosmos delta": (work / "d").stat().st_size,
        "zstd -19 patches": patches(update, work),
        "zstd -9 whole patch": compressed_patch(*tars, "-9", "--long=31"),
    }
    chunks = casync(*tars, work)
    return ways if chunks is None else ways | {"casync": chunks}


def pairs(folder: Path) -> dict[str, tuple[StarSpec, StarSpec]]:
    """Return each star in an old and a new version, which are the same for SAME_STARS. Downloads the packages."""
    known = versions((*CHANGED_STARS, *SAME_STARS))
    wanted = {name: known[name][-2 if name in CHANGED_STARS else -1 :] for name in known}
    debs = packages(folder, [(name, version) for name, chosen in wanted.items() for version in chosen])
    stars: dict[str, tuple[StarSpec, StarSpec]] = {}
    taken: set[str] = set()
    for name in (*CHANGED_STARS, *SAME_STARS):
        if name not in wanted:
            print(f"{name}: apt does not know it")
            continue
        if name in CHANGED_STARS and len(wanted[name]) < 2:
            print(f"{name}: apt knows one version only")
        found = [star(debs[name, version], name, version) for version in wanted[name]]
        clean = [replace(one, files={at: entry for at, entry in one.files.items() if at not in taken}) for one in found]
        taken |= {path for one in clean for path in one.files}
        stars[name] = (clean[0], clean[-1])
    return stars


def main() -> None:
    """Print the table."""
    words = argparse.ArgumentParser()
    words.add_argument("changed", nargs="*", type=int, default=(2, 6, 20))
    words.add_argument("--data", type=Path)
    words.add_argument("--plot", type=Path)
    asked = words.parse_args()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder: Path = (asked.data or cache / "cosmos-bench-updates").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    stars = pairs(folder)
    changeable = [name for name in CHANGED_STARS if name in stars and stars[name][0] != stars[name][1]]
    bars: list[Bar] = []
    for number in asked.changed:
        chosen = changeable[:number]
        with tempfile.TemporaryDirectory(dir=folder) as work:
            ways = measure(chosen, stars, Path(work))
        held = f"{len(chosen)} of {len(stars)} stars changed"
        print(held)
        for name, travels in ways.items():
            share = f"{travels / ways['the whole image']:.1%} of the image"
            print(f"  {name:24} {travels:>12,} bytes  {share:>20}")
        bars += [
            Bar(name=name, against=held, values=[travels / 1e6], is_ours=name.startswith("cosmos"))
            for name, travels in ways.items()
            if name != "the whole image"
        ]
    if asked.plot is not None:
        draw(asked.plot, f"Megabytes that travel: {len(stars)} packages of Debian, level 9", bars, "MB")


if __name__ == "__main__":
    main()
