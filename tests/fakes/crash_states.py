"""A disk whose power can fail: every change below a folder is recorded, and each state is made that a cut can leave.

    with recorded(folder) as record:        what the block does to the folder is recorded
        command()
    for state in record.states(seed=1):     what the disk may hold after a power cut, or a kill, somewhere in the block
        state.write(elsewhere)

The model promises no more than POSIX does. A change is safe on the disk after an fsync of its inode (of the file for
bytes and attributes, of the folder for names), or after a sync of the whole file system. Any other change may be there
or not, each by itself and in any order. A rename within one folder takes place as one; between two folders the old name
may stay beside the new one. Bytes that are not safe may also be there by half, or as zeros of the right length.

A kill loses nothing that was written: all changes up to a moment took place, and the last write may be cut off.

The folder is looked at before and after each call, so no change is missed, whichever call makes it: a change by a call
that is not watched belongs to the next one that is. Times are recorded for the calls that set them, and the lock's
times never. `failing_at` lets one of the same calls fail, or all from then on.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.device.kernel import Kernel
from cosmos.digest import Digest
from cosmos.image import bootstrapping

_CHANGING = (
    *("chmod", "chown", "fchmod", "fchown", "ftruncate", "lchown", "link", "mkdir", "mkfifo", "mknod", "open"),
    *("remove", "removexattr", "rename", "replace", "rmdir", "setxattr", "symlink", "truncate", "unlink", "utime"),
    "write",
)
_OF_KERNEL = ("rename_new", "exchange", "chown_held", "chmod_held")
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_ALL_COMBINATIONS = 3  # of so many changes that are not safe; of more, some
_SAMPLES = 3  # random combinations of more changes than that

_FOLDER, _FILE, _LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK


@dataclass(frozen=True)
class Node:
    """An inode. `names` are a folder's, with the inodes' numbers; `data` a file's bytes, or a link's target."""

    kind: int
    rdev: int
    attributes: dict[str, Any]
    data: bytes = b""
    names: dict[str, int] = field(default_factory=dict)


Nodes = dict[int, Node]


@dataclass(frozen=True)
class Names:
    """Names of one folder change together: each is an inode now, or nothing. `after`: the step that must come first."""

    node: int
    now: dict[str, int | None]
    after: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{'-' if number is None else '+'}{name}" for name, number in sorted(self.now.items()))


@dataclass(frozen=True)
class Bytes:
    """The bytes of a file change."""

    node: int
    old: bytes
    new: bytes

    @property
    def torn(self) -> tuple[bytes, bytes]:
        """The bytes as a cut may leave them: by half, and as zeros where they are new."""
        pairs = zip(self.old, self.new, strict=False)
        same = next(
            (place for place, (one, other) in enumerate(pairs) if one != other), min(len(self.old), len(self.new))
        )
        return self.new[: (same + len(self.new)) // 2], self.new[:same] + bytes(len(self.new) - same)

    def __str__(self) -> str:
        return f"{len(self.old)}->{len(self.new)} bytes"


@dataclass(frozen=True)
class Attributes:
    """Attributes of an inode change."""

    node: int
    now: dict[str, Any]

    def __str__(self) -> str:
        return " ".join(self.now)


@dataclass(frozen=True)
class Sync:
    """What was done to the inode before is safe now; without a number, everything is."""

    node: int | None


Change = Names | Bytes | Attributes


@dataclass(frozen=True)
class State:
    """A state of the disk, and how it comes about."""

    how: str
    top: int
    nodes: Nodes

    def write(self, folder: Path) -> None:
        """Make the state as the new folder `folder`."""
        made: dict[int, Path] = {}
        self._make(self.top, folder, made)
        for number in reversed(made):  # the inner ones first: a folder's mode may keep us out
            self._dress(self.nodes[number], made[number])

    @property
    def digest(self) -> Digest:
        """The digest of all that the state holds."""
        seen: dict[int, int] = {}
        return Digest.of("\n".join(self._lines(self.top, seen)).encode())

    def _lines(self, number: int, seen: dict[int, int]) -> Iterator[str]:
        if number in seen:
            yield f"again {seen[number]}"
            return
        seen[number] = len(seen)
        node = self.nodes[number]
        yield f"{node.kind} {node.rdev} {sorted(node.attributes.items())} {node.data!r}"
        for name, below in sorted(node.names.items()):
            yield name
            yield from self._lines(below, seen)

    def _make(self, number: int, place: Path, made: dict[int, Path]) -> None:
        node = self.nodes[number]
        if number in made:
            if node.kind != _FOLDER:
                os.link(made[number], place, follow_symlinks=False)
            return
        made[number] = place
        if node.kind == _FOLDER:
            place.mkdir()
            for name, below in node.names.items():
                self._make(below, place / name, made)
        elif node.kind == _FILE:
            place.write_bytes(node.data)
        elif node.kind == _LINK:
            place.symlink_to(os.fsdecode(node.data))
        else:
            os.mknod(place, node.kind | 0o600, node.rdev)

    def _dress(self, node: Node, place: Path) -> None:
        held = node.attributes
        if os.geteuid() == 0:
            os.lchown(place, held["uid"], held["gid"])
        if node.kind != _LINK:
            place.chmod(held["mode"])
            for name, value in held["xattrs"]:
                os.setxattr(place, name, value)
        if "time" in held:
            os.utime(place, ns=(held["time"],) * 2, follow_symlinks=False)


@dataclass(frozen=True)
class Recipe:
    """Which steps took place, and which of them left torn bytes: what a state is made from."""

    how: str
    kept: tuple[int, ...]
    torn: tuple[tuple[int, bytes], ...] = ()


class Record:
    """The steps that changed a folder, from the state in which it was at the beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: dict[int, int] = {}  # of inode numbers now: a number may be used again
        self._count = itertools.count()
        self._now: Nodes = {}
        self._born: Nodes = {}
        self.steps: list[Change | Sync] = []
        self.look()
        self.top = self._ids[folder.lstat().st_ino]
        self._born = {**self._now}  # what is there at the beginning is safe
        self.steps.clear()

    # --- recording

    def look(self, *, with_times: bool = False) -> None:
        """Record what has changed since the last look. `with_times`: the call since then was one that sets times."""
        found = _scanned(self._folder)
        ids = {}
        for number, node in found.items():
            known = self._ids.get(number)
            ids[number] = known if known is not None and self._now[known].kind == node.kind else next(self._count)
        self._ids = ids
        now = {
            ids[number]: replace(node, names={name: ids[below] for name, below in node.names.items()})
            for number, node in found.items()
        }
        for number, node in now.items():
            if number not in self._now:
                self._add(number, node)
            self._compare(number, self._now[number], node, with_times=with_times)
        self._compare_names(now)

    def sync(self, number: int | None) -> None:
        """Record that the inode with this number is safe; None: that everything is."""
        if number is None or number in self._ids:
            self.steps.append(Sync(None if number is None else self._ids[number]))

    def _add(self, number: int, node: Node) -> None:
        attributes = {name: value for name, value in node.attributes.items() if name != "time"}
        data = b"" if node.kind == _FILE else node.data
        self._now[number] = self._born[number] = replace(node, attributes=attributes, data=data, names={})

    def _compare(self, number: int, old: Node, new: Node, *, with_times: bool) -> None:
        changed = {
            name: value
            for name, value in new.attributes.items()
            if old.attributes.get(name) != value and (name != "time" or with_times)
        }
        if old.data != new.data:
            self.steps.append(Bytes(number, old.data, new.data))
        if changed:
            self.steps.append(Attributes(number, changed))
        self._now[number] = replace(old, data=new.data, attributes={**old.attributes, **changed})

    def _compare_names(self, now: Nodes) -> None:
        added, removed = list[Names](), list[Names]()
        for number, node in now.items():
            old = self._now[number].names
            names = {name: node.names.get(name) for name in old.keys() | node.names.keys()}
            changed = {name: below for name, below in names.items() if below != old.get(name)}
            if changed:
                (removed if all(below is None for below in changed.values()) else added).append(Names(number, changed))
        begin = len(self.steps)
        for step in removed:  # of a move from one folder to another: what moves never has no name
            gone = {self._now[step.node].names[name] for name in step.now}
            comes = [place for place, other in enumerate(added, begin) if gone & {*other.now.values()}]
            added_after = replace(step, after=comes[0] if comes else None)
            removed[removed.index(step)] = added_after
        for one in (*added, *removed):
            self.steps.append(one)
            self._now[one.node] = _with_names(self._now[one.node], one.now)

    # --- states

    @property
    def changes(self) -> int:
        """How many steps change the disk."""
        return sum(not isinstance(step, Sync) for step in self.steps)

    def loose_at_the_end(self) -> list[Change]:
        """Return the changes that a power cut after the last step may still lose."""
        return [step for one in self._parted(len(self.steps))[1] if not isinstance(step := self.steps[one], Sync)]

    def after_all(self) -> State:
        """Return the state in which every change took place."""
        return self.state(Recipe("all", (*range(len(self.steps)),)))

    def states(self, *, seed: int) -> Iterator[State]:
        """Yield each state once that a power cut or a kill may leave. Of many combinations, `seed` chooses some."""
        seen = set[Digest]()
        for recipe in self.recipes(seed=seed):
            state = self.state(recipe)
            if state.digest not in seen:
                seen.add(state.digest)
                yield state

    def recipes(self, *, seed: int) -> Iterator[Recipe]:
        """Yield what makes all of `states`, each once; a few of them make the same state."""
        seen = set[tuple[tuple[int, ...], tuple[tuple[int, bytes], ...]]]()
        chance = random.Random(seed)
        for point in range(len(self.steps) + 1):
            for recipe in itertools.chain(self._killed(point), self._cut(point, chance)):
                what = tuple(one for one in recipe.kept if not isinstance(self.steps[one], Sync)), recipe.torn
                if what not in seen:
                    seen.add(what)
                    yield recipe

    def _killed(self, point: int) -> Iterator[Recipe]:
        """Yield the states of a kill: before step `point`, or in the middle of it if it is a write."""
        done = (*range(point),)
        yield Recipe(f"killed after step {point}", done)
        last = self.steps[point] if point < len(self.steps) else None
        if isinstance(last, Bytes):
            yield Recipe(f"killed in step {point}: {last}", (*done, point), ((point, last.torn[0]),))

    def _cut(self, point: int, chance: random.Random) -> Iterator[Recipe]:
        """Yield the states of a power cut before step `point`."""
        safe, loose = self._parted(point)
        weighty = [one for one in loose if str(self.steps[one]) != "time"]
        for kept in _combinations(loose, weighty, chance):
            if any(isinstance(step := self.steps[one], Names) and step.after in {*loose} - {*kept} for one in kept):
                continue
            lost = ", ".join(f"{one} ({self.steps[one]})" for one in loose if one not in kept)
            how = f"power cut after step {point}, lost: {lost or 'nothing'}"
            yield Recipe(how, (*sorted((*safe, *kept)),))
        for one in loose:
            step = self.steps[one]
            if isinstance(step, Bytes):
                for torn in step.torn:
                    how = f"power cut after step {point}, torn: {one} ({step})"
                    yield Recipe(how, (*sorted((*safe, *loose)),), ((one, torn),))
                    others = [other for other in loose if not isinstance(self.steps[other], Bytes)]
                    yield Recipe(f"{how}, no other bytes", (*sorted((*safe, *others, one)),), ((one, torn),))

    def _parted(self, point: int) -> tuple[list[int], list[int]]:
        """Return the steps before `point` whose change is safe, and the others."""
        safe, loose = list[int](), list[int]()
        for number, step in enumerate(self.steps[:point]):
            if isinstance(step, Sync):
                done = [one for one in loose if step.node in (None, self.steps[one].node)]
                safe += done
                loose = [one for one in loose if one not in done]
            else:
                loose.append(number)
        return safe, loose

    def state(self, recipe: Recipe) -> State:
        """Return the state that the recipe makes."""
        nodes, torn = {**self._born}, dict(recipe.torn)
        for number in recipe.kept:
            step = self.steps[number]
            match step:
                case Names():
                    nodes[step.node] = _with_names(nodes[step.node], step.now)
                case Bytes():
                    nodes[step.node] = replace(nodes[step.node], data=torn.get(number, step.new))
                case Attributes():
                    node = nodes[step.node]
                    nodes[step.node] = replace(node, attributes={**node.attributes, **step.now})
                case Sync():
                    pass
        return State(recipe.how, self.top, nodes)


