"""Build the single-file `cosmos` binary, and the source folder of the star `cosmos`. `make binary` calls it.

    build/binary/cosmos          the binary
    build/binary/contents.json   its contents, and its needs of a system (see binary_contents.py)
    build/stars/cosmos/          stars/cosmos with the binary in it: the input of `stellar build-star`

The same sources, locked packages and packages of the suite's Python (see interpreters.py) give the same bytes on any
machine, in any folder, for any user, umask, locale and environment. docs/binary.md says how, and
tests/repro/test_binary.py proves it. If nothing has changed, nothing is built. It uses only the standard library, so
that any Python can run it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import launching
from exact_venv import Ahead, ensure_venv, locked_packages, packages_ahead
from interpreters import Interpreter, has_apt, of_suite, running, suite, unpack
from needs import Builder, refuse_what_cannot_be_frozen
from places import SYSTEM_PATH, BuildError, Places, plain_environment, run, say, sha256
from star_layout import lay_out_star, star_is_current

FREEZE = Path(__file__).resolve().parent
START_TIMEOUT_SECONDS = 60
EXIT_WORLD_FAILED = 5  # as in cosmos.errors
EXIT_INTERRUPTED = 130

_MISSING = re.compile(r"^(?:missing|excluded) module named (\S+) - imported by (.+)$", re.MULTILINE)


def inputs(places: Places, *, host_s: bool) -> dict[str, str]:
    """Return the inputs of the binary except the libraries: the digest of our own files, and the Python."""
    below = os.walk(places.root / "builder" / "cosmos")
    kinds = (".py", ".lua", ".html", ".css")
    sources = sorted(Path(folder, name) for folder, _, names in below for name in names if name.endswith(kinds))
    recipe = [*sorted(FREEZE.glob("*.py")), *sorted((FREEZE / "launcher").glob("*.*"))]
    recipe += [FREEZE / "cosmos.spec", places.requirements]
    files = {str(path.relative_to(places.root)): sha256(path) for path in [*sources, *recipe]}
    if host_s:
        return {"python": sys.version, "python at": sys.base_prefix, **files}
    return {"python": f"Debian {suite(places)}", **files}


def is_current(places: Places, now: Mapping[str, str]) -> bool:
    """Return whether the binary exists and was made from exactly these inputs and these libraries."""
    try:
        then = json.loads(places.stamp.read_text())
        return (
            then["inputs"] == now
            and then["binary"] == sha256(places.binary)
            and all(sha256(Path(path)) == digest for path, digest in then["libraries"].items())
        )
    except (OSError, ValueError, KeyError):
        return False


def freeze(places: Places, python: Interpreter, wheels: Path | None, ahead: Ahead) -> Path:
    """Make the new binary, still in its temporary place, and return its path.

    Pip and PyInstaller use one processor. So the largest libraries are compressed beside them, and what the link needs
    is unpacked.
    """
    from concurrent.futures import ThreadPoolExecutor

    for name in ("home", "tmp", "work", "dist"):
        shutil.rmtree(places.work / name, ignore_errors=True)
        (places.work / name).mkdir(parents=True)
    with ThreadPoolExecutor() as beside:
        others = [beside.submit(unpack, places, python.packed, "unpack-compiler.log")]
        packs = packing_python(places)
        if python.target and packs:
            others.append(beside.submit(launching.compress_ahead, places, python.target, packs))
        ensure_venv(places, python, wheels, ahead)
        if python.target and not packs:
            packs = (str(places.venv / "bin" / "python"), python.environment(places))
            others.append(beside.submit(launching.compress_ahead, places, python.target, packs))
        say("building (PyInstaller)")
        run_pyinstaller(places, python)
    for other in others:
        other.result()
    if not python.is_host_s:
        refuse_libraries_of_the_host(places)
    refuse_missing_modules((places.work / "work" / "cosmos" / "warn-cosmos.txt").read_text())
    if python.target:
        launching.link(places, python, python.target)
    return places.work / "dist" / "cosmos"


def packing_python(places: Places) -> launching.Packing | None:
    """Return the running Python and its environment, if it has the very zstandard that is locked: it is there at once.

    A frame of another zstandard would not be taken (image_file.py).
    """
    locked = locked_packages(places.requirements.read_text())["zstandard"]
    from importlib import metadata  # here, because it takes as long as to see that nothing changed

    with contextlib.suppress(metadata.PackageNotFoundError):
        if metadata.version("zstandard") == locked:
            return sys.executable, plain_environment(places)
    return None


def run_pyinstaller(places: Places, python: Interpreter) -> None:
    """Let PyInstaller find what the binary is made of, and make the whole file if it has no launcher of ours."""
    run(
        [
            *(str(places.venv / "bin" / "python"), "-s", "-P", "-m", "PyInstaller", "--clean", "--noconfirm"),
            *("--log-level", "WARN", "--distpath", str(places.work / "dist"), "--workpath", str(places.work / "work")),
            str(FREEZE / "cosmos.spec"),
        ],
        environment=python.environment(places) | {"COSMOS_BINARY_FORM": "launcher" if python.target else "archive"},
        log=places.work / "pyinstaller.log",
    )


def refuse_libraries_of_the_host(places: Places) -> None:
    """Raise if the binary holds a library from outside the build folder, because this machine's updates change that."""
    libraries = json.loads((places.work / "work" / "cosmos" / "libraries.json").read_text())
    others = sorted(path for path in libraries if not Path(path).is_relative_to(places.work))
    if others:
        raise BuildError(
            f"the binary holds libraries of this machine: {', '.join(others)}",
            "name their packages in PACKAGES of freeze/interpreters.py",
        )


