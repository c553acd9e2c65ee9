"""A pytest plugin: each test of a unit and of an attack gets its folder in memory, where the machine has enough of it.

On a disk these tests wait for its syncs half of their time and more. The stories and all that boots stay on the disk,
so that every run tries both kinds of file systems; `--on-disk` has every test there. A folder in memory is removed at
the end of its test, or, if that failed, at the start of the next run.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

ROOMS: Final = ("tests/unit/", "tests/attack/")
MEMORY: Final = Path("/dev/shm")
LEAST_BYTES: Final = 6 << 30  # of memory, and of room there: each process of a run takes a few hundred million
_NAME_LENGTH: Final = 30  # as pytest cuts names: the address of a socket is short
_PREFIX: Final = "cosmos-tests-"
_NUMBERS: Final = itertools.count()
_FAILED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that has every test on the disk."""
    parser.addoption("--on-disk", action="store_true", help="give no test its folder in memory")


def has_room(memory: Path = MEMORY, least_bytes: int = LEAST_BYTES) -> bool:
    """Return whether programs can be started in `memory`, and there is so much of it: a container often has less."""
    try:
        where = os.statvfs(memory)
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) << 10
    except (OSError, ValueError, KeyError):
        return False
    is_usable = os.access(memory, os.W_OK) and not where.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return is_usable and min(available, allowed_bytes(), where.f_bavail * where.f_frsize) >= least_bytes


def allowed_bytes(group: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Return how much memory a container may take, which its kernel says in `group`; 2**63 where there is no limit."""
    try:
        return int(group.read_text())
    except (OSError, ValueError):  # no such file; or "max"
        return 1 << 63


@pytest.fixture(scope="session")
def memory_folder(pytestconfig: pytest.Config) -> Iterator[Path | None]:
    """This process's folder in memory; None for the disk."""
    if pytestconfig.getoption("on_disk") or not has_room():
        yield None
        return
    sweep(MEMORY)
    folder, lock = made(MEMORY)
    yield folder
    if not any(folder.iterdir()):
        folder.rmdir()
    os.close(lock)


def made(memory: Path) -> tuple[Path, int]:
    """Make a folder in `memory`, and hold its lock: so long nobody removes it. Return the descriptor of the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
        with suppress(FileNotFoundError):  # removed before it had its lock
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def sweep(memory: Path) -> None:
    """Remove what processes left that have ended, in whatever container they were."""
    for folder in memory.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's; or it is locked, or just gone
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, memory_folder: Path | None) -> Iterator[Path]:
    """An empty folder of the test's own."""
    node: pytest.Item = request.node
    if memory_folder is None or not node.nodeid.startswith(ROOMS):
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        yield factory.mktemp(_short(node.name))
        return
    folder = memory_folder / f"{_short(node.name)}{next(_NUMBERS)}"
    folder.mkdir(0o700)
    yield folder
    if not node.stash.get(_FAILED, False):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test failed: its folder stays."""
    report = yield
    item.stash[_FAILED] = report.failed or item.stash.get(_FAILED, False)
    return report


def _short(name: str) -> str:
    return re.sub(r"\W", "_", name)[:_NAME_LENGTH]
