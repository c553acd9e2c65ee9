"""The output of both programs: results on stdout, everything else on stderr, one error line, one hint.

    cosmos: error: zlib: the lock names sha256:9f…, but the file is sha256:2c…
    cosmos: hint: …

stdout carries only data. Progress is drawn only on a terminal. `NO_COLOR` and `TERM=dumb` are obeyed, and every message
can be read without colour.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

import click

from cosmos.canon import Json, readable_text
from cosmos.errors import WorldFailed
from cosmos.links import real
from cosmos.model.reporter import Reporter, Silent, Unit
from cosmos.records import dataclass

if TYPE_CHECKING:
    from cosmos.cli.live_line import LiveLine

HOME_FOLDER = ".cosmos"
_NAME = 60  # characters of the name of what is in work


class Lines(Reporter, Protocol):
    """A reporter for a program, which is also told how the command ended."""

    def end(self, exit_code: int) -> None:
        """Say that the command ended."""


class Terminal:
    """Writes messages and progress to stderr for a person. `lines` is the reporter for a program, if one was asked for.

    Progress is a line that moves (`live`), unless stderr is no terminal or a dumb one.
    """

    def __init__(
        self, program: str, stream: TextIO, *, environ: Mapping[str, str], live: LiveLine | None = None
    ) -> None:
        self._program = program
        self._stream = stream
        self.is_terminal = stream.isatty()
        self._is_live = self.is_terminal and environ.get("TERM") != "dumb"
        self._colour = self._is_live and "NO_COLOR" not in environ
        self._is_quiet = False
        self._live = live  # made with the first work: most commands have none
        self.lines: Lines | None = None
        self.held: list[Json] | None = None  # answers in JSON that wait for the end: an error is added to them

    def hush(self, *, quiet: bool, plain: bool) -> None:
        """Print no progress and no notes if `quiet`; draw no line that moves if `plain`."""
        self._is_quiet = quiet
        self._is_live = self._is_live and not (plain or quiet)

    @property
    def is_live(self) -> bool:
        """Whether a line can be drawn over: it is a terminal, and not a log."""
        return self._is_live

    def step(self, text: str) -> None:
        """Report that a step begins."""
        self.note(text)
        if self._is_live:
            self._moving().work(printable(text))

    def note(self, text: str) -> None:
        """Print a note, unless told to be quiet."""
        if not self._is_quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Print what a person must know, for example before a question."""
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
        self.clear()
        self.put(text)

    def progress(self, what: str, done: int, total: int, unit: Unit = "things") -> None:
        """Show how far a step is on a terminal; print nothing elsewhere."""
        if self._is_live:
            self._moving().progress(printable(what)[:_NAME], done, total, unit)

    def item(self, text: str) -> None:
        """Print the present item. On a terminal, the next item replaces the line; elsewhere each has its own line."""
        if self._is_live:
            self._moving().item(printable(text))
        else:
            self.note(text)

    def clear(self) -> None:
        """Erase the line that moves, until the next step: before an answer, or a question."""
        if self._live is not None:
            with self._live.lock:
                self._live.rest()
                if erasing := self._live.erased():
                    self.put(erasing)

    def end(self, exit_code: int) -> None:
        """Draw no more, and tell the reader of `lines` how the command ended."""
        if self._live is not None:
            self._live.end()
        if self.lines is not None:
            self.lines.end(exit_code)

    def _moving(self) -> LiveLine:
        if self._live is None:
            from cosmos.cli.live_line import LiveLine

            self._live = LiveLine(self._stream, ticks=True)
        return self._live

    def _line(self, text: str, *, label: tuple[str, int] | None = None) -> None:
        lead = f"{self._program}: {self._painted(*label)}: " if label else ""
        shown = printable(text).replace("\n", "\n  ")  # the output of another program must not look like ours
        with self._live.lock if self._live is not None else contextlib.nullcontext():
            erase = "" if self._live is None else self._live.erased()
            self.put(f"{erase}{lead}{shown}\n")

    def put(self, text: str) -> None:
        """Write `text` as it is. On a full disk it is lost, and all that follows: the command has its own exit code."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # Python writes the rest of its buffer when it ends
            os.close(nowhere)

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
        """Return the reporter of progress: JSON lines if asked for, else the terminal, or a silent one if `quiet`."""
        return self.terminal.lines or (Silent() if quiet else self.terminal)

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


def _answering() -> list[Json] | None:
    """Erase the line that moves, so that the answer does not begin behind it. Return where answers in JSON wait."""
    context = click.get_current_context(silent=True)
    around = None if context is None else context.find_object(Surroundings)
    if around is None:
        return None
    around.terminal.clear()
    return around.terminal.held


def emit(value: Json) -> None:
    """Answer with `value` as JSON on stdout: with `--json` when the command ends, as an error may have to be added."""
    held = _answering()
    if held is None:
        write_json(value)
    else:
        held.append(value)


class NamingStdout:
    """Name stdout in an error of the block, which writes to it. A class, because `say` runs for every line."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: object, _where: object) -> None:
        """Give an `OSError` the name."""
        if isinstance(error, OSError):
            error.filename = "stdout"


def write_json(value: Json) -> None:
    """Write `value` on stdout. A byte of a path that is no UTF-8 becomes half a pair, such as `\\udcff`."""
    with NamingStdout():
        sys.stdout.write(readable_text(value).encode("utf-8", "backslashreplace").decode())


def say(text: str = "") -> None:
    """Write one line of an answer on stdout."""
    _answering()
    with NamingStdout():
        sys.stdout.write(printable(text) + "\n")


def say_document(data: bytes) -> None:
    """Write a document that somebody else wrote on stdout: as it is to a file or a pipe, printable to a terminal."""
    if sys.stdout.isatty():
        text = printable(data.decode("utf-8", "backslashreplace").replace("\t", "    "))
        say(text.removesuffix("\n"))
        return
    _answering()
    with NamingStdout():
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


def _spelt(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
