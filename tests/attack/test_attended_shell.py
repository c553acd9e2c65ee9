"""A program that a person uses in the sandbox: it gets no more than a program of `run()`, but a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.errors import WorldFailed
from cosmos.sandbox import bubble_probe
from cosmos.sandbox.attended import Person, private_terminal
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.sandbox.bubble_probe import Asked, Process, inspected
from fakes.terminals import written
from fakes.waiting import soon

pytestmark = [
    pytest.mark.objective("SO-22"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there"),
]
MARK = f"71.{os.getpid():08}"


@pytest.fixture
def person() -> Iterator[tuple[int, Person]]:
    """Somebody at a terminal of 30 lines: our end of it, and the person."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 30, 90, 0, 0))
    yield ours, Person(reads=its, writes=its, kind="dumb")
    os.close(ours)
    os.close(its)


@pytest.fixture
def attended(person: tuple[int, Person]) -> Callable[[str], str]:
    """Runs a shell command for the person; returns what it prints on the terminal."""

    def run(command: str) -> str:
        bubble = Bubble(tools=HOST_TOOLS, epoch=5, timeout_seconds=1, where="x")
        status = bubble.attend((b"sh", b"-c", command.encode()), {b"CC": b"gcc"}, {}, person[1])
        return written(person[0], person[1].writes).decode().replace("\r\n", "\n") + f"status {status}"

    return run


def test_it_is_as_confined_as_a_program_of_run(attended: Callable[[str], str]) -> None:
    seen = attended("env; ulimit -n; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; ls -1 / /proc/self/fd")
    environment, _, rest = seen.partition("1024\n")
    assert set(environment.split("\n")) - {""} == {
        "CC=gcc", "HOME=", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/usr/sbin:/bin:/sbin", "PWD=/stage", "TERM=dumb",
        "SOURCE_DATE_EPOCH=5", "TAR_OPTIONS=--no-same-owner", "TMPDIR=/tmp", "TZ=UTC",
    }  # fmt: skip
    assert rest.startswith("CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n")
    assert "/:\nbin\ndev\netc\nlib\n" in rest
    assert rest.endswith("/proc/self/fd:\n0\n1\n2\n3\nstatus 0")


def test_its_terminal_is_another_than_the_persons(attended: Callable[[str], str], person: tuple[int, Person]) -> None:
    own = os.fstat(person[1].reads).st_rdev
    seen = attended("cd /proc/self/fd; stat -L -c %r 0 1 2 /dev/console; stty size; ls /dev/pts")
    first, *others, size, names, status = seen.split("\n")
    assert first.isdigit()
    assert int(first) != own
    assert (set(others), size, names, status) == ({first}, "30 90", "ptmx", "status 0")


def test_what_it_leaves_behind_ends_with_it(attended: Callable[[str], str]) -> None:
    assert attended(f"sleep {MARK} & setsid -f sleep {MARK}; echo left; exit 4") == "left\nstatus 4"
    assert soon(lambda: not _runs(MARK))


def test_the_persons_terminal_and_signals_are_as_before(
    attended: Callable[[str], str], person: tuple[int, Person]
) -> None:
    before = termios.tcgetattr(person[1].reads), signal.getsignal(signal.SIGWINCH)
    assert attended("stty raw -echo; kill -KILL $$") == "status 137"
    assert (termios.tcgetattr(person[1].reads), signal.getsignal(signal.SIGWINCH)) == before


def test_a_sandbox_that_does_not_hold_starts_no_shell(
    attended: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubble_probe, "WANTED", {**bubble_probe.WANTED, "network": "eth9"})
    with pytest.raises(WorldFailed, match="the sandbox of run\\(\\) does not hold: network is none, wanted eth9"):
        attended("echo started")


def test_a_terminal_that_is_not_the_private_one_is_seen(person: tuple[int, Person]) -> None:
    strange = person[1].reads
    with (
        private_terminal(person[1]) as (_, its),
        subprocess.Popen(["sleep", "600"], stdin=strange, stdout=its, stderr=its) as program,
    ):
        folder = os.open(f"/proc/{program.pid}", os.O_RDONLY | os.O_DIRECTORY)
        asked = Asked(tools=(), memory={}, terminal=its)
        assert inspected(Process(folder=folder), asked, "/canary")["descriptors"] == os.ttyname(strange)
        os.close(folder)
        program.kill()


def _runs(words: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in process.read_bytes() and process.parent.name != str(os.getpid()):
                return True
        except OSError:
            continue
    return False
