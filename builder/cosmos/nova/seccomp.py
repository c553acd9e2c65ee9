"""The system-call filter of a worker: an allow-list, as a program of the kernel's classic BPF.

Allowed is what memory, a clock, the channel and an end need; nothing that opens, starts, connects, signals, changes
rights or makes memory executable. Any other call answers EPERM; a call of another architecture's table (32-bit, x32)
kills the process. The format of instructions is `struct sock_filter` of linux/filter.h, of data `struct seccomp_data`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_LOAD, _IS, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_X32: Final = 0x40000000
_EXECUTABLE: Final = 4  # PROT_EXEC
_ASKING: Final = (21, 39)  # PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS: the probe reads its own locks

PLAIN: Final = (
    "read", "write",  # the channel: no other descriptor is open, none can be
    "brk", "munmap", "mremap", "madvise", "futex", "clock_gettime", "getrandom", "getpid", "gettid",
    "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "capget", "exit", "exit_group",
)  # fmt: skip
NOT_EXECUTABLE: Final = ("mmap", "mprotect")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One architecture: the kernel's AUDIT_ARCH number, and its numbers of the calls that are named here."""

    architecture: int
    has_x32: bool
    calls: Mapping[str, int]


# fmt: off
X86_64: Final = Machine(architecture=0xC000003E, has_x32=True, calls={
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60, "capget": 125, "capset": 126,
    "sigaltstack": 131, "prctl": 157, "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "exit_group": 231, "seccomp": 317, "getrandom": 318,
})
AARCH64: Final = Machine(architecture=0xC00000B7, has_x32=False, calls={
    "read": 63, "write": 64, "capget": 90, "capset": 91, "exit": 93, "exit_group": 94, "futex": 98,
    "clock_gettime": 113, "restart_syscall": 128, "sigaltstack": 132, "rt_sigprocmask": 135, "rt_sigreturn": 139,
    "prctl": 167, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222,
    "mprotect": 226, "madvise": 233, "seccomp": 277, "getrandom": 278,
})
# fmt: on
MACHINES: Final = {"x86_64": X86_64, "aarch64": AARCH64}


def filter_program(machine: Machine) -> bytes:
    """Return the filter: 8 bytes an instruction."""
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_IS, machine.architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if machine.has_x32:
        code += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _KILL)]
    for name in PLAIN:
        code += _guarded(machine.calls[name], [_step(_RETURN, _ALLOW)])
    for name in NOT_EXECUTABLE:
        code += _guarded(
            machine.calls[name],
            [_argument(2), _step(_HAS, _EXECUTABLE, 0, 1), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)],
        )
    asking = [_argument(0)]
    for option in _ASKING:
        asking += [_step(_IS, option, 0, 1), _step(_RETURN, _ALLOW)]
    code += _guarded(machine.calls["prctl"], [*asking, _step(_RETURN, _REFUSE)])
    return b"".join([*code, _step(_RETURN, _REFUSE)])


def _guarded(number: int, then: Sequence[bytes]) -> list[bytes]:
    """Return code that runs `then` where the call is `number`; `then` ends with a return."""
    return [_step(_IS, number, 0, len(then)), *then]


def _argument(place: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS + 8 * place)  # its lower half: both machines are little-endian


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
