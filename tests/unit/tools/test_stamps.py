"""A file is known again by its stamp only if nothing about it can have changed since it was hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.stamps import Seen, seen_now, stamp

LATE = 1 << 62  # a time before which every file has changed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"one")
    return made


def seen(file: Path, settled: int = LATE, believed: Seen | None = None) -> Seen:
    number = os.open(file, os.O_RDONLY)
    try:
        return seen_now(number, settled, believed)
    finally:
        os.close(number)


def test_a_file_is_told_by_its_bytes_and_mode(file: Path) -> None:
    file.chmod(0o640)
    assert seen(file) == Seen(what=f"{hashlib.sha256(b'one').hexdigest()} 100640", stat=stamp(file.stat()))


def test_a_file_that_is_longer_than_it_can_be_is_told_by_its_size(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(file, 1 << 40)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    number = os.open(file, os.O_RDONLY)
    assert seen_now(number, LATE, None, 1 << 32) == Seen(what=f"{1 << 40} bytes", stat="")
    os.close(number)


def test_a_file_that_changed_lately_has_no_stamp(file: Path) -> None:
    assert seen(file, settled=file.stat().st_ctime_ns).stat == ""


def test_a_file_with_the_believed_stamp_is_not_read_and_any_other_is(file: Path) -> None:
    believed = Seen(what="as it was", stat=stamp(file.stat()))
    assert seen(file, believed=believed) is believed
    for other in (Seen(what="as it was", stat=""), Seen(what="as it was", stat=believed.stat + "0")):
        assert seen(file, believed=other).what.startswith(hashlib.sha256(b"one").hexdigest())


@pytest.mark.parametrize(
    "change",
    [
        lambda file: os.utime(file, (1, 1)),
        lambda file: file.chmod(0o600),
        lambda file: file.write_bytes(b"other"),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_a_change_shows_in_the_stamp(file: Path, change: Callable[[Path], object]) -> None:
    before = stamp(file.stat())
    change(file)
    assert stamp(file.stat()) != before


def test_what_is_no_plain_file_is_told_by_its_mode_and_never_by_a_stamp(tmp_path: Path) -> None:
    folder = seen(tmp_path, believed=Seen(what="a file", stat=stamp(tmp_path.stat())))
    assert folder == Seen(what=f"mode {tmp_path.stat().st_mode:o}", stat="")
