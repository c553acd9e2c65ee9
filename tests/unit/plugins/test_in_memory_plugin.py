"""The plugin that gives tests their folders in memory: which of them, when, and what stays of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins import in_memory

MODULE = """
from pathlib import Path

def test_passes(tmp_path):
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text(str(tmp_path))
    Path("passed").write_text(str(tmp_path))

def test_fails(tmp_path):
    (tmp_path / "file").write_text("looked at later")
    Path("failed").write_text(str(tmp_path))
    assert False
"""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the memory's, and has room."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(in_memory, "MEMORY", folder)
    monkeypatch.setattr(in_memory, "has_room", lambda: True)
    return folder


def run(pytester: pytest.Pytester, room: str, *options: str) -> tuple[Path, Path]:
    """Run the two tests in this room, and return the folders that they had."""
    pytester.makefile(".ini", pytest="[pytest]\naddopts = -p plugins.in_memory")
    file = pytester.path / room / "test_it.py"
    file.parent.mkdir(parents=True)
    file.write_text(MODULE)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", *options, str(file)).assert_outcomes(passed=1, failed=1)
    return Path((pytester.path / "passed").read_text()), Path((pytester.path / "failed").read_text())


@pytest.mark.parametrize("room", ["tests/unit/store", "tests/attack"])
def test_a_unit_and_an_attack_are_in_memory_and_leave_there_only_what_failed(
    pytester: pytest.Pytester, memory: Path, room: str
) -> None:
    passed, failed = run(pytester, room)
    assert memory in passed.parents
    assert memory in failed.parents
    assert not passed.exists()
    assert (failed / "file").read_text() == "looked at later"


def test_a_story_is_on_the_disk(pytester: pytest.Pytester, memory: Path) -> None:
    passed, _ = run(pytester, "tests/story")
    assert memory not in passed.parents
    assert not any(memory.iterdir())


def test_the_option_has_every_test_on_the_disk(pytester: pytest.Pytester, memory: Path) -> None:
    passed, _ = run(pytester, "tests/unit", "--on-disk")
    assert memory not in passed.parents
    assert not any(memory.iterdir())


def test_without_room_every_test_is_on_the_disk(
    pytester: pytest.Pytester, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_memory, "has_room", lambda: False)
    passed, _ = run(pytester, "tests/unit")
    assert memory not in passed.parents
    assert not any(memory.iterdir())


def test_what_a_process_left_that_has_ended_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """A process id would not tell: a container has its own, and may share the memory with others."""
    ended = os.fork()
    if ended == 0:
        folder, _ = in_memory.made(tmp_path)
        (folder / "file").touch()
        os._exit(0)
    os.waitpid(ended, 0)
    assert len([*tmp_path.iterdir()]) == 1
    mine, lock = in_memory.made(tmp_path)
    other = tmp_path / "something"
    other.mkdir()
    in_memory.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((mine, other))
    os.close(lock)
    in_memory.sweep(tmp_path)
    assert [*tmp_path.iterdir()] == [other]


def test_a_folder_that_is_removed_before_it_has_its_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = in_memory.fcntl.flock
    removed = list[Path]()

    def too_late(number: int, how: int) -> None:
        if not removed:
            removed.append(Path(f"/proc/self/fd/{number}").readlink())
            removed[0].rmdir()
        flock(number, how)

    monkeypatch.setattr(in_memory.fcntl, "flock", too_late)
    folder, lock = in_memory.made(tmp_path)
    os.close(lock)
    assert folder != removed[0]
    assert [*tmp_path.iterdir()] == [folder]


def test_room_is_what_the_file_system_has(tmp_path: Path) -> None:
    assert in_memory.has_room(tmp_path, least_bytes=1)
    assert not in_memory.has_room(tmp_path, least_bytes=1 << 62)
    assert not in_memory.has_room(tmp_path / "is not there", least_bytes=1)


def test_a_limit_of_a_container_counts(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1048576\n")
    assert in_memory.allowed_bytes(limit) == 1 << 20
    limit.write_text("max\n")
    assert in_memory.allowed_bytes(limit) > 1 << 62
    assert in_memory.allowed_bytes(tmp_path / "none") > 1 << 62
