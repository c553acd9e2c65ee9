"""Two system-call filters, as programs of the kernel's classic BPF: one for workers, one for programs in bubblewrap.

`worker_filter` is an allow-list: calls for memory, a clock, the channel and the exit. It allows no call that opens,
starts, connects, signals, changes rights or makes memory executable. `bubble_filter` is a deny-list, because compilers
and shells need nearly all calls. It refuses calls that no namespace isolates from the builder (keyrings, clocks,
sockets of virtual machines), and rare calls that only enlarge the kernel's attack surface. A refused call returns
EPERM. `clone3` returns ENOSYS, because its flags lie in memory; libraries then call `clone`. So does every call above
`LAST`, the newest that was judged here: a new kernel opens nothing. A call from another architecture's table (32-bit,
x32) kills the process.

The format of instructions is `struct sock_filter` of linux/filter.h, of data `struct seccomp_data`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence

from cosmos.hints import Final

_LOAD, _IS, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_UNKNOWN: Final = 0x00050000 | errno.ENOSYS
_X32: Final = 0x40000000
_EXECUTABLE: Final = 4  # PROT_EXEC
_ASKING: Final = (21, 39)  # PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS: the probe reads its own locks

PLAIN: Final = (
    "read", "write",  # the channel: no other descriptor is open, none can be
    "brk", "munmap", "mremap", "madvise", "futex", "clock_gettime", "getrandom", "getpid", "gettid",
    "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "capget", "exit", "exit_group",
)  # fmt: skip
NOT_EXECUTABLE: Final = ("mmap", "mprotect")

# What programs in bubblewrap may not call at all; x86 alone has the last two.
REFUSED: Final = (
    "add_key", "keyctl", "request_key",  # keyrings belong to the user, in every namespace
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
    "name_to_handle_at", "open_by_handle_at", "fanotify_init", "lookup_dcookie", "quotactl", "quotactl_fd",
    "mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "open_tree_attr", "listns", "unshare", "setns",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
    "acct", "syslog", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "iopl", "ioperm",
)  # fmt: skip
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW* of linux/sched.h
_TYPING: Final = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: to put words into a terminal's mouth
_FAMILIES: Final = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: what the network namespace holds
_PERSONALITIES: Final = (0, 0xFFFFFFFF)  # Linux as it is, and the question which one it is


class Machine:
    """One architecture: the kernel's AUDIT_ARCH number, and its numbers of the calls named in this module."""

    __slots__ = ("architecture", "calls", "has_x32")

    def __init__(self, *, architecture: int, has_x32: bool, calls: Mapping[str, int]) -> None:
        self.architecture: Final = architecture
        self.has_x32: Final = has_x32
        self.calls: Final = calls


# The calls that every architecture has by the same number, from 424 on without a gap: those of Linux 5.1 to 7.2. To add
# one is to decide whether it belongs to `REFUSED`.
_FIRST_COMMON: Final = 424
COMMON: Final = (
    "pidfd_send_signal", "io_uring_setup", "io_uring_enter", "io_uring_register", "open_tree", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "pidfd_open", "clone3", "close_range", "openat2", "pidfd_getfd", "faccessat2",
    "process_madvise", "epoll_pwait2", "mount_setattr", "quotactl_fd", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self", "memfd_secret", "process_mrelease", "futex_waitv", "set_mempolicy_home_node",
    "cachestat", "fchmodat2", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "statmount",
    "listmount", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat", "getxattrat",
    "listxattrat", "removexattrat", "open_tree_attr", "file_getattr", "file_setattr", "listns", "rseq_slice_yield",
)  # fmt: skip
LAST: Final = _FIRST_COMMON + len(COMMON) - 1
_COMMON: Final = {name: number for number, name in enumerate(COMMON, _FIRST_COMMON)}

