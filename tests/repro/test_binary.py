"""The single-file binary: the same bytes from everywhere, small, and able to start where next to nothing is."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.waiting import soon

# One group: a parallel run gives them to one process, which builds once.
pytestmark = [pytest.mark.binary, pytest.mark.slow, pytest.mark.network, pytest.mark.xdist_group("binary")]

SOURCES = ("builder/cosmos", "freeze", "stars/cosmos", "stars/glibc-runtime", "pyproject.toml")
MAX_BINARY_BYTES = 9_000_000  # 8.9 MB; more means that something leaked in
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


def checkout(repo: Path, root: Path) -> None:
    """Copy what the binary is made of, its files created in another order than git's, and of other ages."""
    files: list[Path] = []
    for name in SOURCES:
        place = repo / name
        found = [place] if place.is_file() else [path for path in place.rglob("*") if "__pycache__" not in path.parts]
        files += [path for path in found if path.is_symlink() or path.is_file()]
    for number, path in enumerate(sorted(files, reverse=True)):
        copy = root / path.relative_to(repo)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy, follow_symlinks=False)
        os.utime(copy, (10**9 + number, 10**9 + number), follow_symlinks=False)


def build(root: Path, wheels: Path, debs: Path, *, python: str, environment: dict[str, str], umask: int) -> Built:
    command = [python, str(root / "freeze" / "build_binary.py"), f"--wheels={wheels}", f"--debs={debs}"]
    return Built(root=root, said=run(command, environment, umask=umask, cwd=root))


@pytest.fixture(scope="session")
def plain(workshop: Path, wheels: Path, debs: Path, repo: Path) -> Built:
    """The repository's own build, as anybody runs it: there is nothing to do after `make image`."""
    with alone(workshop):
        return build(repo, wheels, debs, python=sys.executable, environment=dict(os.environ), umask=0o022)


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
            checkout(repo, root)
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


@pytest.mark.exhaustive  # as long as making it; `make image` says everywhere whether the bytes are the published ones
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


# ---- where a broken machine leaves it: the kernel and the file ------------------------------------------------------


def fetched(name: str, folder: Path, repo: Path) -> Path:
    """Return the tree of a Debian package, fetched and unpacked without root."""
    fetch_packages([name], folder, repo)
    [package] = sorted(folder.glob("*.deb"))
    run(["dpkg-deb", "--extract", str(package), str(package.with_suffix(""))], dict(os.environ))
    return package.with_suffix("")


@pytest.fixture
def empty_root(plain: Built, tmp_path: Path) -> Path:
    """A root with the binary and nothing else, that nobody may write to."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy2(plain.binary, root / "cosmos")
    (root / "cosmos").chmod(0o755)
    root.chmod(0o555)
    return root


def inside(
    root: Path, *command: str, environment: dict[str, str] | None = None, user: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with `root` as its whole world: no /proc, no /dev, no environment."""
    chroot = shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")  # not in a user's own PATH
    assert chroot is not None
    enter = [chroot, *([f"--userspec={user}"] if user else []), str(root)]
    if os.geteuid():
        enter = ["unshare", "--map-root-user", chroot, str(root)]
    return subprocess.run(
        [*enter, *command],
        env=environment or {},
        capture_output=True,
        text=True,
        timeout=A_MINUTE,
    )


def in_own_mounts(mounts: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command after the shell commands `mounts`, in mounts of its own."""
    enter = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    return subprocess.run(
        [*enter, "sh", "-ec", f'{mounts}; exec "$@"', "sh", *command], capture_output=True, text=True, timeout=A_MINUTE
    )


def works(done: subprocess.CompletedProcess[str]) -> None:
    """Fail the test unless `--check-binary` ended well, and used the compiled parts."""
    assert done.stderr == ""
    assert done.returncode == 0
    used = {line.split(":")[0].split()[0] for line in done.stdout.splitlines()}
    assert used >= {"nacl", "lupa", "zstandard", "hashlib", "ssl", "ctypes", "workers"}


def test_it_needs_no_library_of_the_system(plain: Built) -> None:
    assert plain.contents["libraries"] == []


def test_in_an_empty_root_every_compiled_part_works(empty_root: Path) -> None:
    works(inside(empty_root, "/cosmos", "--check-binary"))
    assert [path.name for path in empty_root.iterdir()] == ["cosmos"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as somebody else; CI is root")
def test_in_an_empty_root_it_works_for_a_user_who_may_write_nowhere(empty_root: Path) -> None:
    works(inside(empty_root, "/cosmos", "--check-binary", user="65534:65534"))


def test_it_looks_after_a_system_without_proc_and_dev(empty_root: Path) -> None:
    empty_root.chmod(0o755)
    (empty_root / "system").mkdir()
    for words in (["init"], ["status"], ["list-galaxies"], ["verify"]):
        done = inside(empty_root, "/cosmos", *words, "--root", "/system")
        assert done.returncode == 0, done.stderr
    assert "stars         0" in inside(empty_root, "/cosmos", "status", "--root", "/system").stdout


def test_in_a_root_with_another_c_library_it_brings_its_own(empty_root: Path, tmp_path: Path, repo: Path) -> None:
    empty_root.chmod(0o755)
    shutil.copytree(fetched("musl", tmp_path / "musl", repo), empty_root, symlinks=True, dirs_exist_ok=True)
    assert list(empty_root.rglob("ld-musl-*.so.1"))
    works(inside(empty_root, "/cosmos", "--check-binary"))


def test_damaged_libraries_of_the_system_are_not_loaded(empty_root: Path) -> None:
    empty_root.chmod(0o755)
    for folder in ("lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
        (empty_root / folder).mkdir(parents=True)
        for name in ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libz.so.1", "libcrypto.so.3"):
            (empty_root / folder / name).write_bytes(b"no library")
    (empty_root / "etc").mkdir()
    (empty_root / "etc" / "ld.so.cache").write_bytes(b"no cache")
    works(inside(empty_root, "/cosmos", "--check-binary", environment={"LD_LIBRARY_PATH": "/lib/x86_64-linux-gnu"}))


def test_with_no_place_to_run_programs_from_it_works(plain: Built) -> None:
    mounts = "for place in /tmp /var/tmp /dev/shm /run; do mount -t tmpfs -o noexec none $place; done"
    # the file itself must lie where programs may run
    copy = Path(os.environ.get("HOME", "/root")) / f".binary-{os.getpid()}"
    shutil.copy2(plain.binary, copy)
    try:
        works(in_own_mounts(mounts, [str(copy), "--check-binary"]))
    finally:
        copy.unlink()


def test_with_proc_hidden_it_works(plain: Built) -> None:
    works(in_own_mounts("mount -t tmpfs none /proc", [str(plain.binary), "--check-binary"]))


@pytest.mark.parametrize(
    "words", [["--version"], ["status", "--root", "system"], ["list-galaxies", "--root", "system"]]
)
def test_in_64_mib_of_memory_it_works(plain: Built, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "system").mkdir()
    run([str(plain.binary), "init", "--root", "system"], {}, cwd=tmp_path)
    limited = ["prlimit", f"--as={64 << 20}", str(plain.binary), *words]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=A_MINUTE)
    assert done.stderr == ""
    assert done.returncode == 0


def process_tree(pid: int) -> list[int]:
    """Return the process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in process_tree(int(child)))]


