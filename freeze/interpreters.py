"""The Python that the binary is made with: the Python of the stars' own suite, or the running one.

The binary runs on the C library of the star glibc-runtime. A Python of a newer Debian needs a newer one, and would not
start there. A newer host must not change an image either. So Python, the libraries that it loads and the binutils
that strip them are packages of the suite that stars/glibc-runtime names. They are fetched like a star's packages, and
unpacked into build/binary/python. Without apt-get, or with --this-python, the running Python and the system's libraries
are used.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from needs import libpython
from places import SYSTEM_PATH, BuildError, Places, plain_environment, run, say, sha256

VERSION = "3.11"  # the suite's own
PACKAGES = (
    f"python{VERSION}-minimal",
    f"libpython{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    f"libpython{VERSION}",  # the shared library that a frozen program starts with
    "python3-pip-whl",
    # what those and their modules load, but for the C library
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libssl3",
    "zlib1g",
    # strip, objcopy and objdump
    "binutils",
    "binutils-common",
    f"binutils-{platform.machine().replace('_', '-')}-linux-gnu",
    "libbinutils",
    "libctf-nobfd0",
    "libctf0",
    "libjansson4",
    "libzstd1",
)

# What compiles the launcher of the binary (freeze/launcher), and the C library that the binary brings along. The second
# list is unpacked apart, because no program of the host may load that C library.
COMPILER = ("gcc-12", "cpp-12", "libgcc-12-dev", "libgmp10", "libisl23", "libmpc3", "libmpfr6")
TARGET = ("libc6", "libc6-dev", "libgcc-s1", f"libpython{VERSION}-dev", "libzstd-dev", "linux-libc-dev")

# What only the link of the binary needs, half a minute later. To unpack these takes twice as long as all others.
FOR_THE_LINK = (*COMPILER, "libc6-dev", f"libpython{VERSION}-dev", "libzstd-dev", "linux-libc-dev")


def packages() -> tuple[str, ...]:
    """Return the packages to fetch on this machine: the launcher is for x86-64 only."""
    return (*PACKAGES, *COMPILER, *TARGET) if platform.machine() == "x86_64" else PACKAGES


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that can be frozen. `identity` names it, `libraries` are the folders of the libraries that it loads.

    `pip` is the pip to install with, a folder; None if virtual environments bring their own. `path` is
    the PATH to run it with. `is_host_s` says whether libraries of the system may go into the binary. `target` holds
    the C library that the launcher brings along, and its headers; None if the binary has no launcher of ours. `packed`
    are the packages that the link alone needs, each with the folder to unpack it to.
    """

    program: Path
    identity: Mapping[str, str]
    libraries: tuple[Path, ...]
    path: str
    pip: Path | None
    is_host_s: bool
    target: Path | None = None
    packed: tuple[tuple[Path, Path], ...] = ()

    def environment(self, places: Places) -> dict[str, str]:
        """Return the environment variables to run it, or a virtual environment of it, with."""
        libraries = ":".join(map(str, self.libraries))
        return plain_environment(places) | {"PATH": self.path, "LD_LIBRARY_PATH": libraries}


def running() -> Interpreter:
    """Return the running Python; raises `BuildError` that names the missing parts."""
    return Interpreter(
        program=Path(sys.executable),
        identity={"python": sys.version, "base": sys.base_prefix},
        libraries=(libpython().parent,),
        path=SYSTEM_PATH,
        pip=None,
        is_host_s=True,
    )


def of_suite(places: Places, debs: Path | None) -> Interpreter:
    """Return the suite's Python, fetched (or taken from the folder `debs`) and unpacked; raises `BuildError`.

    The packages that the link alone needs are still packed: `unpack` them.
    """
    folder = debs or _fetched(places)
    root, target = places.work / "python", places.work / "target"
    archives = sorted(folder.glob("*.deb"))
    identity = {archive.name: sha256(archive) for archive in archives}
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    packed = {archive: target if named(archive) in TARGET else root for archive in archives}
    later = {archive: where for archive, where in packed.items() if named(archive) in FOR_THE_LINK}
    unpack(places, packed.items() - later.items(), "unpack.log")
    program = root / f"usr/bin/python{VERSION}"
    wheels = sorted(root.glob("usr/share/python-wheels/pip-*.whl"))
    if not program.is_file() or not wheels:
        raise BuildError(f"{folder}: lacks some of {', '.join(packages())}")
    libraries = {path.parent for path in root.rglob("*.so*") if "python" not in path.parent.name and path.is_file()}
    return Interpreter(
        program=program,
        identity=identity,
        libraries=tuple(sorted(path for path in libraries if path.name.endswith("-linux-gnu"))),
        path=f"{root / 'usr/bin'}:{SYSTEM_PATH}",
        pip=unpacked_pip(places, wheels[-1]),
        is_host_s=False,
        target=target if target.is_dir() else None,
        packed=tuple(sorted(later.items())),
    )


def named(archive: Path) -> str:
    """Return the name of the package in a file."""
    return archive.name.partition("_")[0]


def unpack(places: Places, packed: Iterable[tuple[Path, Path]], log: str) -> None:
    """Unpack packages, each into its folder."""
    for archive, where in sorted(packed):
        command = ["dpkg-deb", "--extract", str(archive), str(where)]
        run(command, environment=plain_environment(places), log=places.work / log)


def unpacked_pip(places: Places, wheel: Path) -> Path:
    """Return the folder of pip's modules. From a wheel that is packed, Python compiles each of them twice."""
    import zipfile  # here, because most runs build nothing

    folder = places.work / "pip"
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder / "pip"


def suite(places: Places) -> str:
    """Return the suite of the C library that the binary will run on."""
    recipe = places.root / "stars" / "glibc-runtime" / "star.toml"
    return str(tomllib.loads(recipe.read_text())["suite"])


def has_apt() -> bool:
    """Return whether packages can be fetched and unpacked here."""
    return platform.machine() in ("x86_64", "aarch64") and all(map(shutil.which, ("apt-get", "dpkg-deb")))


def _fetched(places: Places) -> Path:
    """Fetch the packages, checked, and return their folder."""
    folder, stellar = places.work / "debs", places.root / ".venv" / "bin" / "stellar"
    if not stellar.is_file():
        raise BuildError(f"{stellar}: not found, and it fetches the suite's Python", "make .venv/run.stamp")
    say(f"fetching Python {VERSION} of Debian {suite(places)}")
    shutil.rmtree(folder, ignore_errors=True)
    where = ["--out", str(folder), "--home", str(places.root / ".cosmos"), *places.apt_options]
    command = [str(stellar), "fetch", *packages(), "--suite", suite(places), *where]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise BuildError(f"the packages of Python {VERSION} could not be fetched: exit {done.returncode}")
    return folder
