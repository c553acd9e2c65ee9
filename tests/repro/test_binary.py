"""The single-file binary: the same bytes from everywhere, small, and able to start where next to nothing is."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosmos.globs import matches_any
from cosmos.model.star import Recipe
from cosmos.stellar.ecosystems import RULES
from cosmos.treepath import TreePath

# One group: a parallel run gives them to one process, which builds once.
pytestmark = [pytest.mark.binary, pytest.mark.slow, pytest.mark.network, pytest.mark.xdist_group("binary")]

SOURCES = ("builder/cosmos", "freeze", "stars/cosmos", "stars/glibc-runtime", "pyproject.toml")
MAX_BINARY_BYTES = 14 << 20  # FACTS: 9 to 12 MB; more means that something leaked in
A_MINUTE = 60  # a start takes a third of a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """One checkout in which the binary was built."""

    root: Path
    said: str

    @property
    def binary(self) -> Path:
        return self.root / "build" / "binary" / "cosmos"

    @property
    def contents(self) -> dict[str, object]:
        return json.loads((self.root / "build" / "binary" / "contents.json").read_text())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one test process at a time work in `folder`: the processes of a parallel run share what is built."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "binary-workshop"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def wheels(workshop: Path, repo: Path) -> Path:
    """The locked packages, downloaded once."""
    folder = workshop / "wheels"
    with alone(workshop):
        if not folder.exists():
            lock = f"--requirement={repo / 'freeze' / 'requirements-binary.txt'}"
            options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11"]
            partial = workshop / "wheels.partial"
            run([sys.executable, "-m", "pip", "download", *options, f"--dest={partial}", lock], dict(os.environ))
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def debs(workshop: Path, repo: Path) -> Path:
    """The suite's Python, fetched once."""
    folder = workshop / "debs"
    with alone(workshop):
        if not folder.exists():
            ask = [sys.executable, "-c", "import interpreters; print(*interpreters.packages())"]
            fetch_packages(run(ask, dict(os.environ), cwd=repo / "freeze").split(), folder, repo)
    return folder


def fetch_packages(names: list[str], folder: Path, repo: Path) -> None:
    """Fetch packages of the suite that this repository's stars come from."""
    suite = tomllib.loads((repo / "stars/glibc-runtime/star.toml").read_text())["suite"]
    where = ["--suite", suite, "--home", str(repo / ".cosmos"), "--out", str(folder)]
    run([str(Path(sys.executable).with_name("stellar")), "fetch", *names, *where], dict(os.environ))


def run(command: list[str], environment: dict[str, str], *, umask: int = 0o022, cwd: Path | None = None) -> str:
    """Return what a program says on stdout; fail the test with all that it said if it fails."""
    done = subprocess.run(command, env=environment, umask=umask, cwd=cwd, capture_output=True, text=True, timeout=2000)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def checkout(repo: Path, root: Path, *, backwards: bool) -> None:
    """Copy what the binary is made of, its files created in this order or the other, and as old as the order says."""
    files: list[Path] = []
    for name in SOURCES:
        place = repo / name
        found = [place] if place.is_file() else [path for path in place.rglob("*") if "__pycache__" not in path.parts]
        files += [path for path in found if path.is_symlink() or path.is_file()]
    for number, path in enumerate(sorted(files, reverse=backwards)):
        copy = root / path.relative_to(repo)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy, follow_symlinks=False)
        os.utime(copy, (10**9 + number, 10**9 + number), follow_symlinks=False)


def build(root: Path, wheels: Path, debs: Path, *, python: str, environment: dict[str, str], umask: int) -> Built:
    command = [python, str(root / "freeze" / "build_binary.py"), f"--wheels={wheels}", f"--debs={debs}"]
    return Built(root=root, said=run(command, environment, umask=umask, cwd=root))


@pytest.fixture(scope="session")
def plain(workshop: Path, wheels: Path, debs: Path, repo: Path) -> Built:
    """A build as anybody runs it."""
    root = workshop / "a"
    with alone(workshop):
        if not root.exists():
            checkout(repo, root, backwards=False)
        return build(root, wheels, debs, python=sys.executable, environment=dict(os.environ), umask=0o022)


