"""Run one program in bubblewrap (bwrap(1)): without a network, and with its tools and its tree as the only files.

    bwrap --unshare-user --unshare-all --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL
          --uid 0 --gid 0 --hostname nova --size N --tmpfs / --file FD /tmp/laid --remount-ro / [--ro-bind /usr /usr]
          --proc /proc --ro-bind-data FD /proc/FILE --dev /dev --size N --tmpfs /dev/shm --remount-ro /dev
          --size N --tmpfs /tmp --size N --tmpfs /stage --chdir /stage --seccomp FD --info-fd FD --block-fd FD

Without `--unshare-user`, `--unshare-all` silently leaves the user namespace out. The tools at `/` are made of verified
stars (`star_tools`), or, for a maintainer's own `stellar build-star`, are the machine's /usr (`HOST_TOOLS`). The
environment is fixed, except for the caller's additions. Users know all this as `run()`, and the errors use that name.

In this order:
  1. bwrap mounts memory at `/`, and waits for the end of a pipe (`--file`); Cosmos lays the tools into that memory
  2. bwrap finishes the sandbox, and its first process sleeps (`--info-fd`, `--block-fd`)
  3. Cosmos inspects that process from outside (`bubble_probe`)
  4. Cosmos lays the tree into /stage, which is memory of the sandbox with a limit by the kernel (`laid_tree`)
  5. the process wakes, sets the filter for system calls (`seccomp`), and runs the program
  6. Cosmos kills the rest of the sandbox, and waits until it is gone
  7. Cosmos reads /stage back as data; then all is gone, because it existed only in the sandbox

A program sees itself as user 0, without a capability: so it sees the usual owner of a tree's entries, whoever builds.

KNOWN GAP: memory is bounded for `/`, /stage, /tmp, /dev/shm and each process, but not for all processes together.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import Final, TypeVar

from cosmos.child import Confinement
from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed
from cosmos.limits import MAX_STAGE_BYTES, MAX_TOOLS_BYTES, MIB
from cosmos.links import real
from cosmos.process import RunningProgram, ending_with_us, find_program, start_program
from cosmos.records import dataclass
from cosmos.sandbox.attended import Person, carry, private_terminal
from cosmos.sandbox.bubble_probe import Asked, demand_closed
from cosmos.sandbox.circumstances import FIRST, LIMITS, Circumstances, machine_files
from cosmos.sandbox.laid_tree import Laid, laid_out, read_back
from cosmos.sandbox.on_disk import NOBODY, Room, as_its_owner
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.sandbox.seccomp import MACHINES, bubble_filter
from cosmos.sandbox.sleeper import END_SECONDS, Sleeper, opened_folder
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath

T = TypeVar("T")
_TMP_BYTES: Final = 256 * MIB  # of /tmp, and of /dev/shm, which are memory
_TMP, _SHARED = "/tmp", "/dev/shm"  # noqa: S108 - the sandbox's own
_PLACES: Final = (b"proc", b"dev", b"tmp", b"stage")  # where something is mounted on the tools
_GATE: Final = f"{_TMP}/laid"  # a file that bwrap makes when the tools may be laid, until a pipe ends; /tmp covers it
_UNFINISHED: Final = "root/newroot"  # where bwrap has the sandbox's root before it enters it
_START_SECONDS: Final = 20  # for bwrap to make its sandbox: it takes some milliseconds
_LOOK_SECONDS: Final = 0.001  # between two looks whether it is done
_MAX_INFO_BYTES: Final = 4096  # of what bwrap says of its sandbox: it has about 200
_TAIL_LINES: Final = 12  # of what a program said, in an error
_TAIL_CHARACTERS: Final = 500  # of each of them
_BWRAP_HINT: Final = "install bubblewrap: sudo apt-get install --no-install-recommends bubblewrap"
_NAMESPACE_HINT: Final = (
    "bubblewrap needs user namespaces: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, "
    "and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0"
)
_LIMIT_HINT: Final = "a limit of this shell is too low for bubblewrap: see `ulimit -a`, or start with a higher one"
_LIMITED: Final = ("Too many open files", "Resource temporarily unavailable", "Cannot allocate memory")
_TOOLS_HINT: Final = "let the star depend on less: the files of all its dependencies are its programs' tools"
_STAGE_HINT: Final = "leave large files out of what run() works on: a later copy() can bring them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """A program's tools at `/`: `entries` yields what is laid there, `binds` are folders of this machine, read-only.

    `digest` is the content root of the tree that stars make there; None for the machine's own programs.
    """

    digest: Digest | None
    entries: Callable[[], Iterator[Entry]]
    binds: tuple[str, ...] = ()
    size_bytes: int = MAX_TOOLS_BYTES

    def tree(self) -> dict[TreePath, Entry]:
        """Return the tree at `/`, with a folder for each mount. Of two entries with one path, the later counts."""
        tree: dict[TreePath, Entry] = {}
        shared: dict[TreePath, list[TreePath]] = {}
        for entry in self.entries():
            if entry.kind == "hardlink":
                shared.setdefault(TreePath(entry.target), []).append(entry.path)
            replaced = tree.get(entry.path)
            if replaced is not None and replaced.kind == "file":
                _promote(tree, replaced, shared.pop(entry.path, []))
            tree[entry.path] = entry
        for path in [path for path in tree if path.split(b"/")[0] in _PLACES]:
            gone = tree.pop(path)
            if gone.kind == "file":
                _promote(tree, gone, shared.pop(path, []))
        return tree | {place: _folder(place) for place in map(TreePath, _PLACES)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """The descriptors for bwrap: to report its first process, to wake it, to have its tools laid, and the filter.

    `gate` closes our end of the pipe `laid`, which says that the tools are laid. `covers` has the text that a program
    reads at a place of /proc instead of the machine's own.
    """

    info: int
    block: int
    laid: int
    gate: ExitStack
    seccomp: int
    covers: Mapping[str, int] = field(default_factory=dict)

    @property
    def given(self) -> tuple[int, ...]:
        """The descriptors that bwrap inherits."""
        return self.info, self.block, self.laid, self.seccomp, *self.covers.values()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """Runs programs, one at a time. `epoch` is the time of the entries that they make, `stage_bytes` their space.

    Programs of `HOST_TOOLS` keep all processors: their result depends on the machine anyway.
    """

    tools: Tools
    epoch: int
    timeout_seconds: float
    where: str
    stage_bytes: int = MAX_STAGE_BYTES
    circumstances: Circumstances = FIRST

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return the tree afterwards; raises `WorldFailed`, `Malformed`."""
        with self._awake(words, env, tree) as (program, sleeper, stage, laid):
            said = (line[:_TAIL_CHARACTERS] for line in program.lines(self.timeout_seconds))
            last = deque(said, _TAIL_LINES)
            status = program.wait(END_SECONDS)  # bwrap has closed its output, which the program had from it
            sleeper.end(self.where)
            after = self._left(stage, laid)
        return RunOutcome(
            status=status, tree=after, last="\n".join(last), tools=self.tools.digest, began=laid.done_ns // 10**9
        )

    def attend(
        self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry], person: Person
    ) -> int:
        """Run `words` as `run` does, but for a person, and return the exit status; raises `WorldFailed`, `Malformed`.

        There is no limit of time. The tree that the program leaves is not read: it is gone with the sandbox.
        """
        env = {**env, b"TERM": os.fsencode(person.kind)}
        with (
            private_terminal(person) as (ours, its),
            self._awake(words, env, tree, terminal=its) as (program, *_),
        ):
            carry(person, ours, its)
            return program.wait(END_SECONDS)

    @contextmanager
    def _awake(
        self,
        words: tuple[bytes, ...],
        env: Mapping[bytes, bytes],
        tree: Mapping[TreePath, Entry],
        terminal: int | None = None,
    ) -> Iterator[tuple[RunningProgram, Sleeper, int, Laid]]:
        """Give `words`, running in a finished sandbox: bwrap, the first process, /stage, and what was laid there."""
        bwrap = real(Path(find_program("bwrap", _BWRAP_HINT)))  # user nobody may not look into each folder of PATH
        memory = {"/": self.tools.size_bytes, _SHARED: _TMP_BYTES, **self._places()}
        settings = [part for pair in _environment(env, self.epoch) for part in ("--setenv", *pair)]
        asked = Asked(tools=self.tools.binds[2::3], memory=memory, terminal=terminal)
        with _channels() as channels:
            bubble = sandboxed(self.tools.binds, memory, channels)
            if terminal is not None:
                bubble.remove("--new-session")  # its session is new already, and the private terminal belongs to it
            argv = [str(bwrap), *bubble, *settings, "--", *map(os.fsdecode, words)]
            with (
                start_program(
                    argv,
                    env={},
                    where=self.where,
                    pass_fds=channels.given,
                    confinement=self._confinement(has_terminal=terminal is not None),
                    terminal=terminal,
                ) as program,
                self._started(program, channels.info) as sleeper,
            ):
                self._equip(program, sleeper, channels.gate)
                self._awaited(program, lambda: sleeper.process.is_asleep(program.pid) or None)
                demand_closed(sleeper.process, asked, self.where)
                with opened_folder("root/stage", sleeper.process.folder) as stage:
                    laid = self._fill(stage, tree)
                    os.write(channels.block, b"!")
                    yield program, sleeper, stage, laid

    def _confinement(self, *, has_terminal: bool) -> Confinement:
        return Confinement(
            limits=LIMITS,
            user=NOBODY if os.geteuid() == 0 else None,  # root would own root's files in /proc/sys
            processor=None if self.tools.digest is None else self.circumstances.processor(),
            niceness=self.circumstances.niceness,
            kernel=self.circumstances.kernel,
            rules_terminal=has_terminal,
        )

    def _places(self) -> dict[str, int]:
        """Return the folders that a program may write to, in the order of their mounts, with their sizes in bytes."""
        places = {_TMP: _TMP_BYTES, "/stage": self.stage_bytes}
        return places if self.circumstances.order == "forward" else dict(reversed(places.items()))

    @contextmanager
    def _started(self, program: RunningProgram, info: int) -> Iterator[Sleeper]:
        """Give the first process of the sandbox; the end of the block kills the whole sandbox."""
        sleeper = self._awaited(program, lambda: Sleeper.found(os.pread(info, _MAX_INFO_BYTES, 0), program.pid))
        with sleeper.opened, ending_with_us(sleeper.number, self.where):
            try:
                yield sleeper
            finally:
                sleeper.end(self.where)

    def _awaited(self, program: RunningProgram, look: Callable[[], T | None]) -> T:
        """Return what `look` finds, as soon as it finds something; raises `WorldFailed` with bwrap's own error."""
        deadline = time.monotonic() + _START_SECONDS
        while program.status is None:
            with suppress(OSError, ValueError, LookupError):  # it is gone, and bwrap reports why; or this is not bwrap
                found = look()
                if found is not None:
                    return found
            if time.monotonic() > deadline:
                raise WorldFailed(self.where, f"bubblewrap has not finished its sandbox in {_START_SECONDS} seconds")
            time.sleep(_LOOK_SECONDS)
        said = "\n".join(program.lines(END_SECONDS))[-300:] or "it says nothing"
        hint = _LIMIT_HINT if any(limit in said for limit in _LIMITED) else _NAMESPACE_HINT
        raise WorldFailed(self.where, f"bubblewrap cannot make its sandbox here: {said}", hint=hint)

    def _equip(self, program: RunningProgram, sleeper: Sleeper, gate: ExitStack) -> None:
        """Lay the tools into the sandbox's root, which bwrap has not entered yet, and let bwrap go on."""

        def waiting() -> bool:
            os.stat(f"{_UNFINISHED}{_GATE}", dir_fd=sleeper.process.folder, follow_symlinks=False)
            return True

        self._awaited(program, waiting)
        problem = f"its tools do not fit into a program's memory, which has {self.tools.size_bytes} bytes"
        tree = {path: entry for path, entry in self.tools.tree().items() if path != _TMP[1:].encode()}  # it is there
        with opened_folder(_UNFINISHED, sleeper.process.folder) as root, as_its_owner():
            self._laid(tree, root, problem, _TOOLS_HINT)
        gate.close()

    def _fill(self, stage: int, tree: Mapping[TreePath, Entry]) -> Laid:
        problem = f"its tree does not fit into a program's /stage, which has {self.stage_bytes} bytes"
        with as_its_owner():
            return self._laid(tree, stage, problem, _STAGE_HINT)

    def _laid(self, tree: Mapping[TreePath, Entry], folder: int, too_large: str, hint: str) -> Laid:
        try:
            return laid_out(tree, folder, self.epoch, self.circumstances.order)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Malformed(self.where, too_large, hint=hint) from error
            raise WorldFailed(self.where, f"the sandbox cannot be filled: {_why(error)}") from error

    def _left(self, stage: int, laid: Laid) -> dict[TreePath, Entry]:
        room = Room(where="/stage", size_bytes=self.stage_bytes)
        try:
            with as_its_owner():
                return read_back(stage, laid, room)
        except OSError as error:
            raise WorldFailed(self.where, f"/stage cannot be read back: {_why(error)}") from error


