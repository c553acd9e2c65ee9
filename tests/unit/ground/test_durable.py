"""A write leaves the old file or the new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cosmos import durable
from cosmos.durable import (
    demand_writable,
    durable_file,
    make_folder,
    replace_folder_durably,
    sweep_old,
    temporary_folder,
    write_durably,
)
from cosmos.errors import Malformed, WorldFailed


def test_a_file_is_written_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_durably(tmp_path / "deep" / "er" / "a", b"one", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "deep/er/a").read_bytes() == b"one"
    assert (tmp_path / "deep/er/a").stat().st_mode & 0o7777 == 0o644


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), durable_file(tmp_path / "a") as stream:
        stream.write(b"half")
        raise RuntimeError("stopped")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_durably(tmp_path / "a", b"old")
    with pytest.raises(WorldFailed) as caught, durable_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f"{tmp_path}/a: the disk is full"
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(number: int) -> None:
        steps.append("sync folder" if Path(f"/proc/self/fd/{number}").readlink().is_dir() else "sync file")
        real_sync(number)

    def replace(*names: object, **folders: int) -> None:
        steps.append("rename")
        real_replace(*names, **folders)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_durably(tmp_path / "a", b"x")
    assert steps == ["sync file", "rename", "sync folder"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"keep")
    (tmp_path / "a").symlink_to("precious")
    write_durably(tmp_path / "a", b"new")
    assert (tmp_path / "precious").read_bytes() == b"keep"
    assert not (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("target", [None, "/dev/null", "/proc/self/fd/1", "pipe"])
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path: Path, target: str | None) -> None:
    """`-o /dev/stdout`, written by root, would take stdout from every program: such a link leads into /proc."""
    file = tmp_path / "out"
    os.mkfifo(tmp_path / "pipe" if target else file)
    if target is not None:
        file.symlink_to(target)
    before = file.lstat()
    with pytest.raises(Malformed, match=f"{file}: is a device or a pipe"):
        write_durably(file, b"data")
    assert (file.lstat().st_ino, file.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not [*tmp_path.glob(".cosmos-*")]


@pytest.mark.parametrize("target", ["out", "nowhere"])
def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path, target: str) -> None:
    (tmp_path / "out").symlink_to(target)
    write_durably(tmp_path / "out", b"data")
    assert not (tmp_path / "out").is_symlink()


def test_the_names_of_new_folders_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    (tmp_path / "there").mkdir()
    make_folder(tmp_path / "there/a/b/c")
    assert sorted(synced) == [tmp_path / name for name in ("there", "there/a", "there/a/b")]
    make_folder(tmp_path / "there/a/b/c")
    assert len(synced) == 3


def test_a_folder_that_cannot_be_made_fails_as_the_world(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorldFailed, match=f"^{tmp_path}/file: not a directory, but a file$"):
        make_folder(tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(WorldFailed, match=f"^{tmp_path}/link: not a directory, but a link to nowhere, where nothing "):
        make_folder(tmp_path / "link" / "below")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(durable, "_exchanged", lambda one, other: False)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    replace_folder_durably(tmp_path / "new", tmp_path / "old")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["old", "old/new"]


@pytest.mark.parametrize("kind", ["file", "fifo", "link"])
def test_a_folder_does_not_take_the_place_of_anything_else(tmp_path: Path, kind: str) -> None:
    """An exchange would take it, whatever it is: on a system as root, that may be a device."""
    there, new = tmp_path / "there", tmp_path / "new"
    new.mkdir()
    if kind == "file":
        there.write_bytes(b"")
    elif kind == "fifo":
        os.mkfifo(there)
    else:
        (tmp_path / "target").mkdir()
        there.symlink_to("target")
    before = there.lstat()
    with pytest.raises(WorldFailed, match="there: not a directory"):
        replace_folder_durably(new, there)
    assert (there.lstat().st_ino, there.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert new.is_dir()


def test_a_folder_can_stand_where_none_was(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    replace_folder_durably(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_killed_commands_left_a_day_ago_is_swept(tmp_path: Path) -> None:
    old = tmp_path.stat().st_mtime - 90_000
    (tmp_path / "cosmos-tools-a").mkdir()
    for name in ("cosmos-canary-a", "cosmos-canary-b", "cosmos-tools-a/file", "other"):
        (tmp_path / name).write_bytes(b"")
    for name in ("cosmos-canary-a", "cosmos-tools-a", "other"):
        os.utime(tmp_path / name, (old, old))
    own = tmp_path / "cosmos-canary-own"
    own.write_bytes(b"")
    sweep_old(own, "cosmos-canary-", "cosmos-tools-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cosmos-canary-b", "cosmos-canary-own", "other"]


def test_a_temporary_folder_goes_with_its_block_and_takes_what_the_killed_left(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in ("cosmos-audit-old", "cosmos-audit-young", "notes-old"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")
    for folder in (old, other):
        os.utime(folder, (1, 1))
    with pytest.raises(KeyError), temporary_folder("cosmos-audit-", tmp_path) as mine:
        assert sorted(tmp_path.iterdir()) == sorted([young, other, mine])
        raise KeyError
    assert sorted(tmp_path.iterdir()) == sorted([young, other])


def test_two_commands_that_try_one_folder_do_not_refuse_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's attempt is there when this one begins, and gone when this one looks again."""

    def taken(place: object, *_: object, **__: object) -> None:
        raise FileExistsError(errno.EEXIST, "File exists", str(place))

    with monkeypatch.context() as other:
        other.setattr(os, "mkdir", taken)
        demand_writable(tmp_path / "image" / "out")
    demand_writable(tmp_path / "image" / "out")
    assert not any(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_attempt_is_no_room(tmp_path: Path) -> None:
    (tmp_path / ".cosmos-tried.tmp").touch()
    with pytest.raises(WorldFailed, match=r"out: cannot be made below .*: not a directory"):
        demand_writable(tmp_path / "out")
