"""The binary's unpacked folders: what dead processes left is removed, and nothing else."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import ModuleType

import pytest

OLD = 1_000_000_000
DEAD = "_MEI7fffffffAbCdEf"  # no process has this number: Linux has 22 bits for it


@pytest.fixture
def entry(repo: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repo / "freeze"))
    import entry

    return entry


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return unpacked(tmp_path / f"_MEI{os.getpid():08x}AbCdEf", "libpython.so", "base_library.zip")


def unpacked(folder: Path, *names: str, age: int = OLD) -> Path:
    folder.mkdir(mode=0o700)
    for name in names:
        (folder / name).write_bytes(b"x")
    os.utime(folder, (age, age))
    return folder


def swept(entry: ModuleType, ours: Path, *others: Path) -> list[str]:
    os.close(entry.hold_and_sweep(str(ours)))
    assert ours.exists()
    return [other.name for other in others if not other.exists()]


@pytest.mark.parametrize("names", [(), ("libpython.so",), ("libpython.so", "base_library.zip")])
def test_what_a_dead_process_left_is_removed(
    entry: ModuleType, ours: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert swept(entry, ours, unpacked(tmp_path / DEAD, *names)) == [DEAD]


def test_what_may_be_in_use_or_is_another_programs_stays(entry: ModuleType, ours: Path, tmp_path: Path) -> None:
    living = unpacked(tmp_path / f"_MEI{os.getppid():08x}AbCdEf", "libpython.so")
    young = unpacked(tmp_path / f"{DEAD}1", "libpython.so", age=2**32)
    other = unpacked(tmp_path / f"{DEAD}2", "libpython.so", "another-program.so")
    strange = unpacked(tmp_path / "_MEIabcdefg", "libpython.so")
    held = unpacked(tmp_path / f"{DEAD}3", "libpython.so")
    number = os.open(held, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_SH)
    (tmp_path / "precious").mkdir()
    (tmp_path / f"{DEAD}4").symlink_to(tmp_path / "precious")
    assert swept(entry, ours, living, young, other, strange, held, tmp_path / "precious") == []
    os.close(number)
    assert swept(entry, ours, held) == [held.name]


def test_a_folder_that_the_binary_itself_uses_is_held(entry: ModuleType, ours: Path) -> None:
    lock = entry.hold_and_sweep(str(ours))
    number = os.open(ours, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(number)
    os.close(lock)
