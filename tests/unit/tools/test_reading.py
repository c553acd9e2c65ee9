"""Files are read within a limit, and an envelope lies beside its document."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.reading import (
    envelope_of,
    holds,
    is_there,
    open_plain,
    read_bounded,
    read_envelope,
    read_if_there,
    read_open_within,
    read_up_to,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A document of six bytes."""
    (tmp_path / "meta.toml").write_bytes(b"123456")
    return tmp_path / "meta.toml"


def test_a_file_up_to_the_limit_is_read(file: Path) -> None:
    assert read_bounded(file) == read_bounded(file, 6) == read_up_to(file, 6) == read_if_there(file, 6) == b"123456"


@pytest.mark.parametrize(
    ("limit", "found"), [(5, b"123456"), (6, b"123456"), (3, b"1234"), (0, b"1"), (2 << 30, b"123456")]
)
def test_an_open_file_is_read_up_to_one_byte_more_than_the_limit(file: Path, limit: int, found: bytes) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert read_open_within(descriptor, limit) == found
    finally:
        os.close(descriptor)


def test_an_open_file_that_grew_is_read_to_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = os.stat_result((0,) * 10)
    monkeypatch.setattr(os, "fstat", lambda descriptor: empty)
    test_an_open_file_is_read_up_to_one_byte_more_than_the_limit(file, 6, b"123456")


def test_a_longer_file_is_refused_by_name_and_limit(file: Path) -> None:
    with pytest.raises(Malformed, match=r"meta\.toml: has more bytes than the limit, 5$"):
        read_bounded(file, 5)


def test_a_document_that_is_too_long_names_its_limit(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(Malformed, match=r"has more bytes than the limit, 16777216 \(MAX_DOCUMENT_BYTES\)"):
        read_bounded(file)


def test_a_parser_that_refuses_what_is_too_long_itself_gets_one_byte_more_than_the_limit(file: Path) -> None:
    assert read_up_to(file, 4) == read_if_there(file, 4) == b"12345"


def test_a_file_that_is_not_there_is_none_or_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert read_if_there(missing, 10) is None
    with pytest.raises(WorldFailed, match="missing: cannot be read: no such file or directory"):
        read_up_to(missing, 10)
    with pytest.raises(FileNotFoundError):
        read_bounded(missing, 10)


@pytest.mark.parametrize("read", [read_up_to, read_if_there])
def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(Malformed, match="is a folder; expected a plain file"):
        read(tmp_path, 10)


@pytest.fixture(params=["folder", "pipe", "socket", "device", "linked-pipe"])
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A path at which no plain file is, and the word for its kind."""
    place, kind = tmp_path / "strange", str(request.param).removeprefix("linked-")
    if kind == "folder":
        place.mkdir()
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to("pipe") if "linked" in request.param else (tmp_path / "pipe").rename(place)
    if kind != "socket":
        yield place, kind
        return
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path is short
        bound.bind("strange")
        os.chdir(here)
        yield place, kind


@pytest.mark.parametrize(
    "read", [read_bounded, is_there, lambda file: holds(file, b""), lambda file: read_up_to(file, 9)]
)
def test_what_is_no_plain_file_is_refused_at_once_by_name_and_kind(
    strange: tuple[Path, str], read: Callable[[Path], object]
) -> None:
    file, kind = strange
    with pytest.raises(Malformed, match=rf"/strange: is a {kind}; expected a plain file$"):
        read(file)


def test_a_file_that_became_a_pipe_since_it_was_looked_at_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = file.stat()
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(Path, "stat", lambda path: honest)
    with pytest.raises(Malformed, match=r"meta\.toml: is a pipe; expected a plain file$"), open_plain(file):
        pass


@pytest.mark.parametrize("read", [lambda file: read_bounded(file, 9), lambda file: _read_open(file)])
def test_a_read_that_fails_names_the_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Its first page is not there: read(2) fails as on a damaged disk, and says no name."""
    (tmp_path / "memory").symlink_to("/proc/self/mem")
    with pytest.raises(OSError) as told:
        read(tmp_path / "memory")
    assert (told.value.errno, told.value.filename) == (errno.EIO, str(tmp_path / "memory"))


def _read_open(file: Path) -> bytes:
    with open_plain(file) as stream:
        return stream.read(1)


def test_a_file_is_there_or_not(file: Path, tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "circle").symlink_to("circle")
    assert is_there(file)
    for name in ("missing", "nowhere", "circle", "meta.toml/below", "\0"):
        assert not is_there(tmp_path / name)


def test_a_file_holds_these_bytes_and_no_others(file: Path) -> None:
    assert holds(file, b"123456")
    for data in (b"", b"12345", b"1234567", b"123457"):
        assert not holds(file, data)
    assert not holds(file.with_name("missing"), b"")


def test_an_envelope_lies_beside_its_document(file: Path) -> None:
    assert envelope_of(file) == file.parent / "meta.toml.dsse"
    assert read_envelope(file, 10) is None
    envelope_of(file).write_bytes(b"{}")
    assert read_envelope(file, 10) == b"{}"


def test_a_folder_in_place_of_an_envelope_is_not_taken_for_none(file: Path) -> None:
    envelope_of(file).mkdir()
    with pytest.raises(Malformed, match=r"meta\.toml\.dsse: is a folder; expected a plain file"):
        read_envelope(file, 10)
