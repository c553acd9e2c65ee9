"""Run one program in bubblewrap (bwrap(1)): without a network, and with its tools and its tree as the only files.

    bwrap --unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL
          --hostname nova --ro-bind TOOLS / --proc /proc --dev /dev --size N --tmpfs /dev/shm --remount-ro /dev
          --size N --tmpfs /tmp --size N --tmpfs /stage --chdir /stage --seccomp FD --info-fd FD --block-fd FD

Without `--unshare-user`, `--unshare-all` silently leaves the user namespace out. TOOLS is a folder made of verified
stars (`star_tools`), or, for a maintainer's own `stellar build-star`, the machine's /usr (`HOST_TOOLS`). The
environment is fixed, except for the caller's additions. Users know all this as `run()`, and the errors use that name.

In this order:
  1. bwrap makes the sandbox and reports the process that sleeps in it (`--info-fd`, `--block-fd`)
  2. Cosmos inspects that process from outside (`bubble_probe`)
  3. Cosmos writes the tree to /stage, which is memory of the sandbox with a limit by the kernel
  4. the process wakes, sets the filter for system calls (`seccomp`), and runs the program
  5. Cosmos kills the rest of the sandbox, and waits until it is gone
  6. Cosmos reads /stage back as data; then /stage is gone, too, because it existed only in the sandbox

KNOWN GAP: memory is bounded for /stage, /tmp, /dev/shm and each process, but not for all processes together.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import GIB, MAX_STAGE_BYTES, MIB
from cosmos.process import RunningProgram, ending_with_us, find_program, start_program
from cosmos.sandbox.bubble_probe import Asked, Process, demand_closed
from cosmos.sandbox.on_disk import NOBODY, Room, as_its_owner, read_back, written_out
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.sandbox.seccomp import MACHINES, bubble_filter
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath

_TMP_BYTES: Final = 256 * MIB  # of /tmp, and of /dev/shm, which are memory
_LIMITS: Final = (
    "--core=0",
    "--nofile=1024",
    f"--fsize={2 * GIB}",
    f"--as={4 * GIB}",
    "--nproc=4096",
    "--memlock=65536",
)
_TMP, _SHARED = "/tmp", "/dev/shm"  # noqa: S108 - the sandbox's own
_PLACES: Final = (b"proc", b"dev", b"tmp", b"stage")  # where something is mounted in TOOLS
_START_SECONDS: Final = 20  # for bwrap to make its sandbox: it takes some milliseconds
_END_SECONDS: Final = 20  # for the kernel to end everything that a program left
_LOOK_SECONDS: Final = 0.001  # between two looks whether it is done
_MAX_INFO_BYTES: Final = 4096  # of what bwrap says of its sandbox: it has about 200
_TAIL_LINES: Final = 12  # of what a program said, in an error
_TAIL_CHARACTERS: Final = 500  # of each of them
_UTIL_HINT: Final = "install util-linux: sudo apt-get install util-linux"
_BWRAP_HINT: Final = "install bubblewrap: sudo apt-get install --no-install-recommends bubblewrap"
_NAMESPACE_HINT: Final = (
    "bubblewrap needs user namespaces: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, "
    "and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0"
)
_STAGE_HINT: Final = "leave large files out of what run() works on: a later copy() can bring them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """A program's tools at `/`: `mounted` gives bwrap's arguments while it runs, `places` are the mount points.

    `digest` is the content root of the tree that stars make there; None for the machine's own programs.
    """

    digest: Digest | None
    places: tuple[str, ...]
    mounted: Callable[[], AbstractContextManager[tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """The descriptors for bwrap: one to report the sleeping process, one to wake it, and the filter."""

    info: int
    block: int
    seccomp: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleeper:
    """The first process of a finished sandbox, a child of bwrap. The whole sandbox ends with it."""

    number: int
    process: Process
    pidfd: int
    opened: ExitStack

    @classmethod
    def found(cls, said: bytes, parent: int) -> Self | None:
        """Return the process that bwrap names in `said`, as soon as it sleeps; raises `OSError` if it is gone.

        Its folder and its descriptor surely mean this process: it is still a child of `parent` after both were opened.
        """
        if not said.rstrip().endswith(b"}"):
            return None
        number = int(json.loads(said)["child-pid"])
        with ExitStack() as opened:
            process = Process(folder=opened.enter_context(_opened(f"/proc/{number}")))
            pidfd = os.pidfd_open(number)
            opened.callback(os.close, pidfd)
            if not process.is_asleep(parent):
                return None
            return cls(number=number, process=process, pidfd=pidfd, opened=opened.pop_all())

    def end(self, where: str) -> None:
        """Kill the sandbox and wait until it is gone; raises `WorldFailed`."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(_END_SECONDS * 1000):
            raise WorldFailed(where, f"a program of the sandbox still runs {_END_SECONDS} seconds after it was killed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """Runs programs, one at a time. `epoch` is the time of the entries that they make, `stage_bytes` their space."""

    tools: Tools
    epoch: int
    timeout_seconds: float
    where: str
    stage_bytes: int = MAX_STAGE_BYTES

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return the tree afterwards; raises `WorldFailed`, `Malformed`."""
        bwrap = find_program("bwrap", _BWRAP_HINT)
        memory = {_SHARED: _TMP_BYTES, _TMP: _TMP_BYTES, "/stage": self.stage_bytes}
        settings = [part for pair in _environment(env, self.epoch) for part in ("--setenv", *pair)]
        with self.tools.mounted() as root, _channels() as channels:
            argv = [*_limited(), bwrap, *sandboxed(root, memory, channels), *settings, "--", *map(os.fsdecode, words)]
            given = (channels.info, channels.block, channels.seccomp)
            with (
                start_program(argv, env={}, where=self.where, pass_fds=given) as program,
                self._asleep(program, channels.info) as sleeper,
            ):
                demand_closed(sleeper.process, Asked(tools=self.tools.places, memory=memory), self.where)
                with _opened("root/stage", sleeper.process.folder) as stage:
                    self._fill(stage, tree)
                    os.write(channels.block, b"!")
                    said = (line[:_TAIL_CHARACTERS] for line in program.lines(self.timeout_seconds))
                    last = deque(said, _TAIL_LINES)
                    status = program.wait(_END_SECONDS)  # bwrap has closed its output, which the program had from it
                    sleeper.end(self.where)
                    after = self._left(stage, tree)
        return RunOutcome(status=status, tree=after, last="\n".join(last), tools=self.tools.digest)

    @contextmanager
    def _asleep(self, program: RunningProgram, info: int) -> Iterator[Sleeper]:
        """Give the process that sleeps in the finished sandbox; the end of the block kills the whole sandbox."""
        sleeper = self._awaited(program, info)
        with sleeper.opened, ending_with_us(sleeper.number, self.where):
            try:
                yield sleeper
            finally:
                sleeper.end(self.where)

    def _awaited(self, program: RunningProgram, info: int) -> Sleeper:
        """Return the process, as soon as it sleeps; raises `WorldFailed` with bwrap's own error."""
        deadline = time.monotonic() + _START_SECONDS
        while program.status is None:
            with suppress(OSError, ValueError, LookupError):  # it is gone, and bwrap reports why; or this is not bwrap
                sleeper = Sleeper.found(os.pread(info, _MAX_INFO_BYTES, 0), program.pid)
                if sleeper is not None:
                    return sleeper
            if time.monotonic() > deadline:
                raise WorldFailed(self.where, f"bubblewrap has not finished its sandbox in {_START_SECONDS} seconds")
            time.sleep(_LOOK_SECONDS)
        said = "\n".join(program.lines(_END_SECONDS))[-300:] or "it says nothing"
        raise WorldFailed(self.where, f"bubblewrap cannot make its sandbox here: {said}", hint=_NAMESPACE_HINT)

    def _fill(self, stage: int, tree: Mapping[TreePath, Entry]) -> None:
        try:
            with as_its_owner():
                written_out(tree, stage)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                problem = f"its tree does not fit into a program's /stage, which has {self.stage_bytes} bytes"
                raise Malformed(self.where, problem, hint=_STAGE_HINT) from error
            raise WorldFailed(self.where, f"/stage cannot be filled: {_why(error)}") from error

    def _left(self, stage: int, before: Mapping[TreePath, Entry]) -> dict[TreePath, Entry]:
        room = Room(where="/stage", size_bytes=self.stage_bytes)
        try:
            with as_its_owner():
                return dict(read_back(stage, before, self.epoch, room))
        except OSError as error:
            raise WorldFailed(self.where, f"/stage cannot be read back: {_why(error)}") from error


def sandboxed(root: tuple[str, ...], memory: Mapping[str, int], channels: Channels) -> list[str]:
    """Return the arguments that make bwrap's sandbox, up to the program's environment and words.

    `root` mounts the tools; `memory` is what each of the folders of memory may hold, in bytes.
    """
    sized = {place: ("--size", str(size_bytes), "--tmpfs", place) for place, size_bytes in memory.items()}
    return [
        "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
        "--cap-drop", "ALL", "--hostname", "nova", *root, "--proc", "/proc", "--dev", "/dev", *sized.pop(_SHARED),
        "--remount-ro", "/dev", *(part for parts in sized.values() for part in parts), "--chdir", "/stage",
        "--seccomp", str(channels.seccomp), "--info-fd", str(channels.info), "--block-fd", str(channels.block),
    ]  # fmt: skip


def star_tools(entries: Callable[[], Iterator[Entry]], digest: Digest) -> Tools:
    """Return tools made of the files of verified stars, written to a folder while a program runs.

    `digest` is the `tools_digest` of the layers that `entries` yields.
    """

    @contextmanager
    def mounted() -> Iterator[tuple[str, ...]]:
        with _laid(entries()) as name:
            yield ("--ro-bind", name, "/")

    return Tools(digest=digest, places=("/",), mounted=mounted)


def tools_digest(lines: Iterable[ManifestLine]) -> Digest:
    """Return the content root of the tree of these layers: of two lines with one path, the later counts."""
    return content_root({line.path: line for line in lines}.values())


@contextmanager
def _host_tools() -> Iterator[tuple[str, ...]]:
    folders = [_folder(TreePath(place)) for place in (b"usr", b"etc/alternatives")]
    links = [
        Entry(path=TreePath(link), kind="symlink", mode=0o777, target=b"usr/" + link)
        for link in (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")
        if Path("/usr", os.fsdecode(link)).is_dir()
    ]
    alternatives = "/etc/alternatives"  # Debian's `cc` leads through it
    with _laid([*folders, *links]) as name:
        yield ("--ro-bind", name, "/", "--ro-bind", "/usr", "/usr", "--ro-bind-try", alternatives, alternatives)


# The machine's own /usr, read-only: what is built with it depends on the machine.
HOST_TOOLS: Final = Tools(digest=None, places=("/", "/usr", "/etc/alternatives"), mounted=_host_tools)


def _limited() -> list[str]:
    """Return the command line that sets a program's limits and then runs it.

    Root becomes user nobody: in a user namespace root has no capabilities, but it would own root's files in /proc/sys.
    After this change the kernel no longer kills it when cosmos dies, so setpriv asks the kernel for that again.
    """
    limits = [find_program("prlimit", _UTIL_HINT), *_LIMITS, "--"]
    if os.geteuid() != 0:
        return limits
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=KILL"]
    return [find_program("setpriv", _UTIL_HINT), *user, "--", *limits]


@contextmanager
def _channels() -> Iterator[Channels]:
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        raise WorldFailed("nova", f"run() has no filter for system calls on {os.uname().machine}")
    with ExitStack() as kept:

        def keep(number: int) -> int:
            kept.callback(os.close, number)
            return number

        info, seccomp = keep(os.memfd_create("info")), keep(os.memfd_create("seccomp"))
        os.pwrite(seccomp, bubble_filter(machine), 0)
        one_end, _ = map(keep, os.pipe())
        # Open at both ends, it has no end that would wake the sandbox if cosmos is killed, as the end of a pipe would.
        block = keep(os.open(f"/proc/self/fd/{one_end}", os.O_RDWR | os.O_CLOEXEC))
        yield Channels(info=info, block=block, seccomp=seccomp)


@contextmanager
def _opened(path: str, folder: int | None = None) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield number
    finally:
        os.close(number)


@contextmanager
def _laid(entries: Iterable[Entry]) -> Iterator[str]:
    """Give a temporary folder of `entries` that every user may read, with a folder for each mount."""
    tree = {entry.path: entry for entry in entries if entry.path.split(b"/")[0] not in _PLACES}
    tree |= {TreePath(place): _folder(TreePath(place)) for place in _PLACES}
    with tempfile.TemporaryDirectory(prefix="cosmos-tools-") as name, _opened(name) as folder:
        os.fchmod(folder, 0o755)
        written_out(tree, folder)
        yield name


def _folder(path: TreePath) -> Entry:
    return Entry(path=path, kind="dir", mode=0o755)


def _environment(given: Mapping[bytes, bytes], epoch: int) -> Iterator[tuple[str, str]]:
    fixed = {
        "PATH": "/usr/bin:/usr/sbin:/bin:/sbin",
        "HOME": "",
        "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
    }
    yield from {**fixed, **{os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}}.items()


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
