"""Long work shows how far it is: a line that moves on a terminal, a line a step in a log, JSON for a program."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Timer

import pytest

from cosmos.cli.live_line import LiveLine, Pace, progress_line, shown_seconds
from cosmos.cli.progress import JsonLines
from fakes.images import ImageFixture
from fakes.programs import REPO, Cosmos
from fakes.waiting import LONG_SECONDS

MAIN = "from cosmos.cli.cosmos.main import main; main()"
WORKING = """
import json, os, sys, time, click
from cosmos.cli.endings import run
from cosmos.cli.options import json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import answer, surroundings
@click.command()
@click.option("--pause", type=float, default=0.001)
@click.option("--until", default="/")
@reporting_options
@json_option
def work(pause: float, until: str, as_json: bool) -> None:
    reporter = surroundings().reporter(quiet=as_json)
    begun = time.monotonic()
    reporter.step("fetch 3 stars")
    for done in range(3001):
        reporter.progress(f"star-{done % 7}-\\x1b[31m", done << 10, 3000 << 10, "bytes")
        if done % 10 == 0:
            time.sleep(pause)
    if os.fork() == 0:
        reporter.progress("in a child", 1, 2)
        os._exit(0)
    os.wait()
    reporter.warn("one is old")
    reporter.note("a note")
    reporter.step("pack")
    for _ in range(20_000):
        if os.path.exists(until):
            break
        time.sleep(0.01)
    answer({"seconds": time.monotonic() - begun}, as_json, f"worked {time.monotonic() - begun}")
run(work, "cosmos")
"""
FORKING = """
import os, sys, threading, time
from cosmos.cli.live_line import LiveLine
class Stream:
    lock, is_writing = threading.Lock(), threading.Event()
    def write(self, text):
        with self.lock:
            self.is_writing.set()
            time.sleep(0.2)
    def flush(self): pass
    def fileno(self): raise OSError
line = LiveLine(Stream(), ticks=True)
line.work("pack")
Stream.is_writing.wait()
child = os.fork()
if child == 0:
    os._exit(0 if Stream.lock.acquire(blocking=False) else 3)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
ANSWER = re.compile(r"worked ([0-9.]+)\r?\n")
WORDS_ALONE = re.compile(r"(fetch 3 stars|pack)(  [0-9]+ s)?")
LINES = ["fetch 3 stars", "cosmos: warning: one is old", "a note", "pack"]


class Screen:
    """A terminal of some columns and what was written to it."""

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = pty.openpty()
        self.resize(columns)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def all(self, told: Callable[[bytes], None] = lambda _: None) -> str:
        """Return all that is written until the last writer has closed the terminal."""
        os.close(self.theirs)
        data = b""
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # EIO: nobody has it open
                break
            data += piece
            told(data)
        os.close(self._ours)
        return data.decode()


def on_a_screen(text: str, *words: str, columns: int = 80, environ: dict[str, str] | None = None) -> str:
    """Return what a terminal of `columns` gets as stdout and stderr of a program that ends with exit 0."""
    screen = Screen(columns)
    child = started(text, words, screen.theirs, environ)
    shown = screen.all()
    assert child.wait(LONG_SECONDS) == 0, shown
    return shown


def started(text: str, words: tuple[str, ...], stream: int, environ: dict[str, str] | None) -> subprocess.Popen[bytes]:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO / "builder"), "TERM": "xterm", "HOME": "/nonexistent"}
    return subprocess.Popen(
        [sys.executable, "-c", text, *words], stdin=stream, stdout=stream, stderr=stream, env=path | (environ or {})
    )


def test_a_process_that_is_forked_while_the_line_is_drawn_can_write_to_the_same_stream() -> None:
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO / "builder")}
    done = subprocess.run([sys.executable, "-c", FORKING], env=path, timeout=LONG_SECONDS, check=False)
    assert done.returncode == 0