@pytest.fixture(scope="session")
def elsewhere(workshop: Path, wheels: Path, debs: Path, repo: Path) -> Built:
    """A build in another folder by somebody else: another name, home, umask, time zone, locale and environment."""
    root = workshop / "a much longer path, with spaces" / "b"
    strange = {
        "PATH": os.environ["PATH"],
        "HOME": str(workshop / "home of bob"),
        "USER": "bob",
        "LOGNAME": "bob",
        "TZ": "Pacific/Chatham",
        "LC_ALL": "tr_TR.UTF-8",
        "LANG": "C",
        "COLUMNS": "40",
        "PYTHONHASHSEED": "4711",
        "PYTHONOPTIMIZE": "2",
        "PYTHONUTF8": "0",
        "SOURCE_DATE_EPOCH": "1234567890",
        "VIRTUAL_ENV": "/nowhere",
        "PIP_USER": "1",
    }
    with alone(workshop):
        if not root.exists():
            checkout(repo, root, backwards=True)
        python = getattr(sys, "_base_executable", sys.executable)  # not from within a virtual environment
        return build(root, wheels, debs, python=python, environment=strange, umask=0o077)


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Return what two binaries' contents differ in, a line for each piece."""
    mine, yours = ({row["name"]: row["digest"] for row in contents["entries"]} for contents in (one, other))
    lines = [f"only in the first: {name}" for name in mine.keys() - yours.keys()]
    lines += [f"only in the second: {name}" for name in yours.keys() - mine.keys()]
    lines += [
        f"{name}: {mine[name]} != {yours[name]}" for name in mine.keys() & yours.keys() if mine[name] != yours[name]
    ]
    if not lines and list(mine) != list(yours):
        lines = ["the same pieces in another order"]
    return sorted(lines)


def test_two_folders_and_environments_give_the_same_bytes(plain: Built, elsewhere: Built) -> None:
    if plain.binary.read_bytes() != elsewhere.binary.read_bytes():
        told = differences(plain.contents, elsewhere.contents) or [
            "the pieces are the same; the loader or the padding differs"
        ]
        pytest.fail("\n".join(["the two binaries differ:", *told]))
    stars = [
        [
            (str(path.relative_to(built.root)), path.lstat().st_mode)
            for path in sorted((built.root / "build/stars").rglob("*"))
        ]
        for built in (plain, elsewhere)
    ]
    assert stars[0] == stars[1], "the star's files or modes follow the umask"


def test_a_difference_is_named() -> None:
    one, other = (
        {"entries": [{"name": "a", "digest": digest}, {"name": name, "digest": "3"}]}
        for digest, name in (("1", "b"), ("2", "c"))
    )
    assert differences(one, other) == ["a: 1 != 2", "only in the first: b", "only in the second: c"]
    turned = {"entries": one["entries"][::-1]}
    assert differences(one, turned) == ["the same pieces in another order"]


def test_building_again_does_nothing(plain: Built, wheels: Path, debs: Path) -> None:
    before = plain.binary.stat().st_mtime_ns
    again = build(plain.root, wheels, debs, python=sys.executable, environment=dict(os.environ), umask=0o022)
    assert plain.binary.stat().st_mtime_ns == before
    assert again.said == plain.said


def test_the_binary_is_small(plain: Built) -> None:
    assert plain.binary.stat().st_size <= MAX_BINARY_BYTES


def test_it_says_where_it_lies_how_big_it_is_and_its_digest(plain: Built) -> None:
    assert str(plain.binary) in plain.said
    assert re.search(r"[\d,]+ bytes\n\s+sha256:[0-9a-f]{64}\n", plain.said)


def test_it_answers_to_both_names_and_keeps_its_help(plain: Built, tmp_path: Path) -> None:
    stellar = tmp_path / "stellar"
    stellar.symlink_to(plain.binary)
    by_name, by_command = run([str(stellar), "--help"], {}), run([str(plain.binary), "stellar", "--help"], {})
    assert by_name.startswith("Usage: stellar ")
    assert by_command.startswith("Usage: cosmos stellar ")
    assert by_name.splitlines()[2:] == by_command.splitlines()[2:]
    commands = re.findall(r"^  ([a-z][a-z-]+)( {2,}\S.*)?$", run([str(plain.binary), "--help"], {}), re.MULTILINE)
    assert commands
    assert [name for name, meaning in commands if not meaning] == [], "docstrings were stripped"


