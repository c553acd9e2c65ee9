"""What an adversarial rebuild varies: one thing at a time, and everything at once.

A variation changes the circumstances of one process: its environment, the program that starts it (util-linux's
`setarch`, `taskset`, `unshare`, `setpriv`, `prlimit`; libfaketime), or what the rebuild is told. A variation that this
machine cannot make is not left out in silence: it has a reason.

A build needs one program of the machine, `bwrap`, and that only if scripts may run programs. So two variations are
about PATH: one has a folder with nothing but `bwrap`, the other one puts a folder of decoys first. A decoy has the name
of a usual program, answers wrongly, and leaves a note that it was started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Final, Literal

from cosmos.errors import WorldFailed
from cosmos.process import run_program
from cosmos.records import dataclass

_NOISE: Final = 200  # variables of no meaning
_NOBODY: Final = 65534
_TRIAL_SECONDS: Final = 60  # of a command that does nothing
_FAKETIME: Final = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 it is what is looked for: another file system
_MASKED: Final = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-ERMS,-FSRM,-SSE4_2,-SHA"
_OPENSSL_MASK: Final = "~0x200000200000000:~0x20000000"  # no AES-NI and AVX; no SHA extensions
_NAMES: Final = (
    "ar awk base64 basename bash bzip2 cat cc chmod cp cpio cut date dd dpkg dpkg-deb du env expr file find gcc "
    "getconf git gpg grep gunzip gzip head hostname id install ld ldconfig ldd ln locale ls lua lua5.4 make mkdir "
    "mke2fs mkfs.erofs mkfs.vfat mksquashfs mktemp mv nproc objcopy objdump openssl patch perl python python3 "
    "readelf readlink realpath rm rsync sed sh sha256sum sort stat strip tail tar tee touch tr uname uniq unshare "
    "unsquashfs unxz unzip wc which xargs xz zip zstd zstdcat"
)
DECOYS: Final = tuple(_NAMES.split())
DECOY: Final = 'echo "${0##*/}" >>"${0%/*}/../started"; echo "cosmos-decoy 0.0.1 $*"; exit 0'
NEEDED: Final = ("bwrap",)
CALM: Final[Mapping[str, str]] = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """How one rebuild is started. `starters` are commands that each start the rest of the command line.

    `folder` is the name of the folder that it works in, `temporary` its TMPDIR (None: inside that folder). `path` is
    its PATH: the one that was given, a folder with nothing but what a build needs, or a folder of decoys before the
    given one. `clock` are variables for the rebuild alone, and not for the starters: what libfaketime shares between
    processes, another user may not open.
    """

    folder: str = "calm"
    env: Mapping[str, str] = field(default_factory=lambda: CALM)
    clock: Mapping[str, str] = field(default_factory=dict)
    starters: tuple[tuple[str, ...], ...] = ()
    jobs: int = 1
    shuffle: int = 0
    umask: int = 0o022
    temporary: Path | None = None
    user: int | None = None
    path: Literal["given", "bare", "decoys"] = "given"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """One thing that is varied. `missing` says why this machine cannot vary it; "" if it can."""

    name: str
    what: str
    change: Callable[[Circumstances], Circumstances]
    missing: str = ""


def variations(program_is_readable: bool) -> tuple[Variation, ...]:
    """Return every variation, in the order in which they are tried.

    `program_is_readable`: every user of this machine may read the running program.
    """
    return (*_of_the_surroundings(), *_of_the_files(), *_of_the_machine(), *_of_root(program_is_readable))


def _of_the_surroundings() -> tuple[Variation, ...]:
    """Return the variations of what a shell hands on."""
    noise = {f"NOISE_{number}": "x" * number for number in range(_NOISE)}
    somebody = {"HOME": "/nonexistent", "USER": "somebody", "SOURCE_DATE_EPOCH": "1", "COLUMNS": "40"}
    return (
        Variation(name="umask", what="umask 077", change=lambda now: replace(now, umask=0o077)),
        _set("time zone", TZ="Pacific/Kiritimati"),
        _set("locale", LC_ALL="tr_TR.UTF-8", LANG="de_DE", LANGUAGE="de"),
        _set("hash seed", PYTHONHASHSEED="4711"),
        replace(
            _set("environment", **somebody, **noise), what=f"{_NOISE} more variables, another HOME, USER and COLUMNS"
        ),
        Variation(name="no tools", what="nothing but bwrap on PATH", change=lambda now: replace(now, path="bare")),
        Variation(
            name="tools",
            what=f"{len(DECOYS)} programs that answer wrongly are first on PATH",
            change=lambda now: replace(now, path="decoys"),
        ),
    )


def _of_the_files() -> tuple[Variation, ...]:
    """Return the variations of where files lie, and in which order."""
    return (
        Variation(
            name="folder",
            what="another folder, with a long name, a space and an umlaut",
            change=lambda now: replace(now, folder="ümlaut and blank " + "long" * 40),
        ),
        Variation(
            name="folder order",
            what="folders are listed in another order",
            change=lambda now: replace(now, shuffle=4711),
        ),
        Variation(
            name="temporary folder",
            what="temporary files on another file system",
            change=lambda now: replace(now, temporary=SHARED_MEMORY),
            missing="" if os.access(SHARED_MEMORY, os.W_OK) else f"no {SHARED_MEMORY}",
        ),
    )


def _of_the_machine() -> tuple[Variation, ...]:
    """Return the variations of the processor, the kernel, and the clock."""
    faketime = _faketime()
    processor = str(max(os.sched_getaffinity(0)))
    february = {"LD_PRELOAD": str(faketime), "FAKETIME": "@2001-02-03 04:05:06"}
    return (
        Variation(name="jobs", what="4 jobs", change=lambda now: replace(now, jobs=4)),
        _started("processors", "one processor", "taskset", "--cpu-list", processor),
        _started("limits", "256 open files, a stack of 64 MiB", "prlimit", "--nofile=256:256", "--stack=67108864"),
        _started("priority", "nice 7", "nice", "-n", "7"),
        _started("addresses", "no randomised addresses", "setarch", "-R"),
        _started("kernel version", "uname says 2.6", "setarch", "--uname-2.6"),
        _set("processor features", GLIBC_TUNABLES=_MASKED, OPENSSL_ia32cap=_OPENSSL_MASK),
        Variation(
            name="clock",
            what="it is February 2001 (libfaketime)",
            change=lambda now: replace(now, clock=february),
            missing="" if faketime else "libfaketime is not installed",
        ),
        Variation(
            name="architecture",
            what="another processor",
            change=lambda now: now,
            missing="an emulated processor (qemu-user) has no seccomp filter, and no script runs without one; "
            "rebuild on a machine that has it",
        ),
    )


def _of_root(program_is_readable: bool) -> tuple[Variation, ...]:
    """Return the variations that only root can make."""
    named = 'echo elsewhere > /proc/sys/kernel/hostname; exec "$@"'
    later = ("--boottime", "9999999", "--monotonic", "9999999")
    made: tuple[Variation, ...] = (
        _started("host name", "host name elsewhere", "unshare", "--uts", "--", "sh", "-c", named, "sh"),
        _started("clock since start", "the machine has run for 115 more days", "unshare", "--time", *later),
    )
    is_root = os.geteuid() == 0
    if not is_root:
        made = tuple(replace(one, missing="only root can do that") for one in made)
    return (*made, _user(is_free=is_root and program_is_readable and not _without("setpriv")))


def _user(*, is_free: bool) -> Variation:
    """Return the variation of the user: another one, or if that one could not start the program, in a namespace.

    In a user namespace the program sees itself and its files as another user's. For the kernel it stays who it is.
    """
    if is_free:
        return Variation(name="user", what=f"user {_NOBODY}", change=lambda now: replace(now, user=_NOBODY))
    words = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--")
    what = f"user {_NOBODY} of a user namespace: another user may not start this program"
    made = _started("user", what, *words)
    return made if made.missing else replace(made, missing=_refused((*words, "true")))


def _refused(words: tuple[str, ...]) -> str:
    """Return why the machine does not let this command start, or nothing if it does."""
    try:
        run_program(
            (shutil.which(words[0]) or words[0], *words[1:]),
            env={"PATH": "/usr/bin:/bin"},
            timeout_seconds=_TRIAL_SECONDS,
            where=words[0],
        )
    except WorldFailed as error:
        return f"this machine allows no user namespaces: {error.problem}"
    return ""


def _set(name: str, **variables: str) -> Variation:
    """Return the variation that sets environment variables."""
    what = " ".join(f"{variable}={value}" for variable, value in variables.items())
    return Variation(name=name, what=what, change=lambda now: replace(now, env={**now.env, **variables}))


def _started(name: str, what: str, *words: str) -> Variation:
    """Return the variation that another program makes, which then starts the rebuild."""
    return Variation(
        name=name,
        what=what,
        change=lambda now: replace(now, starters=(*now.starters, words)),
        missing=_without(words[0]),
    )


def applied(made: tuple[Variation, ...]) -> Circumstances:
    """Return the circumstances in which all of `made` hold."""
    now = Circumstances()
    for variation in made:
        now = variation.change(now)
    return now


def tools_path(now: Circumstances, folder: Path, given: str) -> str:
    """Return the PATH of these circumstances, and make its folder in the new folder `folder`."""
    if now.path == "given":
        return given
    folder.mkdir()
    if now.path == "decoys":
        for name in DECOYS:
            (folder / name).write_text(f"#!/bin/sh\n{DECOY}\n")
            (folder / name).chmod(0o755)
        return f"{folder}:{given}"
    for name in NEEDED:
        found = shutil.which(name, path=given)
        if found:
            (folder / name).symlink_to(found)
    return str(folder)


def started_decoys(folder: Path) -> tuple[str, ...]:
    """Return the decoys in `folder` that were started, by name."""
    note = folder.parent / "started"
    return tuple(sorted(set(note.read_text().split()))) if note.is_file() else ()


def command(now: Circumstances, argv: tuple[str, ...], pid_file: Path) -> tuple[str, ...]:
    """Return the whole command line that runs `argv` under these circumstances, and leaves its number in `pid_file`."""
    words = [word for starter in now.starters for word in starter]
    if now.user is not None:
        words += ["setpriv", f"--reuid={now.user}", f"--regid={now.user}", "--clear-groups", "--"]
    if now.clock:
        words += ["env", *(f"{variable}={value}" for variable, value in now.clock.items())]
    start = f'echo $$ > "$1"; shift; umask {now.umask:o}; exec "$@"'
    return ("/bin/sh", "-c", start, "sh", str(pid_file), *_found(words), *argv)


def _found(words: list[str]) -> list[str]:
    """Return the words with each program's path: the PATH that they set must not be theirs."""
    return [shutil.which(word) or word if word in _STARTERS else word for word in words]


_STARTERS: Final = ("nice", "taskset", "prlimit", "setarch", "unshare", "setpriv", "env", "sh")


def _without(program: str) -> str:
    return "" if shutil.which(program) else f"{program} is not installed"


def _faketime() -> Path | None:
    found = [file for pattern in _FAKETIME for file in sorted(Path("/").glob(pattern[1:]))]
    return found[0] if found else None
