"""The only place that starts programs: arguments as a list, explicit environment, bounded time, nothing left behind.

A program gets its own session. When it ends, when its time is up, or when the caller is interrupted, the rest of its
process group is killed. This happens before the leader is waited for, because until then no other group can have the
same number.

If cosmos itself is killed, the kernel kills each of its children (PR_SET_PDEATHSIG, prctl(2)), and a *watcher* kills
what these have started: a small shell in a session of its own. It reads from a pipe which groups there are. A program
writes itself into that pipe before it begins. The end of the pipe is the end of cosmos.

`run_program` is for programs that answer; `start_program` for programs that are watched while they run;
`attend_program` for programs that a person uses, on cosmos's own terminal and in its process group.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Final, Literal

from cosmos.child import WATCHER, Confinement, Watcher, begin, die_with
from cosmos.errors import WorldFailed
from cosmos.records import dataclass

_TAIL_LINES: Final = 12  # of stderr in an error: what a person reads before scrolling
_TAIL_BYTES: Final = 8 << 10
_MAX_OUTPUT_BYTES: Final = 512 << 20  # of stdout; the largest answer so far, all of a distribution's index, has 60 MiB
_MAX_LINE_BYTES: Final = 64 << 10  # a console that prints no newline must not fill the memory
_READ_BYTES: Final = 64 << 10
_TICK_SECONDS: Final = 1.0
_UMASK: Final = 0o022  # of a confined program, whoever starts cosmos


def find_program(name: str, hint: str, *, path: str | None = None) -> str:
    """Return the file of the program `name` in `path` (None: cosmos's own PATH); raises `WorldFailed` with `hint`."""
    found = shutil.which(name, path=path)
    if found is None:
        raise WorldFailed(name, "this program is needed and is not installed", hint=hint)
    return found


def run_program(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout_seconds: float,
    where: str,
) -> bytes:
    """Return the program's stdout; `where` names its purpose in errors.

    `stdin` stays in memory, because it may be secret. Raises `WorldFailed` if the program is missing, does not end with
    status 0, or takes too long. The error names the program and holds the last lines of its stderr.
    """
    with tempfile.TemporaryFile() as answer:
        run_program_into(answer, argv, env=env, cwd=cwd, stdin=stdin, timeout_seconds=timeout_seconds, where=where)
        size = answer.seek(0, os.SEEK_END)
        if size > _MAX_OUTPUT_BYTES:
            raise WorldFailed(where, f"{_named(argv)} answered {size} bytes, the limit is {_MAX_OUTPUT_BYTES}")
        answer.seek(0)
        return answer.read()


def run_program_into(
    answer: IO[bytes],
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout_seconds: float,
    where: str,
    confinement: Confinement | None = None,
) -> None:
    """Do what `run_program` does, and write the program's stdout to the open file `answer`, of any size.

    Raises `WorldFailed`, as it does.
    """
    with _given(stdin) as given, tempfile.TemporaryFile() as complaint:
        with _group(argv, env, cwd, (given, answer, complaint), where, (), confinement) as leader:
            in_time = _ended(leader, timeout_seconds)
        if not in_time:
            raise _failure(where, argv, f"was not done in {timeout_seconds:g} seconds", _tail(complaint))
        if leader.returncode != 0:
            raise _failure(where, argv, outcome(leader.returncode), _tail(complaint))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall:
    """When a program counts as stuck: for `seconds` it prints nothing and the result of `progress` does not change."""

    seconds: float
    progress: Callable[[], object]


class RunningProgram:
    """A program that is watched: its stdout and stderr as one stream of lines. Made by `start_program`."""

    def __init__(self, leader: subprocess.Popen[bytes], argv: Sequence[str], where: str) -> None:
        self._leader = leader
        self._argv = argv
        self._where = where
        self._kept = b""

    @property
    def pid(self) -> int:
        """Its process id, which stays its own at least until the block of `start_program` ends."""
        return self._leader.pid

    @property
    def status(self) -> int | None:
        """Its exit status (negative: the signal that ended it); None while it runs."""
        if self._leader.returncode is not None:
            return self._leader.returncode
        # WNOWAIT: as long as it is not waited for, its group can still be named and killed
        ended = os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def lines(
        self, timeout_seconds: float, stall: Stall | None = None, tick: Callable[[], None] | None = None
    ) -> Iterator[str]:
        """Yield its lines, without their ends, until it closes its output.

        A last line without its newline is yielded as well. Raises `WorldFailed` when the time is up, counted from the
        first call, and if the program is stuck. The caller may stop and call it again: no line is lost. While the
        program is silent, `tick` is called each second.
        """
        if tick is not None:
            stall = Stall(seconds=_TICK_SECONDS * 4, progress=_ticking(tick))
        deadline = time.monotonic() + timeout_seconds
        while True:
            line, newline, rest = self._kept.partition(b"\n")
            if newline or len(line) > _MAX_LINE_BYTES:
                self._kept = rest
                yield _text(line)
            elif piece := self._read(deadline, timeout_seconds, stall):
                self._kept += piece
            else:
                break
        if self._kept:
            last, self._kept = self._kept, b""
            yield _text(last)

    def send(self, data: bytes) -> None:
        """Write `data` to its stdin; if it no longer reads, the rest is dropped."""
        stdin = self._leader.stdin
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(data)
                stdin.flush()

    def wait(self, timeout_seconds: float) -> int:
        """Return its exit status; raises `WorldFailed` if it has not ended in time."""
        if not _ended(self._leader, timeout_seconds):
            raise _failure(self._where, self._argv, f"has not ended in {timeout_seconds:g} seconds", "")
        _kill_group(self._leader)
        return self._leader.wait()

    def kill(self) -> None:
        """Kill it and every program that it started."""
        _kill_group(self._leader)

    def _read(self, deadline: float, timeout_seconds: float, stall: Stall | None) -> bytes:
        stdout = self._leader.stdout
        if stdout is None:
            return b""
        if not self._speaks(stdout.fileno(), deadline, stall):
            said = _text(self._kept[-_TAIL_BYTES:])
            raise _failure(self._where, self._argv, f"was not done in {timeout_seconds:g} seconds", said)
        return os.read(stdout.fileno(), _READ_BYTES)

    def _speaks(self, number: int, deadline: float, stall: Stall | None) -> bool:
        """Return whether there is something to read before `deadline`; raises `WorldFailed` if it is stuck."""
        seen, since = object(), time.monotonic()
        while (left := deadline - time.monotonic()) > 0:
            if _readable(number, left if stall is None else min(left, stall.seconds / 4)):
                return True
            if stall is None:
                continue
            there = stall.progress()
            if there != seen:
                seen, since = there, time.monotonic()
            elif time.monotonic() - since >= stall.seconds:
                problem = f"was killed: it made no progress for {stall.seconds:g} seconds"
                raise _failure(self._where, self._argv, problem, "")
        return False


def attend_program(argv: Sequence[str], *, env: Mapping[str, str], where: str) -> int:
    """Run the program on our own stdin, stdout and stderr, for a person, and return its exit status.

    It stays in our session, so that it can ask the terminal, and gets what a person types: also Ctrl-C. It is killed
    with us. Raises `WorldFailed`.
    """
    try:
        leader = subprocess.Popen(list(argv), env=dict(env), preexec_fn=partial(die_with, os.getpid()))  # noqa: S603 - a list, no shell
    except OSError as error:
        raise _unstarted(error, argv, None, where) from error
    try:
        return leader.wait()
    except BaseException:
        leader.kill()
        leader.wait()
        raise


@contextlib.contextmanager
def start_program(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    where: str,
    stdin: Literal["empty", "ours"] = "empty",
    pass_fds: Sequence[int] = (),
    confinement: Confinement | None = None,
    terminal: int | None = None,
) -> Iterator[RunningProgram]:
    """Give the running program; the end of the block kills it and all that it started. Raises `WorldFailed`.

    It inherits the descriptors `pass_fds`, under their numbers, and no others except stdin, stdout and stderr. With
    stdin `ours` it reads what `send` writes. Otherwise its stdin is empty, so that no program waits for input. With a
    `terminal`, all three are that descriptor, and `lines` yields nothing.
    """
    given = subprocess.PIPE if stdin == "ours" else subprocess.DEVNULL
    streams = (given, subprocess.PIPE, subprocess.STDOUT) if terminal is None else (terminal, terminal, terminal)
    with _group(argv, env, cwd, streams, where, pass_fds, confinement) as leader:
        yield RunningProgram(leader, argv, where)


def start_server(argv: Sequence[str], *, socket_number: int, where: str) -> object:
    """Start a program that serves on the descriptor `socket_number`; it ends when the other end is closed.

    Its environment is empty. Keep the returned object as long as you use the program. Raises `WorldFailed`. If the main
    thread starts it, the kernel kills it when cosmos is killed; it would kill it with any other thread, too.
    """
    is_main = threading.current_thread() is threading.main_thread()
    try:
        return subprocess.Popen(  # noqa: S603 - a list, no shell
            list(argv),
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(socket_number,),
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()) if is_main else None,
        )
    except OSError as error:
        raise _unstarted(error, argv, None, where) from error


