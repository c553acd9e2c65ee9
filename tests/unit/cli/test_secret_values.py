"""`--secret NAME=FILE`: where a value may come from, and what an error about it never repeats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from cosmos.cli.secret_values import read_secrets
from cosmos.errors import CosmosError, Malformed, Refused, WorldFailed
from cosmos.limits import MAX_SECRET_BYTES


def given(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    file = folder / "value"
    file.write_bytes(data)
    file.chmod(mode)
    return file


def value(*words: str, passphrase_fd: int | None = None, kept_in: tuple[Path, ...] = ()) -> str:
    (secret,) = read_secrets(words, passphrase_fd, kept_in=kept_in).values()
    return secret.revealed()


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a b", "a b"),
        (b"a\n", "a"),
        (b"a\r\n", "a"),
        (b"a\n\n", "a\n"),
        (b"a\r", "a\r"),
        (b"\n\n", "\n"),
        (b" a \n", " a "),
        (b"one\ntwo\n", "one\ntwo"),
        ("für\n".encode(), "für"),
        (b"x" * MAX_SECRET_BYTES, "x" * MAX_SECRET_BYTES),
    ],
)
def test_one_newline_at_the_end_is_no_part_of_the_value(tmp_path: Path, data: bytes, text: str) -> None:
    assert value(f"psk={given(tmp_path, data)}") == text


def test_a_value_comes_through_a_descriptor_or_a_pipe_with_a_name() -> None:
    with piped(b"secret\n") as number:
        assert value(f"psk=fd:{number}") == "secret"
    with piped(b"secret\n") as number:
        assert value(f"psk=/dev/fd/{number}") == "secret"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"a\0b", "has a NUL byte"),
        (b"x" * (MAX_SECRET_BYTES + 1), "has more than 65536 bytes"),
    ],
)
def test_a_value_that_is_no_text_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=f"--secret psk: {problem}"):
        value(f"psk={given(tmp_path, data)}")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Refused, match=f"others may read or write its file .mode {mode:04o}.") as caught:
        value(f"psk={given(tmp_path, b'a', mode)}")
    assert "chmod 600" in (caught.value.hint or "")


def test_a_file_that_is_kept_with_the_image_is_refused_also_through_a_link(tmp_path: Path) -> None:
    inside = tmp_path / "repository"
    inside.mkdir()
    file = given(inside, b"a")
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(Malformed, match=r"its file lies in .*repository, which is kept and shared with the image"):
            value(f"psk={path}", kept_in=(inside,))
    assert value(f"psk={file}", kept_in=(tmp_path / "repository-2",)) == "a"


@pytest.mark.parametrize(
    "word",
    ["hunter2", "=hunter2", "hunter2=", "Hunter2=x", "psk=hunter2", "psk=hunter2/x", "psk=fd:99999", "psk=\0hunter2",
     "psk=" + "hunter2" * 1000],
)  # fmt: skip
def test_an_error_never_repeats_what_may_be_the_value_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((click.UsageError, CosmosError)) as caught:
        value(word)
    error = caught.value
    said = f"{error} {getattr(error, 'hint', '')} {getattr(error, 'message', '')}"
    assert "unter2" not in said
    assert isinstance(error, click.UsageError | Malformed | WorldFailed)


def test_a_file_that_is_none_or_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(Malformed, match="want a file or a pipe, not a folder"):
            value(f"psk={path}")
    with pytest.raises(Malformed, match="its file is not there") as caught:
        value(f"psk={tmp_path / 'none'}")
    assert "a value itself never stands in a command" in (caught.value.hint or "")


def test_each_secret_is_given_once_and_has_a_descriptor_of_its_own(tmp_path: Path) -> None:
    file = given(tmp_path, b"a")
    with pytest.raises(click.UsageError, match="psk: is given twice"):
        value(f"psk={file}", f"psk={file}")
    with piped(b"a\n") as number:
        with pytest.raises(click.UsageError, match=f"pin: descriptor {number} is read for something else"):
            value(f"psk=fd:{number}", f"pin=fd:{number}")
        with pytest.raises(click.UsageError, match="is read for something else"):
            value(f"psk=fd:{number}", passphrase_fd=number)
