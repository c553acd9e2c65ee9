"""The output of both programs: results on stdout, everything else on stderr, one error line, one hint, one exit code.

    cosmos: error: zlib: the lock names sha256:9f…, but the file is sha256:2c…
    cosmos: hint: …

stdout carries only data. Progress is drawn only on a terminal. `NO_COLOR` and `TERM=dumb` are obeyed, and every message
can be read without colour. Exit codes: see `cosmos.errors`; 1 for our own bug. If a signal ended us, it is 128 plus the
signal's number: 129 SIGHUP, 130 SIGINT, 143 SIGTERM. It is 141 (SIGPIPE) if the reader closed the pipe.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import click

from cosmos.about import REPORT_BUGS_TO, VERSION
from cosmos.canon import Json, readable_text
from cosmos.errors import CosmosError, Differs, WorldFailed, likely_cause
from cosmos.links import real
from cosmos.model.reporter import Reporter, Silent

_MEMORY_HINT = "give it more memory, or raise its limit (ulimit -v); fewer jobs at once take less: --jobs 1"
EXIT_BUG = 1
EXIT_MALFORMED = 2
EXIT_INTERRUPTED = 130
EXIT_CUT = 141
HOME_FOLDER = ".cosmos"
_BAR = 24  # columns of the bar, where the terminal is wide enough
_LEAST_NAME = 16  # columns for the item's name beside it
_REDRAW_SECONDS = 0.1


class Ended(BaseException):
    """A signal asked us to end. It is not an `Exception`, so that no handler of failures catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Terminal:
    """Writes messages and progress to stderr for a person."""

    def __init__(self, program: str, stream: TextIO, *, environ: Mapping[str, str]) -> None:
        self._program = program
        self._stream = stream
        self._live = stream.isatty() and environ.get("TERM") != "dumb"
        self._colour = self._live and "NO_COLOR" not in environ
        self._drawn = False
        self._last = 0.0

    @property
    def is_live(self) -> bool:
        """Whether a line can be drawn over: it is a terminal, and not a log."""
        return self._live

    def step(self, text: str) -> None:
        """Report that a step begins."""
        self._line(text)

    def note(self, text: str) -> None:
        """Print a note."""
        self._line(text)

    def warn(self, text: str) -> None:
        """Warn."""
        self._line(text, label=("warning", 33))

    def error(self, text: str) -> None:
        """Print an error."""
        self._line(text, label=("error", 31))

    def hint(self, text: str) -> None:
        """Print the hint of an error: what to do about it."""
        self._line(text, label=("hint", 36))

    def prompt(self, text: str) -> None:
        """Ask for a line."""
        self._stream.write(text)
        self._stream.flush()

    def progress(self, what: str, done: int, total: int) -> None:
        """Draw a bar on a terminal; print nothing elsewhere."""
        now = time.monotonic()
        if not self._live or (now - self._last < _REDRAW_SECONDS and done != total):
            return
        self._last = now
        figures = f"{done}/{total}" if total else str(done)
        bar = max(0, min(_BAR, self._width() - len(figures) - _LEAST_NAME - 4))
        filled = bar * done // total if total else 0
        line = f"[{'#' * filled}{'.' * (bar - filled)}] {figures} {printable(what)[:60]}"
        self._stream.write(f"\r\x1b[K{line[: self._width()]}")
        self._stream.flush()
        self._drawn = True

    def item(self, text: str) -> None:
        """Print the present item. On a terminal, the next item replaces the line; elsewhere each has its own line."""
        if not self._live:
            self._line(text)
            return
        self._stream.write(f"\r\x1b[K{printable(text)[: self._width()]}")
        self._stream.flush()
        self._drawn = True

    @staticmethod
    def _width() -> int:
        """Return the columns of a line that is drawn over: a line that wraps cannot be erased."""
        return shutil.get_terminal_size().columns - 1

    def _line(self, text: str, *, label: tuple[str, int] | None = None) -> None:
        erase = "\r\x1b[K" if self._drawn else ""
        lead = f"{self._program}: {self._painted(*label)}: " if label else ""
        self._drawn = False
        shown = printable(text).replace("\n", "\n  ")  # the output of another program must not look like ours
        self._stream.write(f"{erase}{lead}{shown}\n")
        self._stream.flush()

    def _painted(self, word: str, colour: int) -> str:
        return f"\x1b[{colour}m{word}\x1b[0m" if self._colour else word


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """The environment, folders, clock and terminal of the command, for modules that may not read them themselves.

    A folder that is missing is an error of the command that needs it, and of no other.
    """

    program: str
    environ: Mapping[str, str]
    terminal: Terminal
    stdin_is_terminal: bool
    now: Callable[[], float]

    @property
    def cwd(self) -> Path:
        """The working folder. Raises `WorldFailed` if somebody has removed it."""
        try:
            return Path.cwd()
        except OSError as error:
            problem = f"cannot be used: {(error.strerror or str(error)).lower()}"
            raise WorldFailed("the working folder", problem, hint="cd / (or to another folder)") from error

    def at(self, path: str) -> Path:
        """Return the absolute path of what a person wrote. Raises `WorldFailed` as `cwd` does, for a relative one."""
        return Path(path) if path.startswith("/") else self.cwd / path

    @property
    def user_home(self) -> Path:
        """The user's own folder. Raises `WorldFailed` if there is no HOME, and no entry in /etc/passwd."""
        try:
            return Path.home()
        except RuntimeError as error:
            problem = f"is not set, and user {os.getuid()} has no folder in /etc/passwd"
            raise WorldFailed("HOME", problem, hint="name a folder: --home DIR, or set COSMOS_HOME") from error

    def reporter(self, *, quiet: bool) -> Reporter:
        """Return the reporter of progress: the terminal, or a silent one if `quiet`."""
        return Silent() if quiet else self.terminal

    def home(self, named: Path | None, *, near: Path | None = None) -> Path:
        """Return the builder's home: the named one, or the nearest `.cosmos/` above `near`, or the user's own."""
        if named is not None:
            return named
        start = real(near if near is not None and near.is_absolute() else self.cwd / (near or ""))
        for folder in (start, *start.parents):
            if (folder / HOME_FOLDER).is_dir():
                return folder / HOME_FOLDER
        data = self.environ.get("XDG_DATA_HOME") or str(self.user_home / ".local" / "share")
        return Path(data) / "cosmos"


