"""However a program ends, it says so in one line, its exit code tells which way, and nothing is left running."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from cosmos.about import REPORT_BUGS_TO
from cosmos.cli.live_line import LiveLine
from cosmos.cli.terminal import Terminal
from fakes.programs import Cosmos
from fakes.waiting import LONG_SECONDS, soon, soon_gone

MAIN = "from cosmos.cli.cosmos.main import main; main()"
WRITING = """
import sys, click
from cosmos.cli.endings import run
@click.command()
def write() -> None:
    for _ in range(10000):
        sys.stdout.write("x" * 99 + "\\n")
run(write, "cosmos", [])
"""
WATCHING = """
import click
from pathlib import Path
from cosmos.cli.endings import run
from cosmos.process import start_program
@click.command()
@click.argument("note")
def watch(note: str) -> None:
    text = f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 600"
    with start_program(("sh", "-c", text), env={"PATH": "/usr/bin:/bin"}, where="test") as program:
        list(program.lines(600))
run(watch, "cosmos")
"""


# Under nohup every test and what it starts ignore SIGHUP.
HEARING = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"


def started(text: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", text, *words], stderr=subprocess.PIPE)


def appeared(note: Path) -> int:
    assert soon(note.exists)
    return int(note.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_in_order_and_what_it_started(number: signal.Signals, tmp_path: Path) -> None:
    ours = started(HEARING + WATCHING, str(tmp_path / "pid"))
    child = appeared(tmp_path / "pid")
    ours.send_signal(number)
    _, said = ours.communicate(timeout=LONG_SECONDS)
    assert ours.returncode == 128 + number
    assert said.decode() == f"cosmos: error: ended by {number.name}\n"
    assert soon_gone(child)


def test_what_we_started_dies_with_us_even_where_we_can_do_nothing(tmp_path: Path) -> None:
    ours = started(WATCHING, str(tmp_path / "pid"))
    child = appeared(tmp_path / "pid")
    ours.kill()
    ours.communicate(timeout=LONG_SECONDS)
    assert soon_gone(child)


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    ours = started("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + WATCHING, str(tmp_path / "pid"))
    appeared(tmp_path / "pid")
    ours.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        ours.wait(timeout=0.5)
    ours.terminate()
    ours.communicate(timeout=LONG_SECONDS)
    assert ours.returncode == 143


@pytest.mark.parametrize(("text", "words"), [(WRITING, ()), (MAIN, ("--help",))])
def test_a_pipe_whose_reader_has_gone_is_no_bug_of_ours(text: str, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", text, *words], stdout=writer, stderr=subprocess.PIPE, timeout=LONG_SECONDS
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


CAT = """
import sys, click
from cosmos.cli.endings import run
from cosmos.cli.terminal import emit, say
@click.command()
@click.argument("way")
def cat(way: str) -> None:
    text = "x" * 200000
    {"bytes": lambda: sys.stdout.buffer.write(text.encode()), "json": lambda: emit({"x": text}),
     "line": lambda: say(text)}[way]()
