"""The only place that starts programs: arguments as a list, explicit environment, bounded time, nothing left behind.

A program gets its own session. When it ends, when its time is up, or when the caller is interrupted, the rest of its
process group is killed. This happens before the leader is waited for, because until then no other group can have the
same number.

If cosmos itself is killed, the kernel kills each of its children (PR_SET_PDEATHSIG, prctl(2)), and a *watcher* kills
what these have started: a small shell in a session of its own. It reads from a pipe which groups there are. A program
writes itself into that pipe before it begins. The end of the pipe is the end of cosmos.

`run_program` is for programs that answer; `start_program` for programs that are watched while they run.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from cosmos.errors import WorldFailed

_TAIL_LINES: Final = 12  # of stderr in an error: what a person reads before scrolling
_TAIL_BYTES: Final = 8 << 10
_MAX_OUTPUT_BYTES: Final = 512 << 20  # of stdout; the largest answer so far, all of a distribution's index, has 60 MiB
_MAX_LINE_BYTES: Final = 64 << 10  # a console that prints no newline must not fill the memory
_READ_BYTES: Final = 64 << 10
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2  # <linux/prctl.h>
_LIBC: Final = ctypes.CDLL(None)  # loaded before there is a fork
_UMASK: Final = 0o022  # of a confined program, whoever starts cosmos
# Each line of its input adds a group by a token and a number, or takes the token away. The end kills what is left.
_WATCHER: Final = """
groups=
while read -r sign token number; do
  case $sign in
    +) groups="$groups $token:$number" ;;
    -) kept=; for one in $groups; do [ "${one%:*}" = "$token" ] || kept="$kept $one"; done; groups=$kept ;;
  esac
done
for one in $groups; do kill -KILL "-${one#*:}"; kill -KILL "${one#*:}"; done
"""


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

    Raises `WorldFailed` if the program is missing, does not end with status 0, or takes too long. The error names the
    program and holds the last lines of its stderr.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaint:
        given.write(stdin)
        given.seek(0)
        with _group(argv, env, cwd, given, answer, complaint, where) as leader:
            in_time = _ended(leader, timeout_seconds)
        if not in_time:
            raise _failure(where, argv, f"was not done in {timeout_seconds:g} seconds", _tail(complaint))
        if leader.returncode != 0:
            raise _failure(where, argv, outcome(leader.returncode), _tail(complaint))
        size = answer.seek(0, os.SEEK_END)
        if size > _MAX_OUTPUT_BYTES:
            raise WorldFailed(where, f"{_named(argv)} answered {size} bytes, the limit is {_MAX_OUTPUT_BYTES}")
        answer.seek(0)
        return answer.read()


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What a program may use: `limits` by the numbers of `resource`, and its `user`, also its group; None: the same.

    A limit of this process that is lower stays. A confined program does not see the umask, the ignored signals and, if
    its user is another, the groups of cosmos.
    """

    limits: Mapping[int, int]
    user: int | None = None

    def enter(self) -> None:
        """Set limits and signals for this process; the program that it starts keeps them."""
        for which, wanted in self.limits.items():
            present = resource.getrlimit(which)[1]
            value = wanted if present == resource.RLIM_INFINITY else min(wanted, present)
            resource.setrlimit(which, (value, value))
        for number in signal.valid_signals():
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


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

    def lines(self, timeout_seconds: float, stall: Stall | None = None) -> Iterator[str]:
        """Yield its lines, without their ends, until it closes its output.

        A last line without its newline is yielded as well. Raises `WorldFailed` when the time is up, counted from the
        first call, and if the program is stuck. The caller may stop and call it again: no line is lost.
        """
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
) -> Iterator[RunningProgram]:
    """Give the running program; the end of the block kills it and all that it started. Raises `WorldFailed`.

    It inherits the descriptors `pass_fds`, under their numbers, and no others except stdin, stdout and stderr. With
    stdin `ours` it reads what `send` writes. Otherwise its stdin is empty, so that no program waits for input.
    """
    given = subprocess.PIPE if stdin == "ours" else subprocess.DEVNULL
    streams = (given, subprocess.PIPE, subprocess.STDOUT)
    with _group(argv, env, cwd, *streams, where, pass_fds, confinement) as leader:
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
            preexec_fn=_dying_with(os.getpid()) if is_main else None,
        )
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise WorldFailed(where, f"{_named(argv)} cannot be started: {why}") from error


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


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; if `parent` is its parent no more, it dies now.

    A change of its user takes that back, also setfsuid(2): then a process asks again.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before this call
        os.kill(os.getpid(), signal.SIGKILL)