def refuse_missing_modules(warnings: str) -> None:
    """Raise if a module of ours imports a module that PyInstaller did not find or that the spec leaves out."""
    for missing, importers in _MISSING.findall(warnings):
        for name, how in re.findall(r"([\w./-]+) \(([^)]*)\)", importers):
            ours = name.split(".")[0] == "cosmos" or Path(name).name == "entry.py"
            if (
                ours
                and not {"conditional", "optional"} & set(how.split(", "))
                and not made_by_its_package(missing.strip("'"))
            ):
                raise BuildError(
                    f"{name}: imports {missing}, which is not in the binary",
                    "name its package in pyproject.toml and run make requirements, "
                    "or take it out of EXCLUDED in freeze/cosmos.spec",
                )


def made_by_its_package(module: str) -> bool:
    """Return whether a module of Python itself has no file, because its package makes it at import.

    `collections.abc` has been one since Python 3.13: collections/__init__.py enters _collections_abc under that name.
    """
    package = module.rpartition(".")[0]
    if package.partition(".")[0] not in sys.stdlib_module_names:
        return False
    importlib.import_module(package)
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and spec.name != module


def examine(places: Places, python: Interpreter, binary: Path) -> dict[str, object]:
    """Return the description of the binary; raises if it names a folder of this machine."""
    say("reading it back")
    out = places.work / "contents.new"
    reader = [str(places.venv / "bin" / "python"), "-s", str(FREEZE / "binary_contents.py")]
    folders = [f"{places.root / 'builder'}/", f"{places.root / 'freeze'}/", f"{places.build}/"]
    run(
        [*reader, str(binary), str(out), *folders],
        environment=python.environment(places),
        log=places.work / "contents.log",
    )
    contents: dict[str, object] = json.loads(out.read_text())
    if contents["absolute"]:
        raise BuildError(f"the binary names folders of this machine: {contents['absolute']}")
    return contents