# fmt: off
X86_64: Final = Machine(architecture=0xC000003E, has_x32=True, calls={
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "mremap": 25, "madvise": 28, "getpid": 39, "socket": 41, "clone": 56, "exit": 60,
    "ptrace": 101, "syslog": 103, "capget": 125, "capset": 126, "sigaltstack": 131, "personality": 135,
    "pivot_root": 155, "prctl": 157, "adjtimex": 159, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166,
    "swapon": 167, "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176,
    "quotactl": 179, "gettid": 186, "futex": 202, "lookup_dcookie": 212, "restart_syscall": 219, "clock_settime": 227,
    "clock_gettime": 228, "exit_group": 231, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "unshare": 272, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "seccomp": 317, "getrandom": 318, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    **_COMMON,
})
AARCH64: Final = Machine(architecture=0xC00000B7, has_x32=False, calls={
    "lookup_dcookie": 18, "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41, "quotactl": 60, "read": 63,
    "write": 64, "acct": 89, "capget": 90, "capset": 91, "personality": 92, "exit": 93, "exit_group": 94,
    "unshare": 97, "futex": 98, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112,
    "clock_gettime": 113, "syslog": 116, "ptrace": 117, "restart_syscall": 128, "sigaltstack": 132,
    "rt_sigprocmask": 135, "rt_sigreturn": 139, "reboot": 142, "prctl": 167, "settimeofday": 170, "adjtimex": 171,
    "getpid": 172, "gettid": 178, "socket": 198, "brk": 214, "munmap": 215, "mremap": 216, "add_key": 217,
    "request_key": 218, "keyctl": 219, "clone": 220, "mmap": 222, "swapon": 224, "swapoff": 225, "mprotect": 226,
    "madvise": 233, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "clock_adjtime": 266, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "seccomp": 277,
    "getrandom": 278, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
    **_COMMON,
})
# fmt: on
MACHINES: Final = {"x86_64": X86_64, "aarch64": AARCH64}


def worker_filter(machine: Machine) -> bytes:
    """Return the filter of a worker: 8 bytes an instruction."""
    code = _native(machine)
    for name in PLAIN:
        code += _guarded(machine.calls[name], [_step(_RETURN, _ALLOW)])
    for name in NOT_EXECUTABLE:
        code += _guarded(
            machine.calls[name],
            [_argument(2), _step(_HAS, _EXECUTABLE, 0, 1), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)],
        )
    code += _guarded(machine.calls["prctl"], _only(0, _ASKING))
    return b"".join([*code, _step(_RETURN, _REFUSE)])


def bubble_filter(machine: Machine) -> bytes:
    """Return the filter of a program in bubblewrap, as bwrap's `--seccomp` reads it."""
    calls = machine.calls
    code = [*_native(machine), _step(_AT_LEAST, LAST + 1, 0, 1), _step(_RETURN, _UNKNOWN)]
    for name in REFUSED:
        if name in calls:
            code += _guarded(calls[name], [_step(_RETURN, _REFUSE)])
    code += _guarded(calls["clone3"], [_step(_RETURN, _UNKNOWN)])
    code += _guarded(
        calls["clone"],
        [_argument(0), _step(_HAS, _NEW_NAMESPACES, 0, 1), _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)],
    )
    code += _guarded(calls["socket"], _only(0, _FAMILIES))
    code += _guarded(calls["personality"], _only(0, _PERSONALITIES))
    typing = [_argument(1)]
    for command in _TYPING:
        typing += [_step(_IS, command, 0, 1), _step(_RETURN, _REFUSE)]
    code += _guarded(calls["ioctl"], [*typing, _step(_RETURN, _ALLOW)])
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _native(machine: Machine) -> list[bytes]:
    """Return code that loads the number of a call, and kills the process for another architecture's table."""
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_IS, machine.architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    return [*code, _step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _KILL)] if machine.has_x32 else code


def _only(place: int, values: Sequence[int]) -> list[bytes]:
    """Return code that allows the call if the lower half of argument `place` is one of `values`."""
    code = [_argument(place)]
    for value in values:
        code += [_step(_IS, value, 0, 1), _step(_RETURN, _ALLOW)]
    return [*code, _step(_RETURN, _REFUSE)]


def _guarded(number: int, then: Sequence[bytes]) -> list[bytes]:
    """Return code that runs `then` if the call is `number`; `then` ends with a return."""
    return [_step(_IS, number, 0, len(then)), *then]


def _argument(place: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS + 8 * place)  # its lower half: both machines are little-endian


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