def draws(shown: str) -> list[str]:
    """Return every state of the line that moves."""
    return re.findall(r"\r([^\r\n\x1b]+)\x1b\[K", shown)


def test_a_terminal_shows_how_much_of_how_much_and_at_most_ten_times_a_second() -> None:
    shown = on_a_screen(WORKING, "--pause", "0.004")
    found = ANSWER.search(shown)
    assert found is not None
    assert len(draws(shown)) <= 1 + 10 * float(found[1])
    lines = [line for line in draws(shown) if not WORDS_ALONE.fullmatch(line)]  # where the machine stood still
    assert len(lines) >= 2
    assert all(re.match(r"\[#*\.*\] [0-9.]+ (B|KiB|MiB) of 2\.9 MiB  ", line) for line in lines), lines
    assert any("star-" in line and "\\x1b[31m" in line for line in lines)
    for part in shown.split("\r\x1b[K"):  # what was erased is drawn again
        assert all(one != other for one, other in pairwise(draws(part)))
    assert "in a child" not in shown
    assert shown.replace("\r\n", "\n").endswith(f"pack\n{found[0]}".replace("\r\n", "\n"))  # the line has gone


def shown_until_seen(what: bytes, folder: Path, columns: int, told: Callable[[Screen, bytes], None]) -> str:
    """Return what a terminal gets of a program that ends when `what` was seen there."""
    screen, seen = Screen(columns), folder / "seen"
    child = started(WORKING, ("--until", str(seen)), screen.theirs, None)

    def look(data: bytes) -> None:
        told(screen, data)
        if what in data:
            seen.touch()

    shown = screen.all(look)
    assert child.wait(LONG_SECONDS) == 0, shown
    return shown


def test_the_seconds_count_on_while_the_work_says_nothing(tmp_path: Path) -> None:
    shown = shown_until_seen(b"pack  ", tmp_path, 80, lambda *_: None)
    lines = [line for line in draws(shown) if line.startswith("pack")]
    assert len(lines) >= 2
    assert lines[-1] != "pack"
    assert all(WORDS_ALONE.fullmatch(line) for line in lines)
    assert lines == sorted(set(lines), key=lambda line: (len(line), line))
    assert "\r\x1b[Kworked " in shown


@pytest.mark.parametrize("columns", [1, 20, 33, 200])
def test_no_state_is_as_wide_as_the_window(columns: int) -> None:
    assert all(len(line) < max(columns, 2) for line in draws(on_a_screen(WORKING, columns=columns)))


def test_a_window_that_becomes_narrower_while_the_work_goes_on_gets_shorter_lines(tmp_path: Path) -> None:
    cut: list[int] = []

    def narrow(screen: Screen, data: bytes) -> None:
        if not cut and b"pack" in data:
            screen.resize(4)
            cut.append(len(data))

    shown = shown_until_seen(b"\rpac\x1b", tmp_path, 120, narrow)
    lines = draws(shown[cut[0] :])
    assert set(lines[lines.index("pac") :]) == {"pac"}, "one may be drawn while the window becomes narrower"
    assert max(map(len, draws(shown[: cut[0]]))) > 40


@pytest.mark.parametrize(
    ("words", "environ"),
    [((), {"TERM": "dumb"}), (("--progress", "plain"), {})],
)
def test_without_a_line_that_moves_each_step_has_its_own(words: tuple[str, ...], environ: dict[str, str]) -> None:
    shown = re.sub(r"\x1b\[(33|0)m", "", on_a_screen(WORKING, *words, environ=environ)).replace("\r\n", "\n")
    assert shown.splitlines()[:-1] == LINES
    assert "\r" not in shown
    assert "\x1b" not in shown


def test_no_colour_means_no_colour() -> None:
    assert re.findall(r"\x1b\[[0-9;]*m", on_a_screen(WORKING, environ={"NO_COLOR": "1"})) == []
    assert "\x1b[33mwarning\x1b[0m" in on_a_screen(WORKING)


