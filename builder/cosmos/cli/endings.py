"""Run a program, and end it: one error line, one hint, one exit code.

Exit codes: see `cosmos.errors`; 1 for our own bug. If a signal ended us, it is 128 plus the signal's number: 129
SIGHUP, 130 SIGINT, 143 SIGTERM. It is 141 (SIGPIPE) if the reader closed the pipe.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

import click

from cosmos.about import REPORT_BUGS_TO, VERSION
from cosmos.cli.collecting import collect_as_usual
from cosmos.cli.failing import Failure, answer_held, asks_for_json, failure_of
from cosmos.cli.terminal import NamingStdout, Surroundings, Terminal
from cosmos.errors import CosmosError, WorldFailed, likely_cause

_LITTLE_MEMORY = "there is too little memory for this"
_ZSTD_LACKS_MEMORY = "Allocation error : not enough memory"  # the words of zstd's error 64
_MEMORY_HINT = "give it more memory, or raise its limit (ulimit -v); fewer jobs at once take less: --jobs 1"
EXIT_BUG = 1
EXIT_MALFORMED = 2
EXIT_INTERRUPTED = 130
EXIT_CUT = 141


class Ended(BaseException):
    """A signal asked us to end. It is not an `Exception`, so that no handler of failures catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `command` as the program and exit with the code of its outcome."""
    _open_the_first_three()
    stderr = sys.stderr or io.StringIO()  # None if it was closed before we started
    _write_all_of_it()
    collect_as_usual()
    around = Surroundings(
        program=program,
        environ=dict(os.environ),
        terminal=Terminal(program, stderr, environ=os.environ),
        stdin_is_terminal=sys.stdin is not None and sys.stdin.isatty(),
        now=time.time,
    )
    if asks_for_json(sys.argv[1:] if arguments is None else arguments):
        around.terminal.held = []
    try:
        code = _outcome(command, program, arguments, around)
        around.terminal.end(code)
    except BrokenPipeError:
        code = _cut()
    sys.exit(code)


def _open_the_first_three() -> None:
    """Open each closed one of stdin, stdout and stderr as nothing: a file of ours must not get its number.

    Else what a program writes to its stderr, or we to descriptor 2, would stand in a file of the store.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free


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
    """Let SIGTERM and SIGHUP raise `Ended`, once, so that every block cleans up. Ignored signals stay so (nohup).

    SIGINT raises `KeyboardInterrupt` from here on, also in the single-file binary, whose start it ends silently.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    terminal, completes = around.terminal, f"_{program.upper()}_COMPLETE" in around.environ
    try:
        if sys.stdout is None:
            raise WorldFailed("stdout", "is closed")
        given = None if arguments is None else list(arguments)
        with _ended_by_signals():
            result = command.main(args=given, prog_name=program, standalone_mode=False, obj=around)
        with NamingStdout():
            answer_held(terminal.held)
            sys.stdout.flush()
    except CosmosError as error:
        return _failed(failure_of(_little_memory(program) if _lacks_memory(error) else error), terminal)
    except click.exceptions.NoArgsIsHelpError as error:
        terminal.put(f"{error.format_message()}\n")
        return EXIT_MALFORMED
    except click.ClickException as error:
        help_of = _help_of(command, program, sys.argv[1:] if arguments is None else arguments)
        said = _in_our_words(error.format_message())
        return _failed(Failure(EXIT_MALFORMED, "malformed", said, hint=help_of), terminal)
    except (KeyboardInterrupt, click.Abort):
        return _failed(Failure(EXIT_INTERRUPTED, "interrupted", "interrupted"), terminal)
    except Ended as ended:
        said = f"ended by {signal.Signals(ended.number).name}"
        return _failed(Failure(128 + ended.number, "interrupted", said), terminal)
    except SystemExit as ended:  # click raises it after a completion, and for a closed pipe; nothing else here does
        if completes and isinstance(ended.code, int):
            return ended.code
        return _cut() if _is_cut() else _failed(failure_of(WorldFailed(program, "a pipe is cut")), terminal)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_cut():
            return _cut()
        return _failed(failure_of(_of_the_machine(error, program)), terminal)
    except MemoryError:
        return _failed(failure_of(_little_memory(program)), terminal)
    except UnicodeEncodeError as error:
        return EXIT_MALFORMED if completes else _failed(_not_utf8(error, arguments), terminal)
    except Exception as error:  # what the shell's variables for the Tab key break is told to nobody
        return EXIT_MALFORMED if completes else _failed(_unexpected(error, program), terminal)
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception, program: str) -> Failure:
    return failure_of(_little_memory(program)) if _lacks_memory(error) else _bug()


def _little_memory(program: str) -> WorldFailed:
    return WorldFailed(program, _LITTLE_MEMORY, hint=_MEMORY_HINT)


def _lacks_memory(error: BaseException | None) -> bool:
    """Return whether zstd had too little memory, which says nothing about the data: it may have been taken for bad."""
    while error is not None:
        if type(error).__name__ == "ZstdError" and _ZSTD_LACKS_MEMORY in str(error):
            return True
        error = error.__cause__
    return False


def _help_of(command: click.Command, program: str, words: Sequence[str]) -> str:
    """Return the command that explains the command that these words call: click's errors do not all name it."""
    called = [program]
    for word in words:
        found = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if found is None:
            break
        command, called = found, [*called, word]
    return f"{' '.join(called)} --help"


