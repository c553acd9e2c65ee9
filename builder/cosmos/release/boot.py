"""`cosmos boot RELEASE`: start a release in QEMU and wait until the system itself says that it is well.

QEMU starts the kernel and the initramfs of the release, after a check against RELEASE.json. QEMU emulates (TCG), so a
machine without KVM gives the same answer as one with KVM. The guest has no disk, and its network ends at QEMU.

Only the booted system prints the **marker**: it is not on the command line, because kernels echo the command line.
A line counts if it is the marker, or the marker followed by a kernel message on the same line (`[   12.3] …`).
After the marker, the system powers itself off (`cosmos.poweroff` on its command line). If it does not, QEMU is killed.

The console is untrusted text from inside the image. The caller gets its lines without escape sequences and control
characters, so they cannot control a terminal.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_FILE, Release, Subject
from cosmos.process import RunningProgram, find_program, start_program
from cosmos.reading import open_plain, read_bounded

DEFAULT_MEMORY_MIB: Final = 1024  # the rescue image wants half of it: its tree, and cosmos unpacked into /tmp
DEFAULT_TIMEOUT_SECONDS: Final = 180.0  # it takes 10 to 20 on a machine of 2020; emulation on a busy one is slow
POWER_OFF: Final = "cosmos.poweroff"
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


@dataclass(frozen=True, kw_only=True, slots=True)
class BootRequest:
    """The release to start, and how long to wait for `marker` (None: the marker that RELEASE.json names)."""

    release: Path
    marker: str | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    memory_mib: int = DEFAULT_MEMORY_MIB


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


def boot(request: BootRequest, *, console: Callable[[str], None]) -> BootResult:
    """Start the release, and return after it has printed its marker and powered off. `console` gets each line.

    Raises `Malformed` if the release cannot be started, `Refused` if a file is not the one that RELEASE.json names, and
    `WorldFailed` if QEMU is missing, or the marker does not come in time.
    """
    bootable = bootable_of(request)
    machine = bootable.machine
    program = find_program(machine.program, f"apt-get install {machine.package}")
    arguments = qemu_arguments(program, bootable, request.memory_mib)
    with start_program(arguments, env={"LC_ALL": "C.UTF-8"}, where=str(request.release), stdin="ours") as running:
        seen = _watched(running, request, bootable.marker, console)
        return BootResult(marker=bootable.marker, console=seen, powered_off=_powered_off(running, console))


def bootable_of(request: BootRequest) -> Bootable:
    """Return the release's kernel, initramfs and marker, its files checked against RELEASE.json.

    Raises `Malformed` if the release cannot be started, and `Refused` if a file is not the one that RELEASE.json names.
    """
    statement = request.release / RELEASE_FILE
    try:
        release = Release.parse(read_bounded(statement, MAX_RELEASE_BYTES), RELEASE_FILE)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Malformed(
            str(statement), "is not there", hint="give the folder that cosmos build wrote: IMAGE/out"
        ) from error
    arch, marker = release.external.get("arch"), request.marker or release.external.get("marker")
    if not isinstance(marker, str) or not marker.strip():
        raise Malformed(
            RELEASE_FILE, "names no marker to wait for", hint=f"cosmos boot {request.release} --marker TEXT"
        )
    machine = MACHINES.get(str(arch))
    if machine is None:
        raise Malformed(RELEASE_FILE, f"is for {arch}, but cosmos boot can only start {', '.join(MACHINES)}")
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


def qemu_arguments(program: str, bootable: Bootable, memory_mib: int) -> list[str]:
    """Return the whole command. The marker is not in it: a kernel prints its command line.

    The kernel prints only its errors (loglevel=4). `quiet` would hide the reason of a failed boot.
    """
    return [
        program,
        *("-accel", "tcg", *bootable.machine.arguments, "-m", str(memory_mib), "-no-reboot"),
        *("-nodefaults", "-display", "none", "-serial", "stdio"),
        *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
        *("-kernel", str(bootable.kernel), "-initrd", str(bootable.initramfs)),
        *("-append", f"console={bootable.machine.console} panic=-1 loglevel=4 {POWER_OFF}"),
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
        with open_plain(path) as stream:
            digest = Digest.of_stream(stream)
    except FileNotFoundError as error:
        raise Refused(str(path), f"is not there, but {RELEASE_FILE} names it") from error
    if digest != found[0].digest:
        raise Refused(str(path), f"{RELEASE_FILE} names {found[0].digest}, but the file is {digest}")
    return path


def _watched(
    running: RunningProgram, request: BootRequest, marker: str, console: Callable[[str], None]
) -> tuple[str, ...]:
    """Return the console's lines up to the marker, or raise `WorldFailed` with the last of them."""
    seen: deque[str] = deque(maxlen=_KEPT_LINES)
    problem = f"ended without printing its marker {marker}"
    try:
        for raw in running.lines(request.timeout_seconds):
            line = harmless(raw)
            console(line)
            seen.append(line)
            if is_marker(line, marker):
                return tuple(seen)
    except WorldFailed:
        problem = f"did not print its marker {marker} in {request.timeout_seconds:g} seconds"
    last = [line for line in seen if line][-_TAIL_LINES:]
    said = "\n".join(last) or "nothing"
    raise WorldFailed(str(request.release), f"{problem}; the console's last lines:\n{said}", hint=_hint(last))


def _hint(last: Iterable[str]) -> str | None:
    text = "\n".join(last)
    if "COSMOS-FAILED" in text:
        return "cosmos inside the system found a mistake: see the lines before COSMOS-FAILED"
    if "Out of memory" in text or "No space left" in text:
        return "give it more memory: --memory 2048"
    return None


def _powered_off(running: RunningProgram, console: Callable[[str], None]) -> bool:
    """Return whether the system powered off by itself in time. `console` gets its last lines."""
    try:
        for raw in running.lines(_POWER_OFF_SECONDS):
            console(harmless(raw))
        return running.wait(_POWER_OFF_SECONDS) == 0
    except WorldFailed:
        return False