def parent_to_die_with() -> int | None:
    """Return the parent with which this process dies; None if it does not."""
    asked = ctypes.c_int()
    _LIBC.prctl(_PR_GET_PDEATHSIG, ctypes.byref(asked), 0, 0, 0)
    return os.getppid() if asked.value else None


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
    stdin: IO[bytes] | int,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
    where: str,
    pass_fds: Sequence[int] = (),
    confinement: Confinement | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the leader of a new session; the end of the block kills the rest of its group and waits for it."""
    watcher = _watching(where)
    token = watcher.token()
    user = confinement.user if confinement is not None else None
    try:
        leader = subprocess.Popen(  # noqa: S603 - a list, no shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=pass_fds,
            umask=-1 if confinement is None else _UMASK,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
            preexec_fn=_prepared(os.getpid(), watcher, token, confinement),
        )
    except FileNotFoundError as error:
        watcher.forget(token)
        missing = cwd if cwd is not None and not cwd.is_dir() else argv[0]
        raise WorldFailed(where, f"{missing} is not there", hint=f"install {_named(argv)}") from error
    except OSError as error:
        watcher.forget(token)
        why = (error.strerror or str(error)).lower()
        raise WorldFailed(where, f"{_named(argv)} cannot be started: {why}") from error
    try:
        yield leader
    finally:
        _kill_group(leader)
        watcher.forget(token)  # before its number can be another's
        leader.wait()
        for pipe in (leader.stdin, leader.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _prepared(parent: int, watcher: _Watcher, token: int, confinement: Confinement | None) -> Callable[[], None]:
    """Return the function that a child runs before the program, as its user already."""

    def prepare() -> None:
        watcher.add(os.getpid(), token)
        if confinement is not None:
            confinement.enter()
        die_with(parent)  # after the change of user, which clears it

    return prepare


def _dying_with(parent: int) -> Callable[[], None]:
    return lambda: die_with(parent)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watcher:
    """The shell that kills the groups that it was told of when this process ends."""

    shell: subprocess.Popen[bytes]
    number: int  # the end of its pipe
    tokens: Iterator[int] = field(default_factory=itertools.count)

    def token(self) -> int:
        """Return a name for one group, which no other has."""
        return next(self.tokens)

    def add(self, group: int, token: int | None = None) -> int:
        """Have the group killed, and the process of the same number; return the token."""
        token = self.token() if token is None else token
        self._say(b"+ %d %d\n" % (token, group))
        return token

    def forget(self, token: int) -> None:
        """Leave the group alone."""
        self._say(b"- %d\n" % token)

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody killed it: the kernel still kills our children
            os.write(self.number, line)


_watchers: Final[dict[int, _Watcher]] = {}  # by process: a fork has its own
_watchers_lock: Final = threading.Lock()


def _watching(where: str) -> _Watcher:
    """Return this process's watcher; starts it if there is none. Raises `WorldFailed`."""
    with _watchers_lock:
        watcher = _watchers.get(os.getpid())
        if watcher is None or watcher.shell.poll() is not None:
            watcher = _watchers[os.getpid()] = _new_watcher(where)
        return watcher


def _new_watcher(where: str) -> _Watcher:
    shell = find_program("sh", "a shell at /bin/sh is part of every system", path="/bin:/usr/bin")
    try:
        started = subprocess.Popen(  # noqa: S603 - a list, and the script is a constant
            [shell, "-c", _WATCHER],
            env={},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise WorldFailed(where, f"{shell} cannot be started: {(error.strerror or str(error)).lower()}") from error
    assert started.stdin is not None
    return _Watcher(shell=started, number=started.stdin.fileno())


def _ended(leader: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    """Return whether the leader ends in time; it is not waited for yet."""
    if leader.returncode is not None:
        return True
    number = os.pidfd_open(leader.pid)
    try:
        return _readable(number, timeout_seconds)
    finally:
        os.close(number)


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
