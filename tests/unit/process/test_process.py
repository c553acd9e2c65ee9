"""Programs are started with nothing of ours, bounded in time, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cosmos import process
from cosmos.errors import WorldFailed
from cosmos.process import (
    Stall,
    attend_program,
    ending_with_us,
    find_program,
    run_program,
    start_program,
    watch_program,
)
from fakes.waiting import LONG_SECONDS, is_alive, soon, soon_gone

ENV = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def run(*argv: str, timeout_seconds: float = LONG_SECONDS, stdin: bytes = b"", env: dict[str, str] = ENV) -> bytes:
    return run_program(argv, env=env, stdin=stdin, timeout_seconds=timeout_seconds, where="test")


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", text)


def test_a_program_answers_on_stdout_and_reads_stdin() -> None:
    assert run("cat", stdin=b"x" * 300_000) == b"x" * 300_000


def test_a_program_sees_the_environment_that_it_is_given_and_no_other() -> None:
    assert run(*python("import os; print(sorted(os.environ))"), env={"A": "1"}) in (b"['A']\n", b"['A', 'LC_CTYPE']\n")


def test_a_failing_program_is_named_with_its_status_and_last_words() -> None:
    with pytest.raises(WorldFailed) as caught:
        run(*python("import sys; sys.stderr.write('line\\n' * 99 + 'the end\\n'); sys.exit(3)"))
    said = str(caught.value)
    assert "ended with status 3" in said
    assert said.endswith("the end")
    assert said.count("line\n") < 20


def test_a_program_that_died_of_a_signal_is_told_so() -> None:
    with pytest.raises(WorldFailed, match="was ended by SIGTERM"):
        run(*python("import os; os.kill(os.getpid(), 15)"))


def test_a_missing_program_is_the_worlds_failure_with_a_hint() -> None:
    with pytest.raises(WorldFailed) as caught:
        run("there-is-no-such-program")
    assert caught.value.hint == "install there-is-no-such-program"
    with pytest.raises(WorldFailed) as found:
        find_program("there-is-no-such-program", "apt-get install it")
    assert found.value.hint == "apt-get install it"


def test_a_program_that_takes_too_long_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, ended = tmp_path / "pid", process._ended

    def ended_once_it_has_a_child(leader: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
        assert soon(lambda: note.exists() and note.read_text().endswith("\n"))
        return ended(leader, timeout_seconds)

    monkeypatch.setattr(process, "_ended", ended_once_it_has_a_child)
    started = time.monotonic()
    with pytest.raises(WorldFailed, match=r"was not done in 0\.1 seconds"):
        run("sh", "-c", f"sleep 600 & echo $! > {note}; wait", timeout_seconds=0.1)
    assert time.monotonic() - started < LONG_SECONDS
    assert soon_gone(int(note.read_text()))


def test_what_a_program_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert run("sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo $! > {note}; echo done") == b"done\n"
    assert soon_gone(int(note.read_text()))


def test_lines_arrive_while_the_program_runs_and_it_is_killed_at_the_end() -> None:
    text = "import sys, time\nfor n in range(99): print('tick', n, flush=True); time.sleep(0.01 if n < 3 else 600)"
    with start_program(python(text), env=ENV, where="test") as program:
        seen = []
        for line in program.lines(LONG_SECONDS):
            seen.append(line)
            if line == "tick 2":
                break
        assert program.status is None
    assert seen == ["tick 0", "tick 1", "tick 2"]
    assert program.status == -9


def test_a_silent_program_is_not_waited_for_longer_than_was_said() -> None:
    quiet = start_program(("sleep", "600"), env=ENV, where="boot")
    with quiet as program, pytest.raises(WorldFailed, match=r"boot: sleep was not done in 0\.2 seconds"):
        list(program.lines(0.2))


def test_lines_are_whole_and_a_last_one_without_an_end_is_given() -> None:
    with start_program(("printf", r"one\r\ntwo\nthree"), env=ENV, where="test") as program:
        assert list(program.lines(LONG_SECONDS)) == ["one", "two", "three"]
        assert program.wait(LONG_SECONDS) == 0


def test_a_program_can_be_talked_to() -> None:
    with start_program(("head", "-n", "1"), env=ENV, where="test", stdin="ours") as program:
        program.send(b"hello\n")
        assert list(program.lines(LONG_SECONDS)) == ["hello"]


def test_a_program_that_reads_its_input_finds_none_and_waits_for_nothing() -> None:
    with start_program(("cat",), env=ENV, where="test") as program:
        assert program.wait(LONG_SECONDS) == 0
    assert watch_program(("cat",), env=ENV, timeout_seconds=LONG_SECONDS, where="test", told=print) == (0, "")


def test_watching_tells_every_line_and_returns_the_status() -> None:
    seen: list[str] = []
    status, last = watch_program(
        ("sh", "-c", "seq 1 30; echo bad >&2; exit 4"),
        env=ENV,
        timeout_seconds=LONG_SECONDS,
        where="test",
        told=seen.append,
    )
    assert (status, len(seen)) == (4, 31)
    assert last.splitlines()[-1] == "bad"
    assert len(last.splitlines()) == 12


def test_a_program_that_is_stuck_is_ended_long_before_its_time_is_up() -> None:
    started = time.monotonic()
    with pytest.raises(WorldFailed, match=r"sleep was killed: it made no progress for 0\.4 seconds"):
        watch_program(
            ("sleep", "600"),
            env=ENV,
            timeout_seconds=500,
            where="test",
            told=print,
            stall=Stall(seconds=0.4, progress=lambda: 0),
        )
    assert time.monotonic() - started < LONG_SECONDS


def test_a_silent_program_whose_files_grow_is_not_stuck() -> None:
    stall = Stall(seconds=0.1, progress=time.monotonic)
    status, _ = watch_program(
        ("sleep", "0.4"), env=ENV, timeout_seconds=LONG_SECONDS, where="test", told=print, stall=stall
    )
    assert status == 0


def test_a_program_has_the_descriptors_that_it_is_passed_and_no_other() -> None:
    given, kept = os.pipe(), os.pipe()
    try:
        look = f"import os; print([n for n in {[*given, *kept]} if os.path.exists(f'/proc/self/fd/{{n}}')])"
        with start_program(python(look), env=ENV, where="test", pass_fds=given[:1]) as program:
            assert list(program.lines(LONG_SECONDS)) == [str([given[0]])]
    finally:
        for number in (*given, *kept):
            os.close(number)


WATCHED = """
import os, signal, sys
from cosmos.process import ending_with_us
with ending_with_us(int(sys.argv[1]), "test"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


LEAVING = """
import os, sys
from cosmos.process import run_program
words = ["sh", "-c", "sleep 601 & echo $! $$ >>$0; exec sleep 602", sys.argv[1]]
run_program(words, env={"PATH": os.defpath}, timeout_seconds=600, where="test")
"""


def test_what_a_program_has_started_is_killed_where_we_are_killed(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with subprocess.Popen([sys.executable, "-c", LEAVING, str(note)]) as cosmos:
        assert soon(lambda: note.exists() and note.read_text().endswith("\n"))
        pids = [int(pid) for pid in note.read_text().split()]
        assert all(map(is_alive, pids))
        cosmos.kill()
    assert all(map(soon_gone, pids))


def test_a_program_that_cannot_be_started_leaves_nothing_for_the_watcher_to_kill() -> None:
    with pytest.raises(WorldFailed):
        run("there-is-no-such-program")
    with start_program(("sleep", "600"), env=ENV, where="test") as other:
        assert process._watching("test") is process._watching("test")
        assert other.status is None


ORPHAN = """
import os, sys, time
from cosmos.child import die_with
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent: time.sleep(0.01)
    die_with(parent)
    print("lives on", flush=True)
"""


def test_a_child_whose_parent_died_before_it_could_ask_dies_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_process_that_is_no_child_is_killed_where_we_are_killed() -> None:
    with start_program(("sleep", "600"), env=ENV, where="test") as other:
        run_itself = subprocess.run([sys.executable, "-c", WATCHED, str(other.pid)], check=False)
        assert run_itself.returncode == -signal.SIGKILL
        assert other.wait(LONG_SECONDS) == -signal.SIGKILL


def test_a_process_that_is_no_child_lives_on_where_we_are_not_killed() -> None:
    with start_program(("sleep", "600"), env=ENV, where="test") as other:
        with ending_with_us(other.pid, "test"):
            pass
        time.sleep(0.2)
        assert other.status is None


def test_a_program_that_does_not_end_is_not_waited_for_longer_than_was_said() -> None:
    with (
        start_program(("sleep", "600"), env=ENV, where="boot") as program,
        pytest.raises(WorldFailed, match=r"^boot: sleep has not ended in 0\.1 seconds"),
    ):
        program.wait(0.1)


def test_a_program_for_a_person_that_is_not_there_is_the_worlds_failure() -> None:
    with pytest.raises(WorldFailed, match=r"^shell: /nonexistent/program"):
        attend_program(("/nonexistent/program",), env=ENV, where="shell")