def test_it_leaves_nothing_behind_and_gives_the_programs_exit_code(plain: Built, tmp_path: Path) -> None:
    done = subprocess.run(
        [plain.binary, "--no-such-option"], env={"TMPDIR": str(tmp_path)}, capture_output=True, timeout=A_MINUTE
    )
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


# ---- in a system that holds nothing but the stars that the star cosmos depends on ------------------------------------


def debian_packages(names: list[str], folder: Path, repo: Path) -> Iterator[Path]:
    """Yield the trees of Debian packages, fetched and unpacked without root."""
    fetch_packages(names, folder, repo)
    for package in sorted(folder.glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(package.with_suffix(""))], dict(os.environ))
        yield package.with_suffix("")


@pytest.fixture(scope="session")
def empty_system(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """A root with what the stars that `cosmos` depends on keep of their packages, and nothing else."""
    root = tmp_path_factory.mktemp("root")
    wanted = tomllib.loads((repo / "stars" / "cosmos" / "star.toml").read_text())["dependencies"]
    for name in wanted:
        recipe = Recipe.parse((repo / "stars" / name / "star.toml").read_bytes(), name, RULES)
        packages = [source.removeprefix("deb:") for source in recipe.sources]
        kept = [glob for glob in recipe.unpack.only if not glob.startswith("usr/share/")]
        for tree in debian_packages(packages, tmp_path_factory.mktemp(name), repo):
            copy_what_matches(tree, kept, root)
    (root / "tmp").mkdir(mode=0o1777)
    return root


def copy_what_matches(tree: Path, kept: list[str], root: Path) -> None:
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree)
        is_folder = path.is_dir() and not path.is_symlink()
        if not is_folder and matches_any(TreePath(os.fsencode(name)), kept):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / name, follow_symlinks=False)


def inside(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with `root` as its whole world: no /proc, no /dev, no environment."""
    if os.geteuid() == 0:
        enter = ["chroot", str(root)]
    elif shutil.which("bwrap"):
        enter = ["bwrap", "--unshare-all", "--bind", str(root), "/"]
    else:
        enter = ["unshare", "--map-root-user", "chroot", str(root)]
    return subprocess.run(
        [shutil.which(enter[0]) or enter[0], *enter[1:], *command],
        env={},
        capture_output=True,
        text=True,
        timeout=A_MINUTE,
    )


def test_the_runtime_holds_every_library_that_the_binary_asks_for(plain: Built, empty_system: Path) -> None:
    there = {path.name for path in empty_system.rglob("*.so*")}
    assert plain.contents["libraries"]
    assert set(plain.contents["libraries"]) <= there
    assert len(there) < 20, "the recipe keeps more than it says"


def test_with_its_dependencies_alone_every_compiled_part_works(plain: Built, empty_system: Path) -> None:
    shutil.copy2(plain.binary, empty_system / "cosmos")
    done = inside(empty_system, "/cosmos", "--check-binary")
    assert done.stderr == ""
    assert done.returncode == 0
    assert {line.split(":")[0].split()[0] for line in done.stdout.splitlines()} >= {
        "nacl",
        "lupa",
        "zstandard",
        "hashlib",
    }
    assert list((empty_system / "tmp").iterdir()) == []


def test_without_one_of_its_libraries_it_does_not_start(plain: Built, empty_system: Path, tmp_path: Path) -> None:
    """The runtime is what makes it start, not something else that the test let in."""
    poorer = tmp_path / "root"
    shutil.copytree(empty_system, poorer, symlinks=True)
    shutil.copy2(plain.binary, poorer / "cosmos")
    for library in poorer.rglob("libm.so.6"):
        library.unlink()
    done = inside(poorer, "/cosmos", "--check-binary")
    assert done.returncode != 0
    assert "libm.so.6" in done.stderr