def ran(*words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", WORKING, *words], capture_output=True, timeout=LONG_SECONDS, **more)  # type: ignore[call-overload,no-any-return] # the tests hand in pass_fds alone


def test_a_log_has_a_line_for_each_step_and_no_control_characters() -> None:
    done = ran()
    assert done.stderr.decode().splitlines() == LINES
    assert done.stdout.startswith(b"worked ")


def test_quiet_leaves_the_warnings_alone() -> None:
    done = ran("--quiet")
    assert done.stderr == b"cosmos: warning: one is old\n"
    assert done.stdout.startswith(b"worked ")
    assert draws(on_a_screen(WORKING, "-q")) == []


def test_json_says_nothing_but_its_answer_also_on_a_terminal() -> None:
    done = ran("--json")
    assert done.stderr == b""
    assert [*json.loads(done.stdout)] == ["seconds"]
    assert [*json.loads(on_a_screen(WORKING, "--json"))] == ["seconds"]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_progress_as_json_is_one_object_a_line_on_the_named_descriptor(as_json: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    done = ran("--progress", "json", "--progress-fd", str(writer), *as_json, pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        rows = [json.loads(line) for line in stream]
    assert (done.returncode, done.stderr) == (0, b"")
    assert rows[0] == {"event": "step", "text": "fetch 3 stars"}
    assert rows[-1] == {"event": "end", "exit": 0}
    assert [row for row in rows if row["event"] in ("note", "warn")] == [
        {"event": "warn", "text": "one is old"},
        {"event": "note", "text": "a note"},
    ]
    steps = [row for row in rows if row["event"] == "progress" and row["unit"] == "bytes"]
    assert steps[-1] == {
        "event": "progress", "what": "star-4-\x1b[31m", "done": 3000 << 10, "total": 3000 << 10, "unit": "bytes"
    }  # fmt: skip
    assert [row["done"] for row in steps] == sorted(row["done"] for row in steps)


def test_progress_as_json_without_a_descriptor_goes_to_stderr_and_replaces_the_text() -> None:
    rows = [json.loads(line) for line in ran("--progress", "json").stderr.splitlines()]
    assert {row["event"] for row in rows} == {"step", "progress", "warn", "note", "end"}


def test_work_goes_on_if_the_reader_of_its_progress_goes_away() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = ran("--progress", "json", "--progress-fd", str(writer), pass_fds=(writer,))
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"worked ")


@pytest.mark.parametrize("blocks", [True, False])
def test_work_goes_on_if_nobody_reads_the_pipe_of_its_progress(blocks: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, blocks)
    text = f"import cosmos.cli.progress; cosmos.cli.progress.PATIENCE_SECONDS = 0.2\n{WORKING}"
    command = [sys.executable, "-c", text, "--progress", "json", "--progress-fd", str(writer)]
    done = subprocess.run(command, pass_fds=(writer,), capture_output=True, timeout=LONG_SECONDS)
    os.close(reader)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"worked ")


def test_a_reader_that_pauses_misses_lines_of_progress_and_no_other() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 8192)
    os.write(writer, b"x" * 8192)
    lines = JsonLines(writer)
    lines.progress("a", 1, 2)
    Timer(0.2, lambda: os.read(reader, 8192)).start()
    lines.note("n" * 3000)
    lines.end(0)
    assert [json.loads(line)["event"] for line in os.read(reader, 65536).splitlines()] == ["note", "end"]
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", ["77", "99999999999999999999"])
def test_a_descriptor_that_is_not_open_for_writing_is_refused(number: str, tmp_path: Path) -> None:
    done = ran("--progress", "json", "--progress-fd", number)
    assert done.returncode == 2
    assert b"--progress-fd: descriptor " + number.encode() + b" is not open for writing" in done.stderr
    assert b"hint: add --progress-fd 3 3>progress.jsonl" in done.stderr
    with (tmp_path / "read").open("w+b") as file, Path(file.name).open("rb") as read_only:
        number = str(read_only.fileno())
        done = ran("--progress", "json", "--progress-fd", number, pass_fds=(read_only.fileno(),))
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--progress-fd", "2"), "--progress-fd is for --progress json"),
        (("--progress", "json", "--progress-fd", "1"), "1 is not in the range x>=2"),
        (("--progress", "bar"), "'bar' is not one of 'auto', 'plain', 'json'"),
    ],
)
def test_a_mistake_in_the_options_is_exit_2(words: tuple[str, ...], said: str) -> None:
    done = ran(*words)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_the_rate_is_that_of_the_last_seconds_and_is_not_told_before_there_is_one() -> None:
    pace = Pace()
    pace.add(0, 0)
    assert pace.rate(1, 500) == 0
    for second in range(1, 61):
        pace.add(second, second * 100)
    assert pace.rate(60, 6000) == 100
    assert 0 < pace.rate(600, 6000) < 2  # it stalls: the time that is left grows
    pace.add(601, 5)  # other work
    assert pace.rate(602, 5) == 0


