"""What a child process does before its program begins: die with its parent, tell the watcher, take its limits.

The watcher is a shell that kills what the children of a killed process have started (`WATCHER`). It reads from a pipe
which groups of processes there are, and a child writes itself into that pipe first. The end of the pipe is the end of
the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import resource
import signal
import termios
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final, Literal, TypeAlias

from cosmos.records import dataclass

Kernel: TypeAlias = Literal["own", "old"]

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2  # <linux/prctl.h>
_ADDR_NO_RANDOMIZE, _UNAME26, _ASK = 0x0040000, 0x0020000, 0xFFFFFFFF  # <linux/personality.h>
_LIBC: Final = ctypes.CDLL(None)  # loaded before there is a fork
# Each line of its input adds a group by a token and a number, or takes the token away. The end kills what is left.
WATCHER: Final = """
groups=
while read -r sign token number; do
  case $sign in
    +) groups="$groups $token:$number" ;;
    -) kept=; for one in $groups; do [ "${one%:*}" = "$token" ] || kept="$kept $one"; done; groups=$kept ;;
  esac
done
for one in $groups; do kill -KILL "-${one#*:}"; kill -KILL "${one#*:}"; done
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What a program may use: `limits` by the numbers of `resource`, and its `user`, also its group; None: the same.

    A limit of this process that is lower stays if this process may not raise it (`make_room`). A confined program does
    not see the umask, the ignored signals and, if its user is another, the groups of cosmos. Its addresses are not
    random. It may use one `processor` (None: those of this process), its priority is lower by `niceness`, and uname(2)
    says Linux 2.6 if its `kernel` is old. With `rules_terminal` its stdin becomes the terminal of its session.
    """

    limits: Mapping[int, int]
    user: int | None = None
    processor: int | None = None
    niceness: int = 0
    kernel: Kernel = "own"
    rules_terminal: bool = False

    def make_room(self) -> None:
        """Raise the highest limits that this process may have to those of the program, as far as the kernel lets it.

        Root may raise them. The limits in force here stay.
        """
        for which, wanted in self.limits.items():
            now, most = resource.getrlimit(which)
            if most != resource.RLIM_INFINITY and most < wanted:
                with contextlib.suppress(ValueError, OSError):
                    resource.setrlimit(which, (now, wanted))

    def enter(self) -> None:
        """Set limits, signals and the like for this process; the program that it starts keeps them."""
        present = _LIBC.personality(_ASK) & _UNAME26  # it stays: `cosmos rebuild --adversarial` starts cosmos with it
        _LIBC.personality(_ADDR_NO_RANDOMIZE | present | (_UNAME26 if self.kernel == "old" else 0))
        if self.processor is not None:
            os.sched_setaffinity(0, {self.processor})
        os.nice(self.niceness)
        for which, wanted in self.limits.items():
            present = resource.getrlimit(which)[1]
            value = wanted if present == resource.RLIM_INFINITY else min(wanted, present)
            resource.setrlimit(which, (value, value))
        for number in signal.valid_signals():
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if self.rules_terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Watcher:
    """The shell that kills the groups that it was told of when this process ends; `pipe` is our end of its pipe."""

    pipe: int
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
            os.write(self.pipe, line)


def begin(parent: int, watcher: Watcher, token: int, confinement: Confinement | None) -> None:
    """Do in a child of `parent` what comes before its program; its user is already the program's."""
    watcher.add(os.getpid(), token)
    if confinement is not None:
        confinement.enter()
    die_with(parent)  # after the change of user, which takes it back