def surroundings() -> Surroundings:
    """Return the surroundings of the running command; raises `RuntimeError` outside of `run`."""
    found = click.get_current_context().find_object(Surroundings)
    if found is None:
        raise RuntimeError("the command was not started through run()")
    return found


def emit(value: Json) -> None:
    """Write `value` as JSON on stdout. A byte of a path that is no UTF-8 becomes half a pair, such as `\\udcff`."""
    sys.stdout.write(readable_text(value).encode("utf-8", "backslashreplace").decode())


def say(text: str = "") -> None:
    """Write one line of an answer on stdout."""
    sys.stdout.write(printable(text) + "\n")


def say_document(data: bytes) -> None:
    """Write a document that somebody else wrote on stdout: as it is to a file or a pipe, printable to a terminal."""
    if sys.stdout.isatty():
        text = printable(data.decode("utf-8", "backslashreplace").replace("\t", "    "))
        say(text.removesuffix("\n"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def answer(row: Mapping[str, Json], as_json: bool, text: str) -> None:
    """Write an answer on stdout: `row` as JSON if `as_json`, else `text`."""
    if as_json:
        emit(dict(row))
    else:
        say(text)


def printable(text: str) -> str:
    """Return `text` without control characters, so that no name in an archive can control the terminal.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _spelt(char) for char in text)


def in_one_line(text: str) -> str:
    """Return `text` as `printable` does, also without line breaks: it cannot pretend to be a line of ours.

    >>> in_one_line("MIT\\n  signed by everybody")
    'MIT\\\\x0a  signed by everybody'
    """
    return printable(text).replace("\n", "\\x0a")


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `command` as the program and exit with the code of its outcome."""
    stderr = sys.stderr or io.StringIO()  # None if it was closed before we started
    _write_all_of_it()
    gc.set_threshold(20_000, 20, 50)  # with tens of thousands of rows, collecting as often as usual takes a sixth
    around = Surroundings(
        program=program,
        environ=dict(os.environ),
        terminal=Terminal(program, stderr, environ=os.environ),
        stdin_is_terminal=sys.stdin is not None and sys.stdin.isatty(),
        now=time.time,
    )
    try:
        code = _outcome(command, program, arguments, around)
    except BrokenPipeError:
        code = _cut()
    sys.exit(code)


def _write_all_of_it() -> None:
    """Let stdout take UTF-8 in every locale: documents are in no other encoding.

    Give stdout a buffer if it has none (PYTHONUNBUFFERED, `python -u`), so that a short write raises an error. A raw
    file may write only a part of the data and return its size. Python's text layer does not check this size.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and isinstance(out.buffer, io.RawIOBase):
        whole = io.BufferedWriter(io.FileIO(out.fileno(), "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(whole, encoding=out.encoding, errors=out.errors, line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Ended`, once, so that every block cleans up. Ignored signals stay so (nohup)."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)  # cleaning up must not be interrupted
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outcome(command: click.Command, program: str, arguments: Sequence[str] | None, around: Surroundings) -> int:
    terminal = around.terminal
    try:
        if sys.stdout is None:
            raise WorldFailed("stdout", "is closed")
        given = None if arguments is None else list(arguments)
        with _ended_by_signals():
            result = command.main(args=given, prog_name=program, standalone_mode=False, obj=around)
        sys.stdout.flush()
    except CosmosError as error:
        return _failed(error, terminal)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        return EXIT_MALFORMED
    except click.ClickException as error:
        terminal.error(_in_our_words(error.format_message()))
        if isinstance(error, click.UsageError) and error.ctx is not None:
            terminal.hint(f"{error.ctx.command_path} --help")
        return EXIT_MALFORMED
    except (KeyboardInterrupt, click.Abort):
        terminal.error("interrupted")
        return EXIT_INTERRUPTED
    except Ended as ended:
        terminal.error(f"ended by {signal.Signals(ended.number).name}")
        return 128 + ended.number
    except SystemExit as ended:  # click raises it after a completion, and for a closed pipe; nothing else here does
        if f"_{program.upper()}_COMPLETE" in around.environ and isinstance(ended.code, int):
            return ended.code
        return _cut() if _is_cut() else _failed(WorldFailed(program, "a pipe is cut"), terminal)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_cut():
            return _cut()
        return _failed(_of_the_machine(error, program), terminal)
    except MemoryError:
        return _failed(WorldFailed(program, "there is too little memory for this", hint=_MEMORY_HINT), terminal)
    except Exception:  # what the shell's variables for the Tab key break is told to nobody
        return EXIT_MALFORMED if f"_{program.upper()}_COMPLETE" in around.environ else _bug(terminal)
    return result if isinstance(result, int) else 0


def _bug(terminal: Terminal) -> int:
    """Say that the exception at hand is our bug, and where to report it."""
    terminal.error(f"this is a bug in cosmos {VERSION}\n{traceback.format_exc().rstrip()}")
    terminal.hint(REPORT_BUGS_TO)
    return EXIT_BUG


def _of_the_machine(error: OSError, program: str) -> WorldFailed:
    """Return an error of the operating system as ours."""
    named = error.filename if isinstance(error.filename, str) else program
    return WorldFailed(named, (error.strerror or str(error)).lower(), hint=likely_cause(error))


def _in_our_words(message: str) -> str:
    """Return click's sentence in the form of our errors.

    >>> _in_our_words("No such command 'frob'.")
    "no such command 'frob'"
    >>> _in_our_words("NAME: want letters")
    'NAME: want letters'
    """
    first, rest = message[:1], message[1:].removesuffix(".")
    return (first if rest[:1].isupper() else first.lower()) + rest


def _is_cut() -> bool:
    """Return whether the reader of our stdout or stderr has closed it."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _cut() -> int:
    """Return the exit code for a closed pipe, and make sure that the interpreter prints nothing at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return EXIT_CUT


def _failed(error: CosmosError, terminal: Terminal) -> int:
    terminal.error(str(error))
    if isinstance(error, Differs):
        for difference in error.differences:
            terminal.note(f"  {difference}")
    if error.hint:
        terminal.hint(error.hint)
    return error.exit_code


def _spelt(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
