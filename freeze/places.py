"""The paths, the environment and the error of a build of the binary."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Here, because nothing below is understood by an older one.
if sys.version_info < (3, 11):  # noqa: UP036 - the promise is what is checked
    sys.exit("binary: error: Python 3.11 or newer is needed\nbinary: hint: make binary PYTHON=python3.11")

SOURCE_DATE_EPOCH = "315532800"  # 1980-01-01, the oldest date that a ZIP file can hold
BUILD_TIMEOUT_SECONDS = 900  # a slow machine needs two minutes
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BuildError(Exception):
    """The binary cannot be built. `hint` says what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The paths of a build. It writes only below `build`."""

    root: Path
    build: Path
    apt_options: tuple[str, ...] = ()  # for `stellar fetch`

    @property
    def work(self) -> Path:
        return self.build / "binary"

    @property
    def venv(self) -> Path:
        return self.work / "venv"

    @property
    def binary(self) -> Path:
        return self.work / "cosmos"

    @property
    def contents(self) -> Path:
        return self.work / "contents.json"

    @property
    def stamp(self) -> Path:
        return self.work / "inputs.json"

    @property
    def star(self) -> Path:
        return self.build / "stars" / "cosmos"

    @property
    def requirements(self) -> Path:
        return self.root / "freeze" / "requirements-binary.txt"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Most are small, and `file_digest` takes a quarter of a megabyte for each."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain_environment(places: Places) -> dict[str, str]:
    """Return an environment without any variable of the person who builds."""
    return {
        "PATH": SYSTEM_PATH,
        "HOME": str(places.work / "home"),
        "TMPDIR": str(places.work / "tmp"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYINSTALLER_CONFIG_DIR": str(places.work / "home"),
        "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
    }


def run(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
    """Run a program under umask 022 with its output in `log`; if it fails, raises with the end of the log."""
    with log.open("wb") as output:
        done = subprocess.run(  # noqa: S603 - programs and arguments of this file
            list(command),
            env=dict(environment),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o022,
            timeout=BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    if done.returncode:
        end = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-12:])
        raise BuildError(f"{Path(command[0]).name}: exit {done.returncode}; it said\n{end}", f"all of it is in {log}")


def say(step: str) -> None:
    """Print a step of the build."""
    sys.stderr.write(f"binary: {step}\n")
    sys.stderr.flush()