run(cat, "cosmos")
"""


@pytest.mark.parametrize("way", ["bytes", "json", "line"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_is_cut_off_is_never_exit_0(way: str, unbuffered: str, tmp_path: Path) -> None:
    """The kernel takes 100 KiB and no more, as a disk does that fills up in the middle of one write."""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", CAT, way],
            stdout=out,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            preexec_fn=small,
            timeout=LONG_SECONDS,
        )
    assert (done.returncode, (tmp_path / "out").stat().st_size) == (5, 100 << 10), done.stderr.decode()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("way", ["bytes", "json", "line"])
def test_a_reader_that_goes_in_the_middle_is_a_cut_pipe(way: str, unbuffered: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", CAT, way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as ours:
        assert ours.stdout is not None
        ours.stdout.read(5)  # the rest is more than a pipe holds
        ours.stdout.close()
        assert ours.wait(timeout=LONG_SECONDS) == 141


@pytest.mark.parametrize("way", ["bytes", "json", "line"])
def test_without_a_buffer_an_answer_is_whole(way: str, tmp_path: Path) -> None:
    answers = []
    for unbuffered in ("", "1"):
        environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run([sys.executable, "-c", CAT, way], capture_output=True, env=environ, timeout=LONG_SECONDS)
        answers.append((done.returncode, done.stdout))
    assert answers[0] == answers[1]
    assert (answers[0][0], len(answers[0][1]) >= 200000) == (0, True)


def test_an_error_that_nobody_reads_is_a_cut_pipe_too() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", MAIN, "no-such"], stdout=writer, stderr=writer, timeout=LONG_SECONDS)
    os.close(writer)
    assert done.returncode == 141


def test_a_closed_stdout_is_the_worlds_failure(tmp_path: Path) -> None:
    (tmp_path / "var/lib/cosmos").mkdir(parents=True)
    (tmp_path / "var/lib/cosmos/universe.toml").touch()
    words = ["list-galaxies", "--json", "--root", str(tmp_path)]
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-c", MAIN, *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=LONG_SECONDS)
    assert (done.returncode, done.stderr) == (5, b"cosmos: error: stdout: is closed\n")


def test_a_closed_stderr_changes_no_exit_code() -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", MAIN, "no-such"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LONG_SECONDS).returncode == 2


def test_a_word_that_is_not_utf8_and_would_stand_in_a_document_is_a_mistake(
    cosmos: Cosmos, stellar: Cosmos, tmp_path: Path
) -> None:
    cosmos("init", "--root", tmp_path).ok()
    for failed in (
        cosmos("add-galaxy", "--root", tmp_path, "core", "/x\udcff").fails(2),
        stellar("new-star", "star", "--folder", tmp_path, "--description", "x\udcff").fails(2),
        stellar("galaxy-init", tmp_path / "galaxy", "--description", "x\udcff").fails(2),
    ):
        assert "x\\udcff: is not UTF-8\n" in failed.err
        assert "hint: write it in UTF-8" in failed.err


@pytest.mark.parametrize("words", [("no-such",), (), ("list-galaxies", "--root", "/nowhere")])
def test_a_full_disk_behind_stderr_changes_no_exit_code(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", MAIN, *words]
    expected = subprocess.run(command, capture_output=True, timeout=LONG_SECONDS).returncode
    assert expected > 1
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full, timeout=LONG_SECONDS)
    assert done.returncode == expected


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    text = f"""
import os, sys, click
from cosmos.cli.endings import run
@click.command()
def look() -> None:
    with open({str(tmp_path / "file")!r}, "wb") as file:
        print(file.fileno() > 2, os.path.samefile("/proc/self/fd/2", os.devnull))
run(look, "cosmos", [])
"""
    command = ["sh", "-c", '"$@" <&- 2>&-', "sh", sys.executable, "-c", text]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LONG_SECONDS)
    assert (done.returncode, done.stdout) == (0, b"True True\n")


def test_an_interruption_while_commands_load_is_told_in_one_line() -> None:
    text = f"""
import builtins, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
found = builtins.__import__
def interrupting(name, *rest):
    if name.startswith("cosmos.image"):
        os.kill(os.getpid(), signal.SIGINT)
    return found(name, *rest)
builtins.__import__ = interrupting
sys.argv = ["cosmos", "build", "--help"]
{MAIN}
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=LONG_SECONDS)
    assert (done.returncode, done.stderr.strip()) == (130, b"cosmos: error: interrupted")


def test_the_hint_for_a_bug_names_no_command_that_is_not_there() -> None:
    assert "`" not in REPORT_BUGS_TO


