"""A program of the sandbox that a person uses: a private terminal for it, and which shell there is.

The program never has the person's own terminal. It has a new pseudo terminal (pty(7)), whose other end only this
process holds. While the program runs, bytes are carried between both, and the person's terminal is raw: Ctrl-C goes to
the program. Afterwards the terminal's settings and the handler of SIGWINCH are as before.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from cosmos.links import TooManyLinks, followed
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_SHELLS: Final = (b"bin/bash", b"usr/bin/bash", b"bin/sh", b"usr/bin/sh", b"bin/busybox", b"usr/bin/busybox")
_PIECE_BYTES: Final = 4096  # what a terminal takes at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A person's terminal, by the descriptors that are read and written, and the name of its kind (`TERM`)."""

    reads: int
    writes: int
    kind: str


def shell_in(tools: Mapping[TreePath, Entry], stage: Mapping[TreePath, Entry]) -> tuple[bytes, ...] | None:
    """Return the words that start a shell of `tools` (at `/`), or else one of `stage` (at `/stage`), or None.

    >>> sh = Entry(path=TreePath(b"usr/bin/busybox"), kind="file", mode=0o755)
    >>> link = Entry(path=TreePath(b"bin"), kind="symlink", mode=0o777, target=b"usr/bin")
    >>> shell_in({sh.path: sh, link.path: link}, {}), shell_in({}, {sh.path: sh}), shell_in({}, {link.path: link})
    ((b'/bin/busybox', b'sh'), (b'/stage/usr/bin/busybox', b'sh'), None)
    """
    for tree, top in ((tools, b"/"), (stage, b"/stage/")):
        for name in _SHELLS:
            if _is_program(tree, name):
                return (top + name, b"sh") if name.endswith(b"busybox") else (top + name,)
    return None


def _is_program(tree: Mapping[TreePath, Entry], name: bytes) -> bool:
    def target_of(path: TreePath, _rest: object) -> bytes | None:
        entry = tree.get(path)
        return entry.target if entry is not None and entry.kind == "symlink" else None

    try:
        entry = tree.get(followed(name, target_of))
    except TooManyLinks:
        return False
    return entry is not None and entry.kind in ("file", "hardlink") and bool(entry.mode & 0o111)


@contextmanager
def private_terminal(person: Person) -> Iterator[tuple[int, int]]:
    """Give both ends of a new terminal with the settings and the size of the person's: ours, and the program's."""
    ours, its = os.openpty()
    with os.fdopen(ours, "rb+", buffering=0), os.fdopen(its, "rb+", buffering=0):
        termios.tcsetattr(its, termios.TCSANOW, termios.tcgetattr(person.reads))
        _resize(person, ours)
        yield ours, its


def carry(person: Person, ours: int, its: int) -> None:
    """Carry bytes between the person and a program on the private terminal, until the program and all others end.

    It also ends when the person's terminal is closed. `its` is closed here, so that the program's end can be seen.
    """
    before = termios.tcgetattr(person.reads)
    handler = signal.signal(signal.SIGWINCH, lambda _number, _frame: _resize(person, ours))
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.dup2(nowhere, its, inheritable=False)
        tty.setraw(person.reads, termios.TCSADRAIN)
        _carry(person, ours)
    finally:
        termios.tcsetattr(person.reads, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
        os.close(nowhere)


def _carry(person: Person, ours: int) -> None:
    os.set_blocking(ours, False)
    typed = b""
    while True:
        poll = select.poll()
        poll.register(ours, select.POLLIN | (select.POLLOUT if typed else 0))
        if not typed:  # a program that does not read must not fill our memory
            poll.register(person.reads, select.POLLIN)
        ready = dict(poll.poll())
        if ready.get(ours, 0) & ~select.POLLOUT:
            try:
                left = os.read(ours, _PIECE_BYTES)
            except OSError as error:
                if error.errno == errno.EIO:  # nobody has the other end any more
                    return
                raise
            while left:
                left = left[os.write(person.writes, left) :]
        if ready.get(ours, 0) & select.POLLOUT:
            with suppress(BlockingIOError):
                typed = typed[os.write(ours, typed) :]
        if person.reads in ready:
            typed = os.read(person.reads, _PIECE_BYTES)
            if not typed:
                return


def _resize(person: Person, ours: int) -> None:
    size = fcntl.ioctl(person.reads, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
