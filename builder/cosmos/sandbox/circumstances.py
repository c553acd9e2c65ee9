"""What a program in bubblewrap could see of the machine: what every sandbox fixes, and what the second run changes.

Fixed for every program: user, umask, limits, host name, folders, addresses (no randomisation of the address space),
process numbers (each sandbox counts from 1), the number of processors (one), and the files of /proc that describe the
machine or the moment (`machine_files`).

What cannot be fixed is changed instead (`SECOND`), so that a program whose result depends on it is found: the order of
entries in folders, inode and device numbers, the processor, the priority, the kernel that uname(2) names. The clock,
random bytes and the times of inodes are others in a second run anyway.

KNOWN GAP: two runs on one machine have the same model of processor, and the same size of memory. cpuid cannot be
refused: Linux allows it again at execve(2). The auxiliary vector (/proc/self/auxv) names the processor's features as
well. A filter that refuses sysinfo(2) would give glibc's qsort(3) a random size of memory, by which it chooses between
a stable and an unstable sort. Of /proc/sys, only what depends on memory, processors or the moment is fixed.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.child import Kernel
from cosmos.limits import GIB, KIB, MIB
from cosmos.records import dataclass

Order: TypeAlias = Literal["forward", "backward"]
LIMITS: Final[Mapping[int, int]] = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 1024,
    resource.RLIMIT_FSIZE: 2 * GIB,
    resource.RLIMIT_AS: 4 * GIB,
    resource.RLIMIT_NPROC: 4096,
    resource.RLIMIT_MEMLOCK: 64 * KIB,
    resource.RLIMIT_STACK: 8 * MIB,  # the usual one: it decides how many words a command may have
    # These bound nothing further: a program that prints its limits prints the same ones on every machine.
    resource.RLIMIT_CPU: 7 * 24 * 60 * 60,
    resource.RLIMIT_DATA: 4 * GIB,
    resource.RLIMIT_RSS: 4 * GIB,
    resource.RLIMIT_SIGPENDING: 1024,
    resource.RLIMIT_MSGQUEUE: 64 * KIB,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_RTPRIO: 0,
}
_LIBC: Final = ctypes.CDLL(None)
_CPU: Final = b"processor\t: 0\nmodel name\t: a processor\ncpu cores\t: 1\nsiblings\t: 1\nflags\t\t:\n\n"
_MEMORY: Final = (
    b"MemTotal: 4194304 kB\nMemFree: 4194304 kB\nMemAvailable: 4194304 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
)
_STATISTICS: Final = b"cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 0\nprocesses 1\n"
# What a program reads there instead: proc(5) describes each. A program that reads no such file meets no difference.
_MACHINE_FILES: Final = {
    "buddyinfo": b"",
    "cgroups": b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n",
    "cmdline": b"\n",
    "config.gz": b"",
    "consoles": b"",
    "cpuinfo": _CPU,
    "crypto": b"",  # the kernel's drivers, by the features of its processor
    "devices": b"Character devices:\n\nBlock devices:\n",
    "diskstats": b"",
    "dma": b"",
    "fb": b"",
    "filesystems": b"nodev\ttmpfs\n",
    "interrupts": b"",
    "iomem": b"",
    "ioports": b"",
    "kallsyms": b"",
    "key-users": b"",
    "keys": b"",
    "loadavg": b"0.00 0.00 0.00 1/1 1\n",
    "locks": b"",
    "mdstat": b"Personalities : \nunused devices: <none>\n",
    "meminfo": _MEMORY,
    "misc": b"",
    "modules": b"",
    "mtrr": b"",
    "partitions": b"",
    "pressure/cpu": b"",
    "pressure/io": b"",
    "pressure/memory": b"",
    "schedstat": b"",
    "softirqs": b"",
    "stat": _STATISTICS,
    "swaps": b"Filename\tType\tSize\tUsed\tPriority\n",
    "sys/fs/aio-nr": b"0\n",
    "sys/fs/dentry-state": b"0\t0\t0\t0\t0\t0\n",
    "sys/fs/epoll/max_user_watches": b"1000000\n",
    "sys/fs/file-max": b"1000000\n",
    "sys/fs/file-nr": b"0\t0\t1000000\n",
    "sys/fs/inode-nr": b"0\t0\n",
    "sys/fs/inode-state": b"0\t0\t0\t0\t0\t0\t0\n",
    "sys/fs/inotify/max_user_watches": b"65536\n",
    "sys/kernel/core_pattern": b"core\n",
    "sys/kernel/osrelease": b"0\n",
    "sys/kernel/pid_max": b"32768\n",
    "sys/kernel/pty/nr": b"0\n",
    "sys/kernel/random/boot_id": b"00000000-0000-0000-0000-000000000000\n",
    "sys/kernel/random/entropy_avail": b"256\n",
    "sys/kernel/tainted": b"0\n",
    "sys/kernel/threads-max": b"32768\n",
    "sys/kernel/version": b"0\n",
    "sys/kernel/watchdog_cpumask": b"0\n",
    "sys/vm/lowmem_reserve_ratio": b"256\t256\t32\t0\t0\n",
    "sys/vm/min_free_kbytes": b"65536\n",
    "sys/vm/overcommit_memory": b"0\n",
    "sys/vm/user_reserve_kbytes": b"131072\n",
    "uptime": b"0.00 0.00\n",
    "version": b"Linux version 0\n",
    "vmstat": b"",
    "zoneinfo": b"",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What differs between two runs of one program.

    `order` is that in which entries are laid and folders of memory are mounted. `steps` is how far from the processor
    of cosmos the program's processor is, among those that cosmos may use. `niceness` is added to that of cosmos.
    `kernel` is which one uname(2) names.
    """

    order: Order
    steps: int
    niceness: int
    kernel: Kernel

    def processor(self) -> int:
        """Return the number of the one processor that the program may use."""
        allowed = sorted(os.sched_getaffinity(0))
        ours = _LIBC.sched_getcpu()
        place = allowed.index(ours) if ours in allowed else 0
        return allowed[(place + self.steps) % len(allowed)]


FIRST: Final = Circumstances(order="forward", steps=0, niceness=0, kernel="own")
SECOND: Final = Circumstances(order="backward", steps=1, niceness=1, kernel="old")


def machine_files() -> dict[str, bytes]:
    """Return what a program reads at each place of /proc that describes the machine: of those that this kernel has."""
    files = {f"/proc/{name}": data for name, data in _MACHINE_FILES.items()}
    return {place: data for place, data in files.items() if Path(place).is_file()}