def test_what_an_error_quotes_does_not_look_like_a_line_of_ours():
    said = io.StringIO()
    Terminal("cosmos", said, environ={}).hint("it said: x\ncosmos: error: all is well")
    assert said.getvalue() == "cosmos: hint: it said: x\n  cosmos: error: all is well\n"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_worked_on_is_one_line_that_moves_on_a_terminal_and_a_line_each_in_a_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for said in (_Screen(), io.StringIO()):
        seconds = count()
        live = LiveLine(said, clock=lambda: next(seconds))  # noqa: B023 - used in this round alone
        terminal = Terminal("stellar", said, environ={"NO_COLOR": "1"}, live=live)
        terminal.item("star 1 of 2: nano 7.2-1+deb12u1")
        terminal.item("star 2 of 2: \x1b[2Jless")
        terminal.step("built 2 stars")
        lines = ["star 1 of 2: nano 7.2-1+deb12u1", "star 2 of 2: \\x1b[2Jless", "built 2 stars"]
        if isinstance(said, _Screen):
            assert said.getvalue() == "".join(f"\r{line[:19]}\x1b[K" for line in lines[:2]) + f"\r\x1b[K{lines[2]}\n"
        else:
            assert said.getvalue() == "".join(f"{line}\n" for line in lines)


HUNGRY = """
import click, resource, sys
from cosmos.cli.endings import run
@click.command()
def eat() -> None:
    held = [bytes(64 << 20) for _ in range(64)]
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
run(eat, sys.argv[1], [])
"""


@pytest.mark.parametrize("program", ["cosmos", "stellar"])
def test_too_little_memory_is_the_machine_s_failure_and_no_bug_of_ours(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, program], capture_output=True, text=True, timeout=LONG_SECONDS, check=False
    )
    assert done.returncode == 5
    assert done.stderr.startswith(
        f"{program}: error: {program}: there is too little memory for this\n{program}: hint: "
    )
    assert "Traceback" not in done.stderr


PACKING = """
import click, resource, zstandard
from cosmos.cli.endings import run
from cosmos.errors import Refused
@click.command()
@click.argument("what")
def pack(what: str) -> None:
    try:
        zstandard.ZstdCompressor(level=22).compress(data)
    except zstandard.ZstdError as error:
        if what == "taken-for-bad":
            raise Refused("layer", "is damaged") from error
        raise
data = bytes(64 << 20)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + (100 << 20), in_use + (100 << 20)))
run(pack, "cosmos")
"""


@pytest.mark.parametrize("what", ["not-caught", "taken-for-bad"])
def test_too_little_memory_for_zstd_is_no_bug_of_ours_and_no_damaged_data(what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PACKING, what], capture_output=True, text=True, timeout=LONG_SECONDS, check=False
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("cosmos: error: cosmos: there is too little memory for this\ncosmos: hint: ")


def test_ctrl_c_is_told_although_the_start_of_the_binary_let_the_kernel_handle_it() -> None:
    text = """
import os, signal, click
from cosmos.cli.endings import run
signal.signal(signal.SIGINT, signal.SIG_DFL)
@click.command()
def wait() -> None:
    os.kill(os.getpid(), signal.SIGINT)
run(wait, "cosmos", [])
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=LONG_SECONDS)
    assert (done.returncode, done.stderr.strip()) == (130, b"cosmos: error: interrupted")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("build --key", "cosmos build --help"),
        ("build image --offline=yes", "cosmos build --help"),
        ("freeze image --check --upgrade", "cosmos freeze --help"),
        ("key new mine --role author --no-passphrase --passphrase-fd 0", "cosmos key new --help"),
        ("stellar trust new --out", "cosmos stellar trust new --help"),
        ("--offline=yes", "cosmos --help"),
    ],
)
def test_whatever_is_wrong_with_the_words_the_help_of_that_command_is_the_hint(
    words: str, hint: str, cosmos: Cosmos
) -> None:
    said = cosmos(*words.split()).fails(2).err.splitlines()
    assert said[1:] == [f"cosmos: hint: {hint}"]
