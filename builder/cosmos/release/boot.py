"""`cosmos boot RELEASE`: start a release in QEMU and wait until the system itself says that it is well.

QEMU starts the kernel and the initramfs of the release, after a check against RELEASE.json. It uses KVM if the
processor has it and the user may use it, and else emulates (TCG): both give the same answer, one later. The guest has
no disk. Its network ends at QEMU: it reaches nothing, and only the ports of this machine that were asked for lead to
it. QEMU's network is 10.0.2.0/24, and what is forwarded goes to 10.0.2.15, the address that its DHCP gives.

Only the booted system prints the **marker**: it is not on the command line, because kernels echo the command line.
A line counts if it is the marker, or the marker followed by a kernel message on the same line (`[   12.3] …`).
After the marker, the system powers itself off (`cosmos.poweroff` on its command line). If it does not, QEMU is killed.
With `stays`, nothing powers it off: it runs until it ends itself, or until the caller's `meanwhile` is done.

The console is untrusted text from inside the image. The caller gets its lines without escape sequences and control
characters, so they cannot control a terminal. `boot_on_terminal` gives the terminal itself to the system, for a person
who asks for it: then the system can write anything there.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from cosmos.errors import Malformed, Refused, WorldFailed, quoted
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_FILE, Release, Subject
from cosmos.process import RunningProgram, attend_program, find_program, outcome, start_program
from cosmos.reading import digest_of_size, read_bounded
from cosmos.records import dataclass
from cosmos.release.missing import no_release

DEFAULT_MEMORY_MIB: Final = 1024  # the rescue image wants half of it: its tree, and cosmos unpacked into /tmp
DEFAULT_TIMEOUT_SECONDS: Final = 180.0  # it takes 10 to 20 on a machine of 2020; emulation on a busy one is slow
POWER_OFF: Final = "cosmos.poweroff"
LONGEST_SECONDS: Final = 20 * 86400.0  # of a system that stays; poll(2) counts milliseconds in 31 bits
SSH_PORT: Final = 22
_MOST_PORT: Final = 65535
_POWER_OFF_SECONDS: Final = 30.0  # time to flush and power off; nothing depends on it
_KEPT_LINES: Final = 5000  # of the console in the result; a guest that never stops talking must not fill the memory
_TAIL_LINES: Final = 20  # of the console in an error: what a person reads before scrolling

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")  # ECMA-48 §5.3, §5.4
_KERNEL_MESSAGE = re.compile(r"\s*\[ *\d+\.\d+\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The QEMU settings of one architecture."""

    program: str
    package: str
    arguments: tuple[str, ...]
    console: str


MACHINES: Final = {
    "x86_64": Machine(
        program="qemu-system-x86_64", package="qemu-system-x86", arguments=("-cpu", "max"), console="ttyS0"
    ),
}