def _not_utf8(error: UnicodeEncodeError, arguments: Sequence[str] | None) -> Failure:
    """Return that a document should hold a word of the command line that is not UTF-8; else it is our bug."""
    words = sys.argv[1:] if arguments is None else arguments
    odd = next((word for word in words if error.object[error.start : error.end] in word), None)
    if odd is None:
        return _bug()
    return Failure(EXIT_MALFORMED, "malformed", "is not UTF-8", odd, hint="write it in UTF-8")


def _bug() -> Failure:
    """Return that the exception at hand is our bug, and where to report it."""
    import traceback  # for a bug alone

    said = f"this is a bug in cosmos {VERSION}\n{traceback.format_exc().rstrip()}"
    return Failure(EXIT_BUG, "bug", said, hint=REPORT_BUGS_TO)


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
    >>> _in_our_words("Missing option '--role'. Choose from:\\n\\troot,\\n\\tauthor")
    "missing option '--role': choose from root, author"
    """
    choices = message.replace(". Choose from:", ": choose from")
    first, rest = message[:1], " ".join(choices.split())[1:].removesuffix(".")
    return (first if rest[:1].isupper() else first.lower()) + rest


def _is_cut() -> bool:
    """Return whether the reader of our stdout or stderr has closed it."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _cut() -> int:
    """Return the exit code for a closed pipe, and make sure that the interpreter prints nothing at its end."""
    _write_nowhere(1, 2)
    return EXIT_CUT


def _write_nowhere(*numbers: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in numbers:
        os.dup2(nowhere, number)


def _told(failure: Failure, terminal: Terminal) -> None:
    terminal.error(failure.text)
    for difference in failure.differences or ():
        terminal.tell(f"  {difference}")
    if failure.hint:
        terminal.hint(failure.hint)
    for other in failure.also:
        terminal.error(other.text)
        if other.hint:
            terminal.hint(other.hint)


def _failed(failure: Failure, terminal: Terminal) -> int:
    _told(failure, terminal)
    if sys.stdout is not None:
        try:
            answer_held(terminal.held, failure)
            sys.stdout.flush()
        except OSError:  # the disk is full, or nobody reads: the command has failed already
            _write_nowhere(1)
    return failure.exit_code


def tell_failure(error: CosmosError | OSError, around: Surroundings) -> None:
    """Print an error and its hint as `run` does, for a command that goes on afterwards."""
    ours = error if isinstance(error, CosmosError) else _of_the_machine(error, around.program)
    _told(failure_of(ours), around.terminal)