def own_kib(pid: int) -> int:
    """Return how many KiB of a process's memory are no file's."""
    found = re.search(r"^Anonymous: *(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def is_asleep(pid: int) -> bool:
    """Return whether a process waits, and used no processor time for half a second."""

    def looked() -> list[str]:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return [words[0], words[11], words[12]]  # state, utime, stime

    before = looked()
    time.sleep(0.5)
    return before[0] == "S" and looked() == before


def test_an_installation_that_waits_holds_no_code_that_it_has_imported_and_one_process_for_all_zygotes(
    plain: Built, tmp_path: Path
) -> None:
    """A machine with 128 MiB has 70 for everything. It was 45 MiB here, and with two zygotes; 27 are left."""
    (tmp_path / "system").mkdir()
    run([str(plain.binary), "init", "--root", "system"], {}, cwd=tmp_path)
    words = [str(plain.binary), "install", "x", "--wait", "600", "--root", "system"]
    with (tmp_path / "system/var/lib/cosmos/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as waiting:
            try:
                assert soon(lambda: own_kib(waiting.pid) > 10 << 10 and is_asleep(waiting.pid))
                processes = process_tree(waiting.pid)
                assert len(processes) == 2
                assert sum(map(own_kib, processes)) < 33 << 10
            finally:
                waiting.kill()


@pytest.mark.parametrize("mib", [12, 32])
def test_with_too_little_memory_it_says_so(plain: Built, mib: int) -> None:
    limited = ["prlimit", f"--as={mib << 20}", str(plain.binary), "--version"]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=A_MINUTE)
    assert done.returncode == 5
    assert done.stderr.startswith("cosmos: error: there is too little memory to start\n")


WITH_PYINSTALLER_S_LOADER = """
import sys
from dataclasses import replace
from pathlib import Path
import build_binary
root, build, debs, wheels = map(Path, sys.argv[1:])
places = build_binary.Places(root=root, build=build)
places.work.mkdir(parents=True)
python = replace(build_binary.of_suite(places, debs), target=None)
new = build_binary.freeze(places, python, wheels, lambda: None)
build_binary.examine(places, python, new)
build_binary.refuse_what_does_not_start(places, new)
"""


@pytest.mark.exhaustive  # half a minute, for a loader that the binary of this processor does not have
def test_with_pyinstallers_loader_as_on_other_processors_it_is_built_and_starts(
    wheels: Path, debs: Path, repo: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", WITH_PYINSTALLER_S_LOADER, str(repo), str(tmp_path), str(debs), str(wheels)]
    run(words, dict(os.environ), cwd=repo / "freeze")
    assert run([str(tmp_path / "binary/dist/cosmos"), "--version"], {}) == "cosmos 0.1.0\n"


def test_a_damaged_piece_is_refused(plain: Built, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(repo / "freeze")
    from image_file import MAGIC

    data = bytearray(plain.binary.read_bytes())
    row = data.index(b"libpython3.11.so.1.0\0")  # name, place of its frame in the image, size of its frame
    place, packed = struct.unpack_from("<QQ", data, row + 64)
    data[data.index(MAGIC) + place + packed // 2] ^= 1
    damaged = tmp_path / "cosmos"
    damaged.write_bytes(bytes(data))
    damaged.chmod(0o755)
    done = subprocess.run([damaged, "--version"], capture_output=True, text=True, timeout=A_MINUTE)
    assert done.returncode == 5
    assert done.stderr.startswith("cosmos: error: the file is damaged\n")
