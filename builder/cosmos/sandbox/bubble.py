"""One program in bubblewrap (bwrap(1)): no network, no other process, no file but its tools and the tree it works on.

    bwrap --unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL
          --hostname nova --ro-bind TOOLS / --proc /proc --dev /dev --size N --tmpfs /dev/shm --remount-ro /dev
          --size N --tmpfs /tmp --size N --tmpfs /stage --chdir /stage --seccomp FD --info-fd FD --block-fd FD

Without `--unshare-user`, `--unshare-all` silently leaves the user namespace out. TOOLS is a folder made of verified
stars (`star_tools`), or, for a maintainer's own `stellar build-star`, the machine's /usr (`HOST_TOOLS`). The
environment is fixed, but for what the caller adds. Users meet all this as `run()`, and its errors say so.

In this order:
  1. bwrap makes the sandbox and says which process sleeps in it (`--info-fd`, `--block-fd`)
  2. that process is inspected from outside (`bubble_probe`)
  3. the tree is laid into /stage, which is memory of the sandbox and bounded by the kernel
  4. it is woken, puts on the filter for system calls (`seccomp`), and runs the program
  5. all that is left of the sandbox is killed, and seen to be gone
  6. what lies in /stage is read back as data; then it is gone, too: it had no name but in the sandbox

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
_END_SECONDS: Final = 20  # for the kernel to end all that a program left
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
    """What a program has at `/`: `mounted` gives bwrap's arguments for as long as it runs, `places` where that is.

    `digest` is the content root of the tree that stars make there; None for the machine's own programs.
    """

    digest: Digest | None
    places: tuple[str, ...]
    mounted: Callable[[], AbstractContextManager[tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """The descriptors that bwrap is given: where it says which process sleeps, what wakes that, and the filter."""

    info: int
    block: int
    seccomp: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleeper:
    """The first process of a finished sandbox, which is our bwrap's child. All that is in the sandbox ends with it."""

    number: int
    process: Process
    pidfd: int
    opened: ExitStack

    @classmethod
    def found(cls, said: bytes, parent: int) -> Self | None:
        """Return the process that bwrap names in `said`, once it sleeps; raises `OSError` where it is gone.

        Its folder and its descriptor mean this process: it still is a child of `parent` after both were opened.
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
        """Kill the sandbox and see it gone; raises `WorldFailed`."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(_END_SECONDS * 1000):
            raise WorldFailed(where, f"what a program left running is there {_END_SECONDS} seconds after it was killed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """Runs programs, one at a time. `epoch` is the time of what they make, `stage_bytes` the room that they have."""

    tools: Tools
    epoch: int
    timeout_seconds: float
    where: str
    stage_bytes: int = MAX_STAGE_BYTES

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return what is there afterwards; raises `WorldFailed`, `Malformed`."""
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
        """Give the process that sleeps in the finished sandbox; when the block ends, all in the sandbox is killed."""
        sleeper = self._awaited(program, info)
        with sleeper.opened, ending_with_us(sleeper.number, self.where):
            try:
                yield sleeper
            finally:
                sleeper.end(self.where)

    def _awaited(self, program: RunningProgram, info: int) -> Sleeper:
        """Return the process that sleeps, as soon as it does; raises `WorldFailed` with what bwrap says against it."""
        deadline = time.monotonic() + _START_SECONDS
        while program.status is None:
            with suppress(OSError, ValueError, LookupError):  # it is gone, and bwrap will say why; or bwrap is none
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
    """Return tools that are the files of verified stars, written out for as long as a program runs.

    `digest` is the `tools_digest` of what `entries` yields.
    """

    @contextmanager
    def mounted() -> Iterator[tuple[str, ...]]:
        with _laid(entries()) as name:
            yield ("--ro-bind", name, "/")

    return Tools(digest=digest, places=("/",), mounted=mounted)


def tools_digest(lines: Iterable[ManifestLine]) -> Digest:
    """Return the content root of the tree that layers make, one on the other: of two lines with one path, the later."""
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
    """Return the command that another is put behind, for its limits.

    Root becomes nobody: in a user namespace it would have no capabilities, but own what root owns in /proc/sys. That
    change makes the kernel forget that it should die with us: setpriv says so again.
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
        # Open for both, it never ends: where we are killed, that does not wake the sandbox, as the end of a pipe would.
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
    """Give a temporary folder of `entries`, with a folder where each mount goes, that every user may read."""
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