@contextlib.contextmanager
def ending_with_us(pid: int, where: str) -> Iterator[None]:
    """Kill the process `pid`, and its group, if cosmos itself is killed within the block.

    It is for a process that is not a child of cosmos, so that the kernel cannot kill it. Raises `WorldFailed`.
    """
    token = _watching(where).add(pid)
    try:
        yield
    finally:
        _watching(where).forget(token)


def watch_program(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_seconds: float,
    where: str,
    told: Callable[[str], None],
    stall: Stall | None = None,
) -> tuple[int, str]:
    """Run the program to its end, tell each of its lines, and return its exit status and its last lines."""
    last: list[str] = []
    with start_program(argv, env=env, cwd=cwd, where=where) as program:
        for line in program.lines(timeout_seconds, stall):
            told(line)
            last = [*last[1 - _TAIL_LINES :], line]
        return program.wait(timeout_seconds), "\n".join(last)


def outcome(status: int) -> str:
    """Return an exit status in words.

    >>> outcome(3), outcome(-9)
    ('ended with status 3', 'was ended by SIGKILL')
    """
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


@contextlib.contextmanager
def _group(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None,
    streams: tuple[IO[bytes] | int, IO[bytes] | int, IO[bytes] | int],
    where: str,
    pass_fds: Sequence[int] = (),
    confinement: Confinement | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the leader of a new session; the end of the block kills the rest of its group and waits for it."""
    watcher = _watching(where)
    token = watcher.token()
    user = confinement.user if confinement is not None else None
    if confinement is not None:
        confinement.make_room()  # by cosmos, before the child takes the program's user
    try:
        leader = subprocess.Popen(  # noqa: S603 - a list, no shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            start_new_session=True,
            pass_fds=pass_fds,
            umask=-1 if confinement is None else _UMASK,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
            preexec_fn=partial(begin, os.getpid(), watcher, token, confinement),
        )
    except OSError as error:
        watcher.forget(token)
        raise _unstarted(error, argv, cwd, where) from error
    try:
        yield leader
    finally:
        _kill_group(leader)
        watcher.forget(token)  # before its number can be another's
        leader.wait()
        _close(leader.stdin, leader.stdout)


def _unstarted(error: OSError, argv: Sequence[str], cwd: Path | None, where: str) -> WorldFailed:
    if isinstance(error, FileNotFoundError):
        missing = cwd if cwd is not None and not cwd.is_dir() else argv[0]
        return WorldFailed(where, f"{missing} is not there", hint=f"install {_named(argv)}")
    return WorldFailed(where, f"{_named(argv)} cannot be started: {(error.strerror or str(error)).lower()}")


def _close(*pipes: IO[bytes] | None) -> None:
    for pipe in pipes:
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


_watchers: Final[dict[int, tuple[subprocess.Popen[bytes], Watcher]]] = {}  # by process: a fork has its own
_watchers_lock: Final = threading.Lock()


def _watching(where: str) -> Watcher:
    """Return this process's watcher; starts it at the first call. Raises `WorldFailed`."""
    with _watchers_lock:
        shell, watcher = _watchers.get(os.getpid(), (None, None))
        if shell is None or watcher is None or shell.poll() is not None:
            shell, watcher = _watchers[os.getpid()] = _new_watcher(where)
        return watcher


def _new_watcher(where: str) -> tuple[subprocess.Popen[bytes], Watcher]:
    argv = [find_program("sh", "a shell at /bin/sh is part of every system", path="/bin:/usr/bin"), "-c", WATCHER]
    ours, its = os.pipe(), subprocess.DEVNULL
    try:
        shell = subprocess.Popen(  # noqa: S603 - a list, and the script is a constant
            argv, env={}, cwd="/", stdin=ours[0], stdout=its, stderr=its, start_new_session=True
        )
    except OSError as error:
        os.close(ours[1])
        raise _unstarted(error, argv, None, where) from error
    finally:
        os.close(ours[0])
    return shell, Watcher(pipe=ours[1])


def _given(stdin: bytes) -> IO[bytes]:
    """Return what a program reads as its stdin, from the beginning. It lies in memory and on no disk."""
    given = os.fdopen(os.memfd_create("stdin"), "w+b")
    given.write(stdin)
    given.seek(0)
    return given


def _ended(leader: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    """Return whether the leader ends in time; it is not waited for yet."""
    if leader.returncode is not None:
        return True
    number = os.pidfd_open(leader.pid)
    try:
        return _readable(number, timeout_seconds)
    finally:
        os.close(number)


def _ticking(tick: Callable[[], None]) -> Callable[[], object]:
    """Return a progress that never stands still, and that calls `tick` whenever it is asked."""

    def progress() -> object:
        tick()
        return object()

    return progress


def _readable(number: int, timeout_seconds: float) -> bool:
    poll = select.poll()  # not select(), which cannot see descriptors above 1,023
    poll.register(number, select.POLLIN)
    return bool(poll.poll(timeout_seconds * 1000))


def _kill_group(leader: subprocess.Popen[bytes]) -> None:
    if leader.returncode is None:  # not waited for: the number is still this group's
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, signal.SIGKILL)


def _failure(where: str, argv: Sequence[str], problem: str, tail: str) -> WorldFailed:
    said = f"; it said:\n{tail}" if tail else ""
    return WorldFailed(where, f"{_named(argv)} {problem}{said}")


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _TAIL_BYTES))
    return "\n".join(_text(stream.read()).splitlines()[-_TAIL_LINES:])


def _named(argv: Sequence[str]) -> str:
    return Path(argv[0]).name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").rstrip("\r\n")
