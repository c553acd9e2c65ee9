"""A program leaves its process at once, after everything that `sys.exit` would have done."""

from __future__ import annotations

import os
import subprocess
import sys

from fakes.waiting import LONG_SECONDS

LEAVING = """
import atexit, os, sys, threading
import click
from cosmos.cli.leaving import run_and_leave
class Torn:
    def __del__(self, write=os.write):
        write(1, b"torn\\n")
torn = Torn()
@click.command()
def work() -> int:
    {work}
    print("worked")
    return {code}
{before}
run_and_leave(work, "cosmos", [])
"""


def ended(work: str = "", code: int = 0, before: str = "") -> tuple[int, list[str]]:
    """Return how a program that does `work` ends: its exit code, and the lines of its output, through a pipe."""
    text = LEAVING.format(work=work or "pass", code=code, before=before)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True, env=buffered, text=True, timeout=LONG_SECONDS, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_program_leaves_with_its_code_and_takes_nothing_apart() -> None:
    assert ended(code=7) == (7, ["worked"])


def test_what_is_to_be_done_at_the_end_is_done_and_written() -> None:
    assert ended('atexit.register(print, "at the end")') == (0, ["worked", "at the end"])


def test_a_thread_that_still_works_is_waited_for() -> None:
    later = 'threading.Thread(target=lambda: (threading.main_thread().join(), print("later"))).start()'
    code, lines = ended(later)
    assert (code, lines[:2]) == (0, ["worked", "later"])


def test_a_profiler_sees_the_end_of_python() -> None:
    assert ended(before="sys.setprofile(lambda *_words: None)") == (0, ["worked", "torn"])
