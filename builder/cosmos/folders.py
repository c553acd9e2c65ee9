"""`Folder`: read and write the files of one folder, each by its name and by the folder's open descriptor.

A folder comes from a `Way`, which opens it and the folders below it:

    folder_at(path)           a folder of this machine, opened as usual
    device.root.LiveFolder    a folder of a system: no link in the system leads the way out of the system's root

The store, the trust anchors, the memory and cut-off downloads use a `Folder`, so that one code serves a builder's home
and a system. A reader follows a link in the place of a file as the way does. A writer replaces the link. A fifo, a
device or a folder in the place of a file counts as missing. Missing folders are made by the first write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from cosmos.durable import Draft, blaming, demand_folder_or_nothing, drafted_in, make_folder, world_failed
from cosmos.errors import WorldFailed, likely_cause
from cosmos.locking import Hold, open_lock, take, take_at_once, take_in_time, unlock
from cosmos.reading import demand_plain, read_open_within
from cosmos.records import dataclass

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)  # ENXIO: a socket


class Way(Protocol):
    """How folders are opened, made and named. `below` is a path without `..`; `""` is the way's own folder."""

    def open(self, below: str, flags: int) -> int:
        """Return a descriptor of a file or folder that exists. Raises `OSError`."""

    def make_folder(self, below: str) -> None:
        """Make a folder and those above it, durably; keeps folders that exist. Raises `WorldFailed`."""

    def demand_folder_or_nothing(self, below: str) -> None:
        """Raise `WorldFailed` if something else than a folder is there: also a link that leads nowhere."""

    def shown(self, below: str) -> Path:
        """Return the path of a folder or file, for messages alone."""


