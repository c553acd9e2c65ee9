"""`--quiet` and `--progress`: how a command says what it is doing.

    cosmos build demo --quiet                              only warnings and errors
    cosmos build demo --progress plain                     a line a step, as in a log, also on a terminal
    cosmos build demo --progress json                      one JSON object a line on stderr, instead of text
    cosmos build demo --progress json --progress-fd 3      the same on file descriptor 3

`event` says what kind of line it is. `step`, `item`, `note` and `warn` have a `text`. `progress` has `what`, `done`,
`total` (null: not known) and `unit` (`bytes` or `things`), and comes about ten times a second. The last line is `end`,
with the exit code as `exit`. If the reader closes the descriptor, the work goes on without it. So it does if the reader
leaves a pipe full: it misses lines of progress at once, and all other lines after PATIENCE_SECONDS.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import select
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import click

from cosmos.canon import Json
from cosmos.cli.terminal import surroundings
from cosmos.errors import Malformed
from cosmos.model.reporter import Unit

_Words = ParamSpec("_Words")
_Answer = TypeVar("_Answer")
_STDERR: Final = 2
_SECONDS: Final = 0.1  # between two lines of progress
PATIENCE_SECONDS: Final = 10.0  # for a reader that reads nothing: then it counts as gone


class JsonLines:
    """A reporter that writes JSON, one object a line, to a file descriptor."""

    def __init__(self, fd: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fd: int | None = fd
        self._clock, self._last = clock, clock() - _SECONDS

    def step(self, text: str) -> None:
        """Write that a step begins."""
        self._write({"event": "step", "text": text})

    def progress(self, what: str, done: int, total: int, unit: Unit = "things") -> None:
        """Write how far a step is, unless a line of progress was written just now and the step goes on."""
        now = self._clock()
        if now - self._last >= _SECONDS or done == total:
            self._last = now
            if self._has_room(0):
                self._write({"event": "progress", "what": what, "done": done, "total": total or None, "unit": unit})

    def item(self, text: str) -> None:
        """Write which thing is in work."""
        self._write({"event": "item", "text": text})

    def note(self, text: str) -> None:
        """Write a note."""
        self._write({"event": "note", "text": text})

    def warn(self, text: str) -> None:
        """Write a warning."""
        self._write({"event": "warn", "text": text})

    def end(self, exit_code: int) -> None:
        """Write how the command ended."""
        self._write({"event": "end", "exit": exit_code})

    def _write(self, row: dict[str, Json]) -> None:
        data = json.dumps(row).encode() + b"\n"  # ASCII, so that no byte of a path breaks the line
        while data and self._fd is not None:
            if not self._has_room(PATIENCE_SECONDS):
                self._fd = None
                return
            try:
                data = data[os.write(self._fd, data[: select.PIPE_BUF]) :]  # for so much a pipe with room never blocks
            except BlockingIOError:
                continue
            except OSError:  # the reader has gone: its own choice
                self._fd = None

    def _has_room(self, seconds: float) -> bool:
        """Return whether a write would not wait for the reader; look for at most `seconds`."""
        if self._fd is None:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))


def reporting_options(command: Callable[_Words, _Answer]) -> Callable[_Words, _Answer]:
    """Give a command that reports `--quiet`, `--progress` and `--progress-fd`; the command itself does not see them."""

    @click.option("--quiet", "-q", is_flag=True, help="Print no progress and no notes, only warnings and errors.")
    @click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "json"]),
        default="auto",
        show_default=True,
        help="Show progress as a line that moves (on a terminal), as plain lines, or as JSON, one object a line.",
    )
    @click.option(
        "--progress-fd",
        type=click.IntRange(min=_STDERR),
        metavar="N",
        help="Write the JSON of --progress json to file descriptor N [default: 2, stderr].",
    )
    @functools.wraps(command)
    def reporting(*words: _Words.args, **options: _Words.kwargs) -> _Answer:
        how, fd = options.pop("progress"), options.pop("progress_fd")
        terminal = surroundings().terminal
        terminal.hush(quiet=bool(options.pop("quiet")), plain=how != "auto")
        if how == "json":
            terminal.lines = JsonLines(_writable(_STDERR if fd is None else fd))
        elif fd is not None:
            raise click.UsageError("--progress-fd is for --progress json")
        return command(*words, **options)

    return reporting


def _writable(fd: object) -> int:
    """Return `fd`; raises `Malformed` if it cannot be written to. `cosmos.process` hands it to no program."""
    number = int(str(fd))
    try:
        access = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except (OSError, OverflowError):
        access = os.O_RDONLY
    if access == os.O_RDONLY:
        raise Malformed(
            "--progress-fd", f"descriptor {number} is not open for writing", hint="add --progress-fd 3 3>progress.jsonl"
        )
    return number