# What starts the systems that `cosmos boot` cannot: program and Debian package by architecture, and their console.
_ELSEWHERE: Final = {
    "aarch64": ("qemu-system-aarch64 -machine virt -cpu max", "qemu-system-arm", "ttyAMA0"),
    "arm": ("qemu-system-arm -machine virt", "qemu-system-arm", "ttyAMA0"),
    "armv7l": ("qemu-system-arm -machine virt", "qemu-system-arm", "ttyAMA0"),
    "i686": ("qemu-system-i386", "qemu-system-x86", "ttyS0"),
    "ppc64le": ("qemu-system-ppc64", "qemu-system-ppc", "hvc0"),
    "riscv64": ("qemu-system-riscv64 -machine virt", "qemu-system-misc", "ttyS0"),
    "s390x": ("qemu-system-s390x", "qemu-system-misc", "ttysclp0"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """A TCP port of this machine, on 127.0.0.1, that leads to a port of the guest."""

    host: int
    guest: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the ports in `HOST:GUEST`; raises `ValueError`.

        >>> Forward.parse("8080:80")
        Forward(host=8080, guest=80)
        """
        found = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
        if found is None or not all(0 < int(port) <= _MOST_PORT for port in found.groups()):
            raise ValueError(f"want HOST:GUEST, two ports from 1 to {_MOST_PORT} such as 8080:80, got {text[:40]!r}")
        return cls(host=int(found[1]), guest=int(found[2]))


@dataclass(frozen=True, kw_only=True, slots=True)
class BootRequest:
    """The release to start, and how long to wait for `marker` (None: the marker that RELEASE.json names).

    `stays`: the system is not powered off after its marker.
    """

    release: Path
    marker: str | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    memory_mib: int = DEFAULT_MEMORY_MIB
    forwards: tuple[Forward, ...] = ()
    stays: bool = False
    may_use_kvm: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootable:
    """The parts of a release that QEMU starts, and the marker to wait for."""

    kernel: Path
    initramfs: Path
    machine: Machine
    marker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BootResult:
    """A boot that printed its marker. `console` are the last lines before it, without control characters."""

    marker: str
    console: tuple[str, ...]
    powered_off: bool


def boot(
    request: BootRequest,
    *,
    console: Callable[[str], None],
    tick: Callable[[float, str], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> BootResult:
    """Start the release, and return after it has printed its marker and powered off. `console` gets each line.

    While the system is silent, `tick` gets the seconds since the start, and the last line, each second. A system that
    stays is ended as soon as `meanwhile` is done; without it, it runs until it ends itself.

    Raises `Malformed` if the release cannot be started, `Refused` if a file is not the one that RELEASE.json names, and
    `WorldFailed` if QEMU is missing, or the marker does not come in time.
    """
    bootable = bootable_of(request)
    program = _qemu(bootable)
    arguments = qemu_arguments(program, bootable, request)
    with start_program(arguments, env={"LC_ALL": "C.UTF-8"}, where=str(request.release), stdin="ours") as running:
        seen = _watched(running, request, bootable, console, tick)
        off = _stayed(running, console, meanwhile) if request.stays else _powered_off(running, console)
        return BootResult(marker=bootable.marker, console=seen, powered_off=off)


def boot_on_terminal(request: BootRequest) -> None:
    """Start the release with its console on our own terminal, until it ends. Raises as `boot` does, without a marker.

    Ctrl-A X ends QEMU.
    """
    bootable = bootable_of(request)
    arguments = qemu_arguments(_qemu(bootable), bootable, request, serial="mon:stdio")
    status = attend_program(arguments, env={"LC_ALL": "C.UTF-8"}, where=str(request.release))
    if status:
        raise WorldFailed(str(request.release), f"{bootable.machine.program} {outcome(status)}")


def _qemu(bootable: Bootable) -> str:
    machine = bootable.machine
    return find_program(machine.program, f"apt-get install {machine.package}")


def uses_kvm(bootable: Bootable, request: BootRequest) -> bool:
    """Return whether the release is started with KVM."""
    return request.may_use_kvm and has_kvm(bootable.machine)


def has_kvm(machine: Machine, *, device: Path = Path("/dev/kvm"), processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether KVM can be used for the machine: the processor has it, and the user may use the device.

    The device alone proves nothing: on some rented machines it is there, and a guest never begins.
    """
    if machine is not MACHINES.get(os.uname().machine) or not os.access(device, os.R_OK | os.W_OK):
        return False
    try:
        flags = re.search(r"^flags\s*:(.*)$", processor.read_text(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not {"vmx", "svm"}.isdisjoint(flags[1].split())


def bootable_of(request: BootRequest) -> Bootable:
    """Return the release's kernel, initramfs and marker, its files checked against RELEASE.json.

    Raises `Malformed` if the release cannot be started, and `Refused` if a file is not the one that RELEASE.json names.
    """
    statement = request.release / RELEASE_FILE
    try:
        release = Release.parse(read_bounded(statement, MAX_RELEASE_BYTES), RELEASE_FILE)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_release(request.release) from error
    arch, marker = release.external.get("arch"), request.marker or release.external.get("marker")
    if not isinstance(marker, str) or not marker.strip():
        raise Malformed(
            RELEASE_FILE, "names no marker to wait for", hint=f"cosmos boot {quoted(request.release)} --marker TEXT"
        )
    machine = MACHINES.get(str(arch))
    if machine is None:
        raise _for_another_machine(request.release, str(arch))
    return Bootable(
        kernel=_only(request.release, release.subjects, "a kernel", _is_kernel),
        initramfs=_only(request.release, release.subjects, "an initramfs", _is_initramfs),
        machine=machine,
        marker=marker.strip(),
    )


def is_bootable(release: Release) -> bool:
    """Return whether `boot` can start `release`: it has one kernel and one initramfs, for a known machine."""
    names = [subject.name for subject in release.subjects]
    return str(release.external.get("arch")) in MACHINES and all(
        sum(map(is_it, names)) == 1 for is_it in (_is_kernel, _is_initramfs)
    )


def qemu_arguments(program: str, bootable: Bootable, request: BootRequest, *, serial: str = "stdio") -> list[str]:
    """Return the whole command. The marker is not in it: a kernel prints its command line.

    The kernel prints only its errors (loglevel=4). `quiet` would hide the reason of a failed boot.
    """
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{one.host}-:{one.guest}" for one in request.forwards)
    words = f"console={bootable.machine.console} panic=-1 loglevel=4"
    return [
        program,
        *(("-accel", "kvm") if uses_kvm(bootable, request) else ()),  # and if it does not work after all, the next
        *("-accel", "tcg", *bootable.machine.arguments, "-m", str(request.memory_mib), "-no-reboot"),
        *("-nodefaults", "-display", "none", "-serial", serial),
        *("-netdev", f"user,id=net,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-kernel", str(bootable.kernel), "-initrd", str(bootable.initramfs)),
        *("-append", words if request.stays else f"{words} {POWER_OFF}"),
    ]


def is_marker(line: str, marker: str) -> bool:
    """Return whether `line` is the marker.

    >>> [is_marker(line, "READY") for line in ("READY", "READY[   12.345] random: done", "init=READY", "READYX")]
    [True, True, False, False]
    """
    text = line.strip()
    return text == marker or (text.startswith(marker) and _KERNEL_MESSAGE.match(text, len(marker)) is not None)


def harmless(line: str) -> str:
    """Return a line of the console without escape sequences and control characters.

    >>> harmless("\\x1b[2J\\x1b[31mred\\x1b[0m\\x07 \\x9b2J\\r")
    'red 2J'
    """
    return "".join(char for char in _ESCAPES.sub("", line) if char == "\t" or char.isprintable())


def _is_kernel(name: str) -> bool:
    return name.startswith("vmlinuz")


def _is_initramfs(name: str) -> bool:
    return name.endswith(".cpio.zst")


def _only(folder: Path, subjects: Iterable[Subject], what: str, is_it: Callable[[str], bool]) -> Path:
    """Return the one file among `subjects` for which `is_it` is true, after a check of its digest."""
    found = [subject for subject in subjects if is_it(subject.name)]
    if len(found) != 1:
        names = ", ".join(subject.name for subject in found) or "none"
        hint = 'add to image.toml an [[output]] with format = "cpio.zst", and one with format = "file", as = "vmlinuz"'
        raise Malformed(str(folder), f"want {what} to start, found {names}", hint=hint)
    path = folder / found[0].name
    try:
        digest = digest_of_size(path, found[0].size_bytes)
    except FileNotFoundError as error:
        raise Refused(str(path), f"is not there, but {RELEASE_FILE} names it") from error
    if digest != found[0].digest:
        raise Refused(
            str(path), f"{RELEASE_FILE} names {found[0].digest}, but the file is {digest or 'of another size'}"
        )
    return path


def _for_another_machine(release: Path, arch: str) -> Malformed:
    """Return the error for a system that `cosmos boot` cannot start, with the command that can."""
    problem = f"is for {arch}, and cosmos boot starts only {', '.join(MACHINES)}"
    if arch not in _ELSEWHERE:
        return Malformed(RELEASE_FILE, problem, hint=f"take {release} to a machine of that architecture")
    command, package, console = _ELSEWHERE[arch]
    return Malformed(
        RELEASE_FILE,
        problem,
        hint=f"start it yourself (apt-get install {package}): {command} -m 1024 -nographic "
        f"-kernel {quoted(f'{release}/vmlinuz')} -initrd {quoted(f'{release}/NAME.cpio.zst')} "
        f"-append console={console}",
    )


def _watched(
    running: RunningProgram,
    request: BootRequest,
    bootable: Bootable,
    console: Callable[[str], None],
    tick: Callable[[float, str], None] | None,
) -> tuple[str, ...]:
    """Return the console's lines up to the marker, or raise `WorldFailed` with the last of them."""
    seen: deque[str] = deque(maxlen=_KEPT_LINES)
    started = time.monotonic()

    def silent() -> None:
        if tick is not None:
            tick(time.monotonic() - started, next((line for line in reversed(seen) if line.strip()), ""))

    marker = bootable.marker
    problem = f"ended without printing its marker {marker}"
    try:
        for raw in running.lines(request.timeout_seconds, tick=silent):
            line = harmless(raw)
            console(line)
            seen.append(line)
            if is_marker(line, marker):
                return tuple(seen)
    except WorldFailed:
        problem = f"did not print its marker {marker} in {request.timeout_seconds:g} seconds"
    last = [line for line in seen if line][-_TAIL_LINES:]
    said = "\n".join(last) or "nothing"
    hint = _hint(last)
    if not last and uses_kvm(bootable, request):
        hint = "perhaps KVM does not work here: try --no-kvm"
    raise WorldFailed(str(request.release), f"{problem}; the console's last lines:\n{said}", hint=hint)


def _hint(last: Iterable[str]) -> str | None:
    text = "\n".join(last)
    if "COSMOS-FAILED" in text:
        return "cosmos inside the system found a mistake: see the lines before COSMOS-FAILED"
    if "host forwarding rule" in text:
        return "another program has that port: choose another one, such as --forward 2223:22"
    if "Out of memory" in text or "No space left" in text:
        return "give it more memory: --memory 2048"
    return None


def _stayed(running: RunningProgram, console: Callable[[str], None], meanwhile: Callable[[], None] | None) -> bool:
    """Return whether the system ended by itself, rather than by the end of `meanwhile`."""
    if meanwhile is None:
        for raw in running.lines(LONGEST_SECONDS):
            console(harmless(raw))
        return running.wait(_POWER_OFF_SECONDS) == 0
    drain = threading.Thread(target=deque, args=(running.lines(LONGEST_SECONDS), 0), daemon=True)
    drain.start()  # a guest whose console is full stands still; the terminal belongs to `meanwhile`
    try:
        meanwhile()
    finally:
        running.kill()
        drain.join()  # else it reads on while the program's output is closed
    return False


def _powered_off(running: RunningProgram, console: Callable[[str], None]) -> bool:
    """Return whether the system powered off by itself in time. `console` gets its last lines."""
    try:
        for raw in running.lines(_POWER_OFF_SECONDS):
            console(harmless(raw))
        return running.wait(_POWER_OFF_SECONDS) == 0
    except WorldFailed:
        return False