def sandboxed(binds: tuple[str, ...], memory: Mapping[str, int], channels: Channels) -> list[str]:
    """Return the arguments that make bwrap's sandbox, up to the program's environment and words.

    `binds` mounts folders of this machine; `memory` is what each of the folders of memory may hold, in bytes.
    """
    sized = {place: ("--size", str(size_bytes), "--tmpfs", place) for place, size_bytes in memory.items()}
    covers = [part for place, number in channels.covers.items() for part in ("--ro-bind-data", str(number), place)]
    return [
        "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
        "--cap-drop", "ALL", "--uid", "0", "--gid", "0", "--hostname", "nova", *sized.pop("/"),
        "--file", str(channels.laid), _GATE, "--remount-ro", "/", *binds, "--proc", "/proc", *covers, "--dev", "/dev",
        *sized.pop(_SHARED), "--remount-ro", "/dev", *(part for parts in sized.values() for part in parts),
        "--chdir", "/stage", "--seccomp", str(channels.seccomp), "--info-fd", str(channels.info),
        "--block-fd", str(channels.block),
    ]  # fmt: skip


def star_tools(entries: Callable[[], Iterator[Entry]], digest: Digest) -> Tools:
    """Return tools made of the files of verified stars, which exist only in the sandbox while a program runs.

    `digest` is the `tools_digest` of the layers that `entries` yields.
    """
    return Tools(digest=digest, entries=entries)


