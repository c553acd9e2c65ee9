"""With `--json`, a program reads stdout once: one object, and if the command failed, `error` says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cosmos.cli.cosmos.main import program
from cosmos.cli.endings import run
from cosmos.cli.stellar.main import stellar as stellar_program
from fakes.galaxies import make_home
from fakes.images import ImageFixture
from fakes.programs import REPO, Cosmos, Outcome
from fakes.waiting import LONG_SECONDS

FAILING = """
import os, signal, click
from cosmos.cli.endings import run
from cosmos.cli.options import json_option
from cosmos.cli.terminal import emit
@click.command()
@click.argument("way")
@json_option
def fail(way: str, as_json: bool) -> None:
    if way.startswith("answered"):
        emit({"found": 3})
    if way.endswith("bug"):
        raise ValueError("an impossible value")
    if way.endswith("terminated"):
        os.kill(os.getpid(), signal.SIGTERM)
    if way == "memory":
        raise MemoryError
    if way == "list":
        emit([1, 2])
        raise OSError(28, "No space left on device", "/x")
run(fail, "cosmos")
"""


def failed(outcome: Outcome, code: int) -> dict[str, Any]:
    """Return `error` of a failed command; stderr says the same to a person."""
    error = json.loads(outcome.fails(code).out)["error"]
    assert error["exit"] == code
    assert error["what"] in outcome.err
    assert error["hint"] is None or f"hint: {error['hint']}" in outcome.err
    return dict(error)


def ended(way: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FAILING, way, "--json"],
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(REPO / "builder")},
    )


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command that has `--json`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        elif command is not None and any("--json" in one.opts for one in command.params):
            yield (*before, name)


def test_every_command_with_json_says_a_wrong_option_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    found = [("cosmos", one) for one in commands(program)] + [("stellar", one) for one in commands(stellar_program)]
    assert len(found) > 60
    for name, words in found:
        with pytest.raises(SystemExit) as caught:
            run(program if name == "cosmos" else stellar_program, name, [*words, "--json", "--no-such-option"])
        out = capfd.readouterr().out
        assert caught.value.code == 2, words
        error = json.loads(out)["error"]
        assert error["family"] == "malformed"
        assert "--no-such-option" in error["what"], words
        assert error["hint"] == f"{name} {' '.join(words)} --help"


def test_a_malformed_file_is_named_with_what_to_do(cosmos: Cosmos, tmp_path: Path) -> None:
    error = failed(cosmos("freeze", tmp_path / "nowhere", "--json"), 2)
    assert error["family"] == "malformed"
    assert "nowhere" in error["where"]
    assert error["star"] is None


def test_without_json_stdout_stays_empty(cosmos: Cosmos, tmp_path: Path) -> None:
    assert cosmos("freeze", tmp_path / "nowhere").fails(2).out == ""


def test_an_error_about_a_star_names_the_star(cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("init", "--root", tmp_path).ok()
    error = failed(cosmos("uninstall", "nano", "--json", "--root", tmp_path), 3)
    assert (error["family"], error["where"], error["star"]) == ("no-solution", "nano", "nano")


def test_an_archive_that_was_exchanged_names_its_star(
    tmp_path: Path, built_image: Callable[..., ImageFixture], cosmos: Cosmos
) -> None:
    image = built_image(tmp_path)
    [archive] = (image.galaxy.path / "packages").glob("app-*.tar.*")
    data = bytearray(archive.read_bytes())
    data[-1] ^= 1
    archive.write_bytes(data)
    home = make_home(tmp_path / "other", image.signers)
    error = failed(cosmos("build", image.folder, "--home", home, "--out", tmp_path / "o", "--json"), 4)
    assert (error["family"], error["star"]) == ("refused", "app")


def test_differences_are_answered_and_said_to_be_an_error_in_one_object(
    tmp_path: Path, built_image: Callable[..., ImageFixture], cosmos: Cosmos
) -> None:
    image = built_image(tmp_path)
    (image.out / "manifest.txt").write_text("")
    outcome = cosmos("verify", image.out, "--key", image.public_key, "--json")
    row = json.loads(outcome.fails(7).out)
    assert row["verified"] is False
    assert row["error"]["family"] == "differs"
    assert row["error"]["differences"] == row["differences"]
    assert len(row["differences"]) == 1


@pytest.mark.parametrize(
    ("way", "code", "family"),
    [
        ("bug", 1, "bug"),
        ("memory", 5, "world-failed"),
        ("terminated", 128 + signal.SIGTERM, "interrupted"),
        ("answered-bug", 1, "bug"),
        ("answered-terminated", 128 + signal.SIGTERM, "interrupted"),
    ],
)
def test_whatever_ends_a_command_is_one_object(way: str, code: int, family: str) -> None:
    done = ended(way)
    assert done.returncode == code
    row = json.loads(done.stdout)
    assert (row["error"]["family"], row["error"]["exit"]) == (family, code)
    assert row.get("found") == (3 if way.startswith("answered") else None)
    assert row["error"]["what"].splitlines()[0] in done.stderr


def test_an_answer_without_an_error_has_no_error() -> None:
    done = ended("answered")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"found": 3}, "")


def test_a_list_stays_a_list_and_the_error_is_on_stderr() -> None:
    done = ended("list")
    assert (done.returncode, json.loads(done.stdout)) == (5, [1, 2])
    assert "/x: no space left on device" in done.stderr


def test_a_reader_that_has_gone_does_not_change_why_a_command_failed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", FAILING, "answered-bug", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=LONG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(REPO / "builder")},
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr.count(b"Traceback") == 1