@dataclass(frozen=True, slots=True)
class PlainWay:
    """The way to the folder `path` of this machine: links are followed as usual."""

    path: Path

    def open(self, below: str, flags: int) -> int:
        """Return a descriptor of a file or folder. Raises `OSError`."""
        place = f"{self.path}/{below}" if below else self.path  # a text: a path takes longer than to open the file
        return os.open(place, flags | os.O_CLOEXEC)

    def make_folder(self, below: str) -> None:
        """Make a folder and those above it, durably. Raises `WorldFailed`."""
        make_folder(self.path / below)

    def demand_folder_or_nothing(self, below: str) -> None:
        """Raise `WorldFailed` if something else than a folder is there, or above it."""
        with blaming(self.path / below):
            demand_folder_or_nothing(self.path / below)

    def shown(self, below: str) -> Path:
        """Return the path of a folder or file."""
        return self.path / below


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. Nothing is opened or made before it is needed."""

    way: Way
    below: str = ""

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The folder's path, for messages alone."""
        return self.way.shown(self.below)

    def shown(self, name: str) -> Path:
        """Return the path of the file `name`, for messages alone."""
        return self.path / name

    @contextlib.contextmanager
    def blaming(self, name: str = "") -> Iterator[None]:
        """Turn every `OSError` of the block into `WorldFailed` about the file `name` or the folder, and raise it.

        As `durable.blaming`, but the path is made for the message alone.
        """
        try:
            yield
        except OSError as error:
            raise world_failed(self.shown(name), error) from error

    @contextlib.contextmanager
    def reading(self, name: str = "") -> Iterator[None]:
        """Raise `WorldFailed` as `blaming` does, for a block that only reads: it says what cannot be read."""
        try:
            yield
        except OSError as error:
            problem = f"cannot be read: {(error.strerror or str(error)).lower()}"
            raise WorldFailed(str(self.shown(name)), problem, hint=likely_cause(error)) from error

    def folder(self, name: str) -> Folder:
        """Return the folder `name` in this one."""
        return Folder(self.way, self._below(name))

    def file(self, name: str) -> FileIn:
        """Return the file `name` in this folder."""
        return FileIn(self, name)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open the folder. Raises `OSError`."""
        descriptor = self.way.open(self.below, _FOLDER)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def made(self) -> Iterator[int]:
        """Open the folder, which is made if it is missing. Raises `OSError` and `WorldFailed`."""
        try:
            descriptor = self.way.open(self.below, _FOLDER)
        except FileNotFoundError:
            self.way.make_folder(self.below)
            descriptor = self.way.open(self.below, _FOLDER)
        except NotADirectoryError:
            self.way.demand_folder_or_nothing(self.below)  # which says what is in the way
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, name: str) -> int | None:
        """Return a descriptor of the plain file `name`, to read; None if there is no such file. Raises `OSError`."""
        try:
            number = self.way.open(self._below(name), _READ)
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise
        if stat.S_ISREG(os.fstat(number).st_mode):
            return number
        os.close(number)
        return None

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Return the bytes of `name`, or the first `max_bytes + 1` of a longer file; None if there is no such file.

        Raises `WorldFailed`.
        """
        with self.reading(name):
            number = self.open(name)
            if number is None:
                return None
            try:
                return read_open_within(number, max_bytes)
            finally:
                os.close(number)

    def size_bytes(self, name: str) -> int | None:
        """Return the size of the plain file `name`, or None if there is no such file."""
        held = self.stat(name)
        return held.st_size if held is not None and stat.S_ISREG(held.st_mode) else None

    def stat(self, name: str) -> os.stat_result | None:
        """Return what stat(2) says of the entry `name`, of a link's target; None if there is no such entry."""
        try:
            number = self.way.open(self._below(name), os.O_PATH)
        except OSError:
            return None
        try:
            return os.fstat(number)
        finally:
            os.close(number)

    def mode(self, name: str) -> int | None:
        """Return the kind and mode of the entry `name`, of a link itself; None if nothing has this name."""
        try:
            with self.opened() as folder:
                return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except OSError:
            return None

    def is_there(self) -> bool:
        """Return whether the folder exists and can be opened. Raises `WorldFailed` if something else has its place."""
        try:
            with self.opened():
                return True
        except OSError:
            self.way.demand_folder_or_nothing(self.below)
            return False

    def names(self) -> list[str]:
        """Return the names in the folder, sorted; none if there is no folder. Raises `OSError`."""
        try:
            with self.opened() as folder:
                return sorted(os.listdir(folder))  # noqa: PTH208 a descriptor is no path
        except OSError as error:
            if error.errno in _MISSING:
                return []
            raise

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Write `data` to `name` with `mode`: a power cut leaves the old file or the new one. Raises `WorldFailed`."""
        with blaming(self.shown(name)), self.made() as folder, drafted_in(folder, mode) as draft:
            draft.stream.write(data)
            draft.keep_in(folder, name)

    @contextlib.contextmanager
    def drafted(self, mode: int) -> Iterator[Draft]:
        """Give a temporary file in this folder; `keep` gives it a name, here or in another folder. Raises `OSError`."""
        with self.made() as folder, drafted_in(folder, mode) as draft:
            yield draft

    def keep(self, draft: Draft, name: str) -> None:
        """Give the draft the name `name` in this folder, durably. Raises `OSError`."""
        with self.made() as folder:
            draft.keep_in(folder, name)

    def remove(self, name: str) -> None:
        """Remove the file `name`; a missing one is no error. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError), self.opened() as folder:
            os.unlink(name, dir_fd=folder)

    def remove_folder(self, name: str) -> None:
        """Remove the folder `name` with everything in it; links in it are not followed. It need not succeed."""
        import shutil  # 4 ms with all that it loads

        with contextlib.suppress(OSError), self.opened() as folder:
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)

    def download(self, name: str) -> BinaryIO:
        """Open the plain file `name` to read and write, and make it for its owner alone. Raises `OSError`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with self.made() as folder:
            number = os.open(name, flags, 0o600, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, "is no plain file")
        return os.fdopen(number, "r+b")

    @contextlib.contextmanager
    def unnamed(self) -> Iterator[BinaryIO]:
        """Give a file that no other process sees. Raises `OSError`."""
        with self.drafted(0o600) as draft, os.fdopen(os.dup(draft.stream.fileno()), "r+b") as stream:
            yield stream

    @contextlib.contextmanager
    def locked(self, name: str, hold: Hold) -> Iterator[None]:
        """Hold the lock file `name`; waits as long as others hold it otherwise. Raises `OSError`."""
        with self._lock(name) as number:
            take(number, hold)
            yield

    @contextlib.contextmanager
    def locked_in_time(self, name: str, seconds: float, what: str) -> Iterator[None]:
        """Hold the lock file `name` alone. Raises `WorldFailed` if it is not free in time, or cannot be opened."""
        with contextlib.ExitStack() as stack:
            with blaming(self.shown(name)):
                number = stack.enter_context(self._lock(name))
            if not take_in_time(number, "alone", seconds):
                raise WorldFailed(
                    what,
                    f"another process is at work on it, and has not ended in {seconds:g} seconds",
                    hint="wait until it has ended, then run the same command again",
                )
            yield

    @contextlib.contextmanager
    def locked_if_free(self, name: str) -> Iterator[bool]:
        """Give True and hold the lock file `name` alone, or give False if any process has it. Raises `OSError`."""
        with self._lock(name) as number:
            yield take_at_once(number, "alone")

    def _below(self, name: str) -> str:
        return f"{self.below}/{name}" if self.below else name

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[int]:
        with self.made() as folder:
            number = open_lock(folder, name)
        try:
            yield number
        finally:
            unlock(number)


@dataclass(frozen=True, slots=True)
class FileIn:
    """One document of a folder."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The file's path, for messages alone."""
        return self.folder.shown(self.name)

    def exists(self) -> bool:
        """Return whether the plain file is there."""
        return self.folder.size_bytes(self.name) is not None

    def demand_plain(self) -> None:
        """Raise `Malformed` if a folder, a pipe or a device has its name. A missing file passes."""
        held = self.folder.stat(self.name)
        if held is not None:
            demand_plain(held, self.path)

    def beside(self, name: str) -> FileIn:
        """Return the file `name` in the same folder."""
        return FileIn(self.folder, name)

    def read(self, max_bytes: int) -> bytes | None:
        """Return the file's bytes, or the first `max_bytes + 1` of a longer file; None if there is no such file.

        Raises `WorldFailed`.
        """
        return self.folder.read(self.name, max_bytes)

    def write(self, data: bytes, mode: int = 0o644) -> None:
        """Write the file durably. Raises `WorldFailed`."""
        self.folder.write(self.name, data, mode)

    def remove(self) -> None:
        """Remove the file; a missing one is no error. Raises `WorldFailed`."""
        with blaming(self.path):
            self.folder.remove(self.name)


def folder_at(place: Path | Folder) -> Folder:
    """Return the folder at a path of this machine; a `Folder` stays what it is."""
    return place if isinstance(place, Folder) else Folder(PlainWay(place))
