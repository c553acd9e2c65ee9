"""The live probe of bubblewrap: inspect each finished sandbox from outside, before its program starts.

bwrap with `--block-fd` waits after everything is mounted and every capability is dropped. The probe then inspects
exactly the process that will start the program, through its folder in /proc, which can mean no other process. The probe
fails closed: if a value differs from `WANTED`, or cannot be read, the build ends (`WorldFailed`), and the program never
starts. The formats are those of proc(5), proc_pid_mountinfo(5) and proc_pid_status(5).

The probe cannot see the filter for system calls: bwrap sets it after the wait, right before the program, or exits.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.errors import WorldFailed
from cosmos.records import dataclass

WANTED: Final[Mapping[str, str]] = {
    "capabilities": "none",  # in any of the five sets
    "no-new-privileges": "on",
    "namespaces": "own",  # of every kind that the kernel has, but for time, which shifts clocks and hides nothing
    "network": "none",  # no interface but lo
    "processes": "own",  # it is the first of its processes, and the only one
    "mounts": "as asked",  # these places, these kinds, these sizes; its tools read-only
    "canary": "absent",  # a file of the builder that anyone may read
    "environment": "empty",  # of the process, which the program can read in /proc/1
    "descriptors": "plain",  # pipes, and what bwrap itself closes before the program starts
}
_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_NAMESPACES: Final = ("user", "mnt", "pid", "net", "ipc", "uts")
_INTERFACES: Final = frozenset({  # lo, and what kernels with tunnels put into each new namespace: without an address
    "lo", "sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6tnl0", "ip6_vti0", "ip6gre0",
})  # fmt: skip
_DEVICES: Final = frozenset({"null", "zero", "full", "random", "urandom", "tty", "pts", "console"})  # bwrap's --dev
# The program has /dev/null as its input and a pipe for its output; the last two bwrap closes before it starts.
_PLAIN: Final = re.compile(r"/dev/null|pipe:\[\d+\]|anon_inode:.*|/memfd:seccomp \(deleted\)|/proc")
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The requested properties of one sandbox: where this machine's tools are, and the sizes of its folders of memory.

    The memory at `/` holds tools, too, and may not be written to. `terminal` is the descriptor of the private terminal
    that the program has as its input and output; None if it has no terminal.
    """

    tools: tuple[str, ...]
    memory: Mapping[str, int]
    terminal: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process, read through an open descriptor of its folder in /proc. Methods raise `OSError` after its end."""

    folder: int

    def text(self, name: str) -> str:
        """Return the text of one of its files."""
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.folder), encoding="utf-8") as stream:
            return stream.read()

    def names(self, name: str) -> list[str]:
        """Return the names in one of its folders, sorted."""
        number = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            return sorted(os.listdir(number))  # noqa: PTH208 - a folder that is open, not a path
        finally:
            os.close(number)

    def link(self, name: str) -> str:
        """Return the target of one of its links."""
        return os.readlink(name, dir_fd=self.folder)

    def holds(self, number: str, ours: int | None) -> bool:
        """Whether its descriptor `number` is the file of our descriptor `ours`."""
        return ours is not None and os.path.samestat(os.stat(f"fd/{number}", dir_fd=self.folder), os.fstat(ours))

    def status(self) -> dict[str, str]:
        """Return the fields of its `status`."""
        lines = (line.partition(":") for line in self.text("status").splitlines())
        return {name: value.strip() for name, _, value in lines}

    def is_child(self, parent: int) -> bool:
        """Whether this is a child of `parent`."""
        return self.status()["PPid"] == str(parent)

    def is_asleep(self, parent: int) -> bool:
        """Whether this child of `parent` waits, with no capability left: its sandbox is finished."""
        status = self.status()
        return status["PPid"] == str(parent) and status["State"].startswith("S") and int(status["CapEff"], 16) == 0


Look: TypeAlias = Callable[[Process, Asked, str], str]


def demand_closed(process: Process, asked: Asked, where: str) -> None:
    """Return if the sandbox of the sleeping `process` is as `WANTED`; raises `WorldFailed` with the differences."""
    with tempfile.NamedTemporaryFile(prefix="cosmos-canary-") as canary:
        Path(canary.name).chmod(0o644)
        seen = inspected(process, asked, canary.name)
    missed = [f"{name} is {seen[name]}, wanted {want}" for name, want in WANTED.items() if seen[name] != want]
    if missed:
        raise WorldFailed(
            where, f"the sandbox of run() does not hold: {'; '.join(missed)}",
            hint="no program was run; report this machine, with what `bwrap --version` says",
        )  # fmt: skip


def inspected(process: Process, asked: Asked, canary: str) -> dict[str, str]:
    """Return the value found for each name of `WANTED`; `unknown` if it cannot be read."""
    seen: dict[str, str] = {}
    for name in WANTED:
        try:
            seen[name] = _LOOKS[name](process, asked, canary)
        except (OSError, ValueError, LookupError):
            seen[name] = _UNKNOWN
    return seen


def _capabilities(process: Process, _asked: Asked, _canary: str) -> str:
    status = process.status()
    return ", ".join(f"{name} {status[name]}" for name in _CAPABILITIES if int(status[name], 16)) or "none"


def _no_new_privileges(process: Process, _asked: Asked, _canary: str) -> str:
    return {"0": "off", "1": "on"}[process.status()["NoNewPrivs"]]


def _namespaces(process: Process, _asked: Asked, _canary: str) -> str:
    kinds = (*_NAMESPACES, *(["cgroup"] if Path("/proc/self/ns/cgroup").is_symlink() else []))
    shared = [kind for kind in kinds if process.link(f"ns/{kind}") == str(Path("/proc/self/ns", kind).readlink())]
    return f"the builder's {', '.join(shared)}" if shared else "own"


def _network(process: Process, _asked: Asked, _canary: str) -> str:
    head, named, *rows = process.text("net/dev").splitlines()
    if "|" not in head or "|" not in named:
        return _UNKNOWN
    return ", ".join(sorted({row.partition(":")[0].strip() for row in rows} - _INTERFACES)) or "none"


def _processes(process: Process, _asked: Asked, _canary: str) -> str:
    number = process.status()["NSpid"].split()[-1]
    there = [name for name in process.names("root/proc") if name.isdigit()]
    return "own" if number == "1" and there == ["1"] else f"{len(there)}, itself number {number}"


def _mounts(process: Process, asked: Asked, _canary: str) -> str:
    found = [Mount.parse(line) for line in process.text("mountinfo").splitlines()]
    places = [mount.place for mount in found]
    needed = ("/proc", "/dev", *asked.memory)
    wrong = [f"{place} {places.count(place)} times" for place in needed if places.count(place) != 1]
    wrong += [f"{mount.place} as {mount.kind} {mount.access}" for mount in found if not mount.is_as(asked)]
    return ", ".join(wrong) or "as asked"


def _canary(process: Process, _asked: Asked, canary: str) -> str:
    try:
        os.stat(f"root{canary}", dir_fd=process.folder)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    return "there"


def _environment(process: Process, _asked: Asked, _canary: str) -> str:
    return "empty" if process.text("environ") == "" else "not empty"


def _descriptors(process: Process, asked: Asked, _canary: str) -> str:
    names = (name for name in process.names("fd") if not process.holds(name, asked.terminal))
    strange = {link for name in names if not _PLAIN.fullmatch(link := process.link(f"fd/{name}"))}
    return ", ".join(sorted(strange)) or "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One line of mountinfo: mount point, kind of file system, `ro` or `rw`, and the file system's own options."""

    place: str
    kind: str
    access: str
    options: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Mount:
        """Return the mount that `line` states; raises `ValueError`.

        >>> Mount.parse("80 66 0:45 / /stage rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=9768k,mode=755")
        Mount(place='/stage', kind='tmpfs', access='rw', options=('rw', 'size=9768k', 'mode=755'))
        """
        ours, _, its = line.partition(" - ")
        _, _, _, _, place, options, *_ = ours.split(" ")
        kind, _, super_options = its.split(" ")
        return cls(place=place, kind=kind, access=options.split(",")[0], options=tuple(super_options.split(",")))

    def is_as(self, asked: Asked) -> bool:
        """Whether it is a requested mount, with no more rights."""
        if self.place in asked.memory:
            size_kib = -(-asked.memory[self.place] // 1024)
            is_closed = self.place != "/" or self.access == "ro"
            return self.kind == "tmpfs" and f"size={size_kib}k" in self.options and is_closed
        if self.place == "/proc":
            return self.kind == "proc"
        if self.place == "/dev":
            return self.kind == "tmpfs" and self.access == "ro"
        top, _, name = self.place.lstrip("/").partition("/")
        if top == "dev":
            return name in _DEVICES
        tools = any(self.place == place or self.place.startswith(f"{place}/") for place in asked.tools)
        covers = top == "proc"  # what bwrap lays over parts of /proc
        return (tools or covers) and self.access == "ro"


_LOOKS: Final[Mapping[str, Look]] = {
    "capabilities": _capabilities,
    "no-new-privileges": _no_new_privileges,
    "namespaces": _namespaces,
    "network": _network,
    "processes": _processes,
    "mounts": _mounts,
    "canary": _canary,
    "environment": _environment,
    "descriptors": _descriptors,
}