def tools_digest(lines: Iterable[ManifestLine]) -> Digest:
    """Return the content root of the tree of these layers: of two lines with one path, the later counts."""
    return content_root({line.path: line for line in lines}.values())


def _host_entries() -> Iterator[Entry]:
    """Yield the mount points of `HOST_TOOLS`, and the links into /usr that this machine's programs need."""
    yield from map(_folder, map(TreePath, (b"usr", b"etc/alternatives")))
    for link in (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32"):
        if Path("/usr", os.fsdecode(link)).is_dir():
            yield Entry(path=TreePath(link), kind="symlink", mode=0o777, target=b"usr/" + link)


_ALTERNATIVES: Final = "/etc/alternatives"  # Debian's `cc` leads through it
# The machine's own /usr, read-only: what is built with it depends on the machine.
HOST_TOOLS: Final = Tools(
    digest=None,
    entries=_host_entries,
    binds=("--ro-bind", "/usr", "/usr", "--ro-bind-try", _ALTERNATIVES, _ALTERNATIVES),
)


def _promote(tree: dict[TreePath, Entry], gone: Entry, links: Iterable[TreePath]) -> None:
    """Let the hard links to a file that is replaced keep its bytes: the first becomes the file."""
    kept = [path for path in links if path in tree and tree[path].kind == "hardlink" and tree[path].target == gone.path]
    for path in kept:
        if path == kept[0]:
            tree[path] = replace(tree[path], kind="file", content=gone.content, target=b"")
        else:
            tree[path] = replace(tree[path], target=bytes(kept[0]))


@contextmanager
def _channels() -> Iterator[Channels]:
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        raise WorldFailed("nova", f"run() has no filter for system calls on {os.uname().machine}")
    with ExitStack() as kept:

        def keep(number: int) -> int:
            kept.callback(os.close, number)
            return number

        def holding(name: str, data: bytes) -> int:
            number = keep(os.memfd_create(name))
            os.pwrite(number, data, 0)
            return number

        info, seccomp = keep(os.memfd_create("info")), holding("seccomp", bubble_filter(machine))
        covers = {place: holding("cover", data) for place, data in machine_files().items()}
        one_end, _ = map(keep, os.pipe())
        # Open at both ends, it has no end that would wake the sandbox if cosmos is killed, as the end of a pipe would.
        block = keep(os.open(f"/proc/self/fd/{one_end}", os.O_RDWR | os.O_CLOEXEC))
        laid, gate = os.pipe()
        keep(laid)
        ours = kept.enter_context(ExitStack())
        ours.callback(os.close, gate)
        yield Channels(info=info, block=block, laid=laid, gate=ours, seccomp=seccomp, covers=covers)


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
        "TAR_OPTIONS": "--no-same-owner",  # user 0 has no other owner to give to what it unpacks
    }
    yield from {**fixed, **{os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}}.items()


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