def refuse_what_does_not_start(places: Places, binary: Path) -> None:
    """Raise unless the binary answers to both of its names and every compiled part in it works."""
    say("starting it")
    import tempfile
    import tomllib  # here, so that an older Python gets as far as being refused in words

    version = tomllib.loads((places.root / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": SYSTEM_PATH, "HOME": folder, "TMPDIR": folder}
        for name in ("cosmos", "stellar"):
            link = Path(folder) / name
            link.symlink_to(binary)
            said = answer([str(link), "--version"], environment)
            if said != f"{name} {version}\n":
                raise BuildError(f"{name} --version: said {said!r}, but pyproject.toml says {version}")
        answer([str(binary), "--check-binary"], environment)


def answer(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return a program's stdout; raises if the program fails."""
    done = subprocess.run(  # noqa: S603 - our own binary
        list(command), env=dict(environment), capture_output=True, text=True, timeout=START_TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: exit {done.returncode}; it said\n{done.stderr.strip()}")
    return done.stdout


def put_in_place(
    places: Places, new: Path, contents: Mapping[str, object], made_of: Mapping[str, str], python: Interpreter
) -> None:
    """Move the new binary to its place. The stamp is removed first and written last."""
    places.stamp.unlink(missing_ok=True)
    libraries = json.loads((places.work / "work" / "cosmos" / "libraries.json").read_text())
    places.contents.write_text(json.dumps({"python": made_of["python"], **contents}, indent=1) + "\n")
    (places.work / "contents.new").unlink()
    new.chmod(0o755)
    new.replace(places.binary)
    packages = {} if python.is_host_s else dict(python.identity)  # images/expected.py reads them
    stamp = {"binary": sha256(places.binary), "libraries": libraries, "packages": packages, "inputs": made_of}
    places.stamp.write_text(json.dumps(stamp, indent=1))


@contextlib.contextmanager
def alone(places: Places) -> Iterator[IO[str]]:
    """Hold the build folder for one build at a time."""
    places.work.mkdir(parents=True, exist_ok=True)
    with (places.work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def build(places: Places, wheels: Path | None, debs: Path | None, *, this_python: bool) -> bool:
    """Build the binary and the star if they are missing or old; return whether anything was built."""
    host_s = this_python or not has_apt()
    made_of = inputs(places, host_s=host_s)
    if is_current(places, made_of):
        if not star_is_current(places):
            lay_out_star(places)
        return False
    if host_s:
        refuse_what_cannot_be_frozen(Builder.here())
    with contextlib.nullcontext(lambda: None) if host_s else packages_ahead(places, wheels) as ahead:
        python = running() if host_s else of_suite(places, debs)
        new = freeze(places, python, wheels, ahead)
    from concurrent.futures import ThreadPoolExecutor  # here, because most runs build nothing

    with ThreadPoolExecutor() as beside:
        starts = beside.submit(refuse_what_does_not_start, places, new)
        contents = examine(places, python, new)
    starts.result()
    put_in_place(places, new, contents, made_of, python)
    lay_out_star(places)
    return True


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        description="Build the single-file cosmos binary and lay it out as the star cosmos."
    )
    parser.add_argument(
        "--build", type=Path, default=FREEZE.parent / "build", metavar="DIR", help="where to build (default: build/)"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take the locked packages from this folder, not from an index"
    )
    parser.add_argument(
        "--debs", type=Path, metavar="DIR", help="take the suite's Python from this folder of packages, and fetch none"
    )
    parser.add_argument(
        "--apt-sources", type=Path, metavar="FILE", help="fetch packages from these sources, not from the host's"
    )
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="freeze the running Python, not the suite's (where apt-get is missing)",
    )
    options = parser.parse_args()
    apt_options = ("--apt-sources", str(options.apt_sources.resolve())) if options.apt_sources else ()
    places = Places(root=FREEZE.parent, build=options.build.resolve(), apt_options=apt_options)
    wheels, debs = (folder.resolve() if folder else None for folder in (options.wheels, options.debs))
    began = time.monotonic()
    try:
        with alone(places):
            changed = build(places, wheels, debs, this_python=options.this_python)
    except (BuildError, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"binary: error: {error}\n")
        if isinstance(error, BuildError) and error.hint:
            sys.stderr.write(f"binary: hint: {error.hint}\n")
        return EXIT_WORLD_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if changed:
        say(f"built in {time.monotonic() - began:.0f} s")
    size = places.binary.stat().st_size
    sys.stdout.write(f"{places.binary}\n  {size:,} bytes\n  sha256:{sha256(places.binary)}\n  star: {places.star}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