@pytest.mark.parametrize("columns", range(1, 130))
def test_every_width_has_a_line(columns: int) -> None:
    for done, total in ((0, 0), (0, 10), (5, 10), (10, 10), (20, 10), (1 << 60, 1 << 61)):
        line = progress_line("linux-firmware-20250101", done, total, "bytes", 3.3, 4, columns)
        assert 0 < len(line) <= columns


def test_a_clock_that_stands_still_draws_once() -> None:
    class Drawn:
        written = 0

        def write(self, _text: str) -> None:
            self.written += 1

        def flush(self) -> None:
            pass

        def fileno(self) -> int:
            raise ValueError

    stream = Drawn()
    now = iter([0.0, *([1.0] * 10_000)])
    live = LiveLine(stream, clock=lambda: next(now))  # type: ignore[arg-type] # it writes and flushes
    for done in range(1000):
        live.progress("x", done, 1000, "things")
    assert stream.written == 1


def test_times_are_said_as_people_say_them() -> None:
    assert [shown_seconds(one) for one in (0, 59.4, 60, 599, 600, 3599, 3600)] == [
        "0 s", "59 s", "1 min", "10 min", "10 min", "1 h 0 min", "1 h 0 min"
    ]  # fmt: skip


def test_a_build_shows_each_of_its_steps(
    tmp_path: Path, built_image: Callable[..., ImageFixture], cosmos: Cosmos
) -> None:
    image = built_image(tmp_path)
    words = ("build", str(image.folder), "--home", str(image.home), "--level", "3", "--out", str(tmp_path / "new"))
    steps = [re.sub(r"[0-9][0-9,]*", "N", line) for line in cosmos(*words).ok().err.splitlines()]
    assert steps[:4] == [
        "fetch and verify N stars, N bytes",
        "stage N stars, N of them from the store",
        "lay the tree",
        "pack",
    ]
    quiet = cosmos(*words[:-1], str(tmp_path / "quiet"), "--quiet").ok()
    assert all("warning: " in line for line in quiet.err.splitlines())
    shown = on_a_screen(MAIN, *words[:-1], str(tmp_path / "screen"))
    assert "\nlay the tree\r\n" in shown


def test_every_command_that_reports_takes_quiet(cosmos: Cosmos, stellar: Cosmos) -> None:
    reporting = re.compile(r"\breporter\(quiet|\bworld_at\(|\bedit\(")
    for file in (REPO / "builder/cosmos/cli").rglob("*.py"):
        text = file.read_text()
        if reporting.search(text) and "@click.command" in text:
            assert "@reporting_options" in text or "@editing_options" in text, file  # the second holds the first
    for program, command in ((cosmos, "verify"), (cosmos, "sync"), (stellar, "import-deb")):
        assert "--quiet" in program(command, "--help").ok().out
