"""The kernel's restrictions, through ctypes: a worker sets them before its job, and can never remove them.

Before its first worker a zygote gives up what it needs no more (`keep_powers_of_a_zygote`): a worker of root inherits
that, and has less to give up.

`lock_down` takes these steps, in this order: close all files but the channel; drop all capabilities, and change the
user if it is root; no new privileges; Landlock if the kernel has it (an empty ruleset: no path, no port, no signal to
others); die with the parent; resource limits; last the system-call filter (`seccomp`). A step that fails raises
`OSError`, except the change of user, which a container may lack, and Landlock, which a kernel may lack.

Constants and structures are those of linux/prctl.h, linux/capability.h, linux/landlock.h, linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

from cosmos.hints import Final
from cosmos.limits import MAX_WORKER_BYTES
from cosmos.sandbox.seccomp import MACHINES, Machine, worker_filter

NOBODY: Final = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_GET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 21, 24
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
_CAPABILITY_VERSION_3: Final = 0x20080522
_SECCOMP_SET_MODE_FILTER: Final = 1
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every architecture
_LANDLOCK_VERSION: Final = 1
# What each version of Landlock can forbid: paths, ports, and what else. All of it is.
_LANDLOCK_FS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_NET: Final = 0b11
_LANDLOCK_SCOPED: Final = 0b11

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)  # said once: a worker makes some fifty calls
# Made once, in the zygote: the first look for a function, and the first array of each size, take a worker's time.
_syscall = _libc.syscall
_OF_THIS_PROCESS: Final = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), 8)
_NONE: Final = ctypes.create_string_buffer(24)  # no effective, permitted or inheritable capability
_SETS: Final = struct.Struct("=6I")  # effective, permitted, inheritable; then those of numbers from 32 on
_OF_A_ZYGOTE: Final = 1 << 5 | 1 << 6 | 1 << 7  # CAP_KILL, CAP_SETGID, CAP_SETUID
_SIGKILL: Final = int(signal.SIGKILL)  # a plain number: to read an enumeration's touches many pages
_LIMITS: Final = tuple(
    (limit, (most, most))
    for limit, most in (
        (resource.RLIMIT_AS, MAX_WORKER_BYTES),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    )
)


def _for_the_kernel(instructions: bytes) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """Return a filter for seccomp(2), `struct sock_fprog`, and the memory that it points to."""
    memory = ctypes.create_string_buffer(instructions, len(instructions))
    header = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(memory))
    return ctypes.create_string_buffer(header, 16), memory


_FILTERS: Final = {machine.architecture: _for_the_kernel(worker_filter(machine)) for machine in MACHINES.values()}


def lock_down(machine: Machine, channel: int, cpu_seconds: int) -> None:
    """Restrict this process for good to its memory, its clock and the descriptor `channel`."""
    zygote = os.getppid()
    os.closerange(0, channel)
    os.closerange(channel + 1, 1 << 16)
    _drop_bounds()
    _become_nobody()
    _drop_capabilities(machine)
    control(PR_SET_DUMPABLE, 0)
    control(PR_SET_NO_NEW_PRIVS, 1)
    _landlock()
    control(PR_SET_PDEATHSIG, _SIGKILL)  # again: the change of user has cleared it
    if os.getppid() != zygote:  # it died between
        os.kill(os.getpid(), _SIGKILL)
    for limit, most in _LIMITS:
        resource.setrlimit(limit, most)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    _filter(machine)


def control(option: int, value: int = 0) -> int:
    """Call prctl(2); raises `OSError`."""
    return _checked(_libc.prctl(option, value, 0, 0, 0))


def capability_sets(machine: Machine) -> bytes:
    """Return this process's effective, permitted and inheritable capabilities as bits; 0 is an empty set."""
    data = ctypes.create_string_buffer(24)
    _checked(_syscall(machine.calls["capget"], _OF_THIS_PROCESS, data))
    return data.raw


def keep_powers_of_a_zygote() -> None:
    """Give up all capabilities but those by which a zygote of root makes workers of nobody, and kills them.

    A program that it started would have none. Raises `OSError`.
    """
    machine = MACHINES.get(os.uname().machine)
    if machine is None or os.geteuid() != 0:
        return
    _drop_bounds()
    words = _SETS.unpack(capability_sets(machine))
    few = [word & _OF_A_ZYGOTE for word in words[:2]]
    kept = ctypes.create_string_buffer(_SETS.pack(*few, 0, 0, 0, 0), _SETS.size)
    _checked(_syscall(machine.calls["capset"], _OF_THIS_PROCESS, kept))


def _become_nobody() -> None:
    if os.geteuid() != 0:
        return
    try:  # noqa: SIM105 - a context manager touches more pages, which each worker copies
        os.setgroups([])
    except OSError:  # a user namespace that has no such user
        pass
    try:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:  # as above
        pass


def _drop_bounds() -> None:
    for number in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # without CAP_SETPCAP, or past the last capability: no_new_privs keeps programs from any


def _drop_capabilities(machine: Machine) -> None:
    _checked(_syscall(machine.calls["capset"], _OF_THIS_PROCESS, _NONE))


def landlock_version() -> int:
    """Return the version of the kernel's interface of Landlock; less than 1 if it has none, or does not use it."""
    return int(_syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_LANDLOCK_VERSION)))


def _landlock() -> None:
    version = landlock_version()
    if version < 1:
        return  # the second layer, where there is one
    parts = [_LANDLOCK_FS[min(version, 5)], _LANDLOCK_NET, _LANDLOCK_SCOPED]
    rules = struct.pack("=3Q", *parts)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _checked(_syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint(0)))
    _checked(_syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)))
    os.close(ruleset)


def _filter(machine: Machine) -> None:
    header, _ = _FILTERS[machine.architecture]
    _checked(_syscall(machine.calls["seccomp"], _SECCOMP_SET_MODE_FILTER, ctypes.c_uint(0), header))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
