"""The virtual environment that PyInstaller runs in: exactly the locked packages, so that no other can leak in."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from interpreters import Interpreter
from places import BuildError, Places, run, say, sha256

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


def ensure_venv(places: Places, python: Interpreter, wheels: Path | None) -> None:
    """Make the virtual environment with only the locked packages and pip, unless it exists."""
    made_of = {**python.identity, "lock": sha256(places.requirements)}
    made = places.venv / "made-of.json"
    if made.exists() and json.loads(made.read_text()) == made_of:
        return
    say("making the virtual environment")
    shutil.rmtree(places.venv, ignore_errors=True)
    run(
        [str(python.program), "-I", "-m", "venv", *(["--without-pip"] if python.pip else []), str(places.venv)],
        environment=python.environment(places),
        log=places.work / "venv.log",
    )
    say("installing the locked packages")
    own = {key: value for key, value in os.environ.items() if key not in PIP_SETTINGS_LEFT_OUT}
    source = ["--no-index", f"--find-links={wheels}"] if wheels else []
    pip = [str(python.pip)] if python.pip else ["-m", "pip"]
    run(
        [
            *(str(places.venv / "bin" / "python"), "-I", *pip, "install", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"),
            *(*source, f"--requirement={places.requirements}"),
        ],
        environment=own | {"LD_LIBRARY_PATH": python.environment(places)["LD_LIBRARY_PATH"]},
        log=places.work / "pip.log",
    )
    refuse_other_packages(installed_packages(places.venv), locked_packages(places.requirements.read_text()))
    made.write_text(json.dumps(made_of))


def refuse_other_packages(installed: Mapping[str, str], locked: Mapping[str, str]) -> None:
    """Raise unless the installed packages are the locked ones: any other package could get into the binary."""
    others = {name: version for name, version in installed.items() if name != "pip"}
    if others != dict(locked):
        wrong = sorted(name for name in others.keys() | locked.keys() if others.get(name) != locked.get(name))
        told = ", ".join(f"{name} (locked {locked.get(name)}, installed {others.get(name)})" for name in wrong)
        raise BuildError(f"the virtual environment does not hold what is locked: {told}", "make requirements")