def _with_names(node: Node, now: dict[str, int | None]) -> Node:
    names = {**node.names, **now}
    return replace(node, names={name: below for name, below in names.items() if below is not None})


def _combinations(loose: Sequence[int], weighty: Sequence[int], chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Yield combinations of the changes that took place: all of few; of many none, all, and some.

    Each of some `weighty` ones is the only one that took place, and the only one that did not.
    """
    if len(loose) <= _ALL_COMBINATIONS:
        for number in range(len(loose) + 1):
            yield from itertools.combinations(loose, number)
        return
    yield ()
    yield tuple(loose)
    for one in chance.sample(weighty, min(len(weighty), _SAMPLES)):
        yield (one,)
        yield tuple(other for other in loose if other != one)
    for _ in range(_SAMPLES):
        yield tuple(one for one in loose if chance.random() < 0.5)


def _scanned(folder: Path) -> Nodes:
    """Return every inode below `folder`, by its number on this machine."""
    found: Nodes = {}

    def scan(place: str) -> int:
        held = os.lstat(place)
        number = held.st_ino
        if number in found:
            return number
        kind = stat.S_IFMT(held.st_mode)
        data, names = b"", dict[str, int]()
        xattrs = [] if kind == _LINK else os.listxattr(place)
        attributes = {
            "mode": stat.S_IMODE(held.st_mode),
            "uid": held.st_uid,
            "gid": held.st_gid,
            "time": held.st_mtime_ns,
            "xattrs": tuple((name, os.getxattr(place, name)) for name in xattrs),
        }
        if kind == _FILE:
            data = Path(place).read_bytes()
        elif kind == _LINK:
            data = os.fsencode(Path(place).readlink())
        found[number] = Node(kind, held.st_rdev, attributes, data, names)
        if kind == _FOLDER:
            for below in sorted(os.scandir(place), key=lambda one: one.name):
                names[below.name] = scan(below.path)
        return number

    scan(str(folder))
    return found


# --- the calls


class _Watch:
    """Meets every call that changes the folder. Threads come one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.process = os.getpid()
        self.lock = threading.RLock()
        self.is_busy = False

    def concerns(self, *places: tuple[object, object]) -> bool:
        """Return whether one of the places, a path or descriptor and the folder that it starts at, is in the folder."""
        return any(self._within(place, start) for place, start in places)

    def call(self, name: str, call: Callable[[], Any], half: Callable[[], Any]) -> Any:
        """Do the call. `half` does half of a write, and nothing of another call."""
        raise NotImplementedError

    def sync(self, number: int | None) -> None:
        """Hear that an inode, or everything, is brought to the disk."""
        raise NotImplementedError

    def _within(self, place: object, start: object) -> bool:
        if isinstance(place, int):
            path = _path_of(place)
        else:
            above = _path_of(start) if isinstance(start, int) else Path.cwd()
            path = above / os.fsdecode(place)  # type: ignore[arg-type]  # a path, as the call gets it
        return path.is_relative_to(self.folder)


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


class _Recorder(_Watch):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.record = Record(folder)

    def call(self, name: str, call: Callable[[], Any], half: Callable[[], Any]) -> Any:
        self.record.look()
        try:
            return call()
        finally:
            self.record.look(with_times=name == "utime")

    def sync(self, number: int | None) -> None:
        self.record.look()
        self.record.sync(number)


class _Failer(_Watch):
    """Counts the calls; lets the one with the number `at` fail, and all after it if `goes_on`."""

    def __init__(self, folder: Path, at: int, code: int, *, goes_on: bool) -> None:
        super().__init__(folder)
        self.calls = 0
        self._at, self._code, self._goes_on = at, code, goes_on

    def call(self, name: str, call: Callable[[], Any], half: Callable[[], Any]) -> Any:
        self._count(half)
        return call()

    def sync(self, number: int | None) -> None:
        self._count(lambda: None)

    def _count(self, half: Callable[[], Any]) -> None:
        self.calls += 1
        if self._at and (self.calls == self._at or (self._goes_on and self.calls > self._at)):
            half()
            raise OSError(self._code, os.strerror(self._code))


@contextmanager
def recorded(folder: Path) -> Iterator[Record]:
    """Record what this process does below `folder`. Nothing waits for the real disk."""
    watch = _Recorder(folder)
    with _watched(watch):
        yield watch.record
        watch.record.look()


@contextmanager
def failing_at(folder: Path, at: int, code: int, *, goes_on: bool) -> Iterator[Callable[[], int]]:
    """Let the call with the number `at` below `folder` fail (0: none). Gives a function that counts the calls."""
    watch = _Failer(folder, at, code, goes_on=goes_on)
    with _watched(watch):
        yield lambda: watch.calls


@contextmanager
def no_waiting() -> Iterator[None]:
    """Wait for no real disk: what is judged here is read by the same kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(Kernel, "sync_file_system", lambda _self, _descriptor: None)
        patch.setattr(bootstrapping, "sync_file_system", lambda _path: None)
        yield


@contextmanager
def _watched(watch: _Watch) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGING:
            patch.setattr(os, name, _wrapped(watch, name, getattr(os, name)))
        for name in _OF_KERNEL:
            patch.setattr(Kernel, name, _wrapped_method(watch, name, getattr(Kernel, name)))
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda descriptor: _synced(watch, descriptor))
        patch.setattr(Kernel, "sync_file_system", lambda _self, descriptor: _all_synced(watch, descriptor))
        patch.setattr(bootstrapping, "sync_file_system", lambda path: _path_synced(watch, path))
        patch.setattr(os, "fdopen", _opened(os.fdopen))
        watched = {getattr(os, name) for name in _CHANGING}
        for name in ("supports_dir_fd", "supports_fd", "supports_follow_symlinks"):  # asked before a call
            patch.setattr(os, name, getattr(os, name) | watched)
        yield


def _wrapped(watch: _Watch, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*words: Any, **options: Any) -> Any:
        if watch.is_busy or watch.process != os.getpid():
            return real(*words, **options)
        with watch.lock:
            if watch.is_busy:
                return real(*words, **options)
            watch.is_busy = True
            try:
                if not _changes(watch, name, words, options):
                    return real(*words, **options)
                return watch.call(name, lambda: real(*words, **options), lambda: _half(real, name, words))
            finally:
                watch.is_busy = False

    return call


def _half(real: Callable[..., Any], name: str, words: tuple[Any, ...]) -> None:
    if name == "write":
        real(words[0], words[1][: len(words[1]) // 2])


def _changes(watch: _Watch, name: str, words: tuple[Any, ...], options: dict[str, Any]) -> bool:
    if name == "open" and not (words[1] if len(words) > 1 else options["flags"]) & _FOR_WRITING:
        return False
    if name == "symlink":
        return watch.concerns((words[1], options.get("dir_fd")))
    if name in ("link", "rename", "replace"):
        return watch.concerns((words[0], options.get("src_dir_fd")), (words[1], options.get("dst_dir_fd")))
    if name == "write" and not stat.S_ISREG(os.fstat(words[0]).st_mode):
        return False
    return watch.concerns((words[0], options.get("dir_fd")))


def _wrapped_method(watch: _Watch, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(kernel: Kernel, held: int, *words: Any) -> Any:
        if watch.is_busy or not watch.concerns((held, None)):
            return real(kernel, held, *words)
        with watch.lock:
            watch.is_busy = True
            try:
                return watch.call(name, lambda: real(kernel, held, *words), lambda: None)
            finally:
                watch.is_busy = False

    return call


def _synced(watch: _Watch, descriptor: int) -> None:
    number = os.fstat(descriptor).st_ino
    with watch.lock:
        if watch.process == os.getpid() and watch.concerns((descriptor, None)):
            _heard(watch, number)


def _all_synced(watch: _Watch, descriptor: int) -> None:
    with watch.lock:
        if watch.concerns((descriptor, None)):
            _heard(watch, None)


def _path_synced(watch: _Watch, path: Path) -> None:
    with watch.lock:
        if watch.concerns((path, None)):
            _heard(watch, None)


def _heard(watch: _Watch, number: int | None) -> None:
    watch.is_busy = True
    try:
        watch.sync(number)
    finally:
        watch.is_busy = False


def _opened(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return `os.fdopen` whose files write with `os.write`, where it can fail."""

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            view = memoryview(data).cast("B")
            return os.write(self.fileno(), view)

    def opened(descriptor: int, mode: str = "r", *words: Any, **options: Any) -> Any:
        if mode == "wb":
            return io.BufferedWriter(Raw(descriptor, "wb", closefd=options.get("closefd", True)))
        if mode == "r+b":
            return io.BufferedRandom(Raw(descriptor, "r+b", closefd=options.get("closefd", True)))
        return real(descriptor, mode, *words, **options)

    return opened
