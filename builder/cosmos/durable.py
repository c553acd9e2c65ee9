"""Write files durably: a power cut, a full disk or a kill leaves the old file or the new one, never a part of either.

The steps are the usual ones: write a temporary file in the same folder, fsync it, rename it over the name, fsync the
folder (so that the rename reaches the disk). A file gets its mode exactly; the umask does not change it.

A writer that was killed leaves its temporary file behind, named `.cosmos-PROCESS-N.tmp`. No program reads such a file,
and no two writers ever have one in common.

The functions with `_in` work in a folder that is open as a descriptor, so that nobody can exchange the folder for a
link meanwhile. The others open the folder by its path first.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from cosmos.errors import Malformed, WorldFailed, likely_cause

TEMPORARY_PREFIX = ".cosmos-"
TEMPORARY_SUFFIX = ".tmp"

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_OLD_SECONDS: Final = 86_400  # no command works so long with one temporary file
_IN_THE_WAY: Final = {stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_NUMBERS: Final = count()  # of this process's temporary files


def write_durably(path: Path, data: bytes | memoryview, mode: int = 0o644) -> None:
    """Write `data` to the file `path` with `mode`; makes its folder if needed. Raises `WorldFailed`.

    A file or a link that is at `path` already is replaced, and the link is not followed. A device or a pipe stays, and
    so does a link to one, such as /dev/stdout: `Malformed`.
    """
    with durable_file(path, mode) as stream:
        stream.write(data)


@contextlib.contextmanager
def durable_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a stream to write. When the block ends well, `path` is the new file; after an error it does not change.

    An `OSError` inside the block becomes `WorldFailed`, so the block should only write. Raises `Malformed` as
    `write_durably` does.
    """
    with blaming(path):
        _demand_replaceable(path)
        make_folder(path.parent)
        with drafted(path.parent, mode) as draft:
            yield draft.stream
            draft.keep_as(path)


def _demand_replaceable(path: Path) -> None:
    """Raise `Malformed` if others would lose what is at `path`: a device, a pipe or a socket, also behind a link."""
    with contextlib.suppress(OSError):  # nothing is there, or a link leads nowhere
        is_of_processes = path.is_symlink() and str(path.readlink()).startswith("/proc/")  # also if it leads to a file
        mode = path.stat().st_mode
        if is_of_processes or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            hint = "name a new file, and read that one: it is there when it is complete"
            raise Malformed(str(path), "is a device or a pipe; a file would take its place", hint=hint)


class Draft:
    """A temporary file that is being written. It has no name that others read before it is kept."""

    __slots__ = ("_folder", "_mode", "_temporary", "stream")

    def __init__(self, stream: BinaryIO, folder: int, temporary: str, mode: int) -> None:
        self.stream = stream
        self._folder = folder
        self._temporary = temporary
        self._mode = mode

    def keep_as(self, path: Path) -> None:
        """Rename the draft to `path`, durably, and close it. `path` must be on the draft's file system."""
        with opened_folder(path.parent) as folder:
            self.keep_in(folder, path.name)

    def keep_in(self, folder: int, name: str | bytes) -> None:
        """Rename the draft to `name` in the open `folder`, durably, and close it. Raises `OSError`."""
        self.finish()
        self.name_in(folder, name)
        os.fsync(folder)

    def start(self) -> None:
        """Let the disk begin to take its bytes, so that `finish` waits less for one of many. Raises `OSError`."""
        self.stream.flush()
        sync_file_range = _of_libc("sync_file_range")
        if sync_file_range is not None:  # its answer does not matter: `finish` tells what goes wrong
            sync_file_range(self.stream.fileno(), ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)

    def finish(self) -> None:
        """Write all of it to the disk, with its mode, and close it. Raises `OSError`."""
        self.stream.flush()
        os.fchmod(self.stream.fileno(), self._mode)
        os.fsync(self.stream.fileno())
        self.stream.close()

    def name_in(self, folder: int, name: str | bytes) -> None:
        """Give the finished draft the name `name` in the open `folder`, which the caller syncs. Raises `OSError`."""
        os.replace(self._temporary, name, src_dir_fd=self._folder, dst_dir_fd=folder)

    def drop(self) -> None:
        """Remove the draft, unless it was renamed. Raises `OSError`."""
        try:
            self.stream.close()  # which writes what is left, and so fails again on a full disk
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)


@contextlib.contextmanager
def drafted(folder: Path, mode: int = 0o644) -> Iterator[Draft]:
    """Give a draft in the existing `folder`; removes it unless the block keeps it. Raises `OSError`."""
    with opened_folder(folder) as descriptor, drafted_in(descriptor, mode) as draft:
        yield draft


@contextlib.contextmanager
def drafted_in(folder: int, mode: int = 0o644) -> Iterator[Draft]:
    """Give a draft in the open `folder`; removes it unless the block keeps it. Raises `OSError`."""
    draft = begun_in(folder, mode)
    try:
        with draft.stream:
            yield draft
    finally:
        draft.drop()


def begun_in(folder: int, mode: int = 0o644) -> Draft:
    """Return a new draft in the open `folder`. The caller keeps it or drops it. Raises `OSError`."""
    number, name = _new_file(folder)
    return Draft(os.fdopen(number, "wb"), folder, name, mode)


def _new_file(folder: int) -> tuple[int, str]:
    """Return a new file in the open `folder`, and its name."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        name = f"{TEMPORARY_PREFIX}{os.getpid()}-{next(_NUMBERS)}{TEMPORARY_SUFFIX}"
        try:
            return os.open(name, flags, 0o600, dir_fd=folder), name
        except FileExistsError:
            continue  # a process that had this number was killed, or is in a container of its own


@contextlib.contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Open the folder `path`, so that files in it can be named by its descriptor. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make the folder `path` and those above it, each durably; keeps folders that exist. Raises `WorldFailed`."""
    if path.is_dir():
        return
    with blaming(path):
        demand_folder_or_nothing(path)
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)


def demand_folder_or_nothing(path: Path) -> None:
    """Raise `WorldFailed` if something else than a folder stands in the place of the folder `path`, or of one above it.

    A link to a folder is one. Nothing can be made behind a link that leads nowhere. Raises `OSError`.
    """
    for place in (path, *path.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # what is above says why
            kind = stat.S_IFMT(place.lstat().st_mode)
            hint = "move it away, or name another place"
            try:
                if stat.S_ISDIR(place.stat().st_mode):
                    return
                what = "a link to something else" if stat.S_ISLNK(kind) else _IN_THE_WAY.get(kind, "a device")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                what = f"a link to {place.readlink()}, where nothing is"
                hint = "mount the disk that it leads to, or remove the link"
            raise WorldFailed(str(place), f"not a directory, but {what}", hint=hint)


def replace_folder_durably(new: Path, path: Path) -> None:
    """Move the folder `new` to `path` and remove the old folder there; in one step if the file system can.

    Both must lie on one file system. The files in `new` must have been written durably. Raises `WorldFailed`, also if
    something else than a folder is at `path`: a link, a file or a device stays.
    KNOWN GAP: if renameat2 cannot exchange names, a power cut between two renames leaves the old folder beside `path`,
    under another name.
    """
    import shutil  # with all that it loads it takes 4 ms, which a reader need not wait for

    with blaming(path):
        if not path.exists():
            new.rename(path)
        elif path.is_symlink() or not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        else:
            if not _exchanged(new, path):
                aside = new.with_name(f"{new.name}.old")
                path.rename(aside)
                new.rename(path)
                aside.rename(new)
            shutil.rmtree(new)
        sync_folder(path.parent)


def sweep_old(own: Path, *prefixes: str) -> None:
    """Remove what killed commands of this user left beside `own` a day or more before it, under names with `prefixes`.

    What cannot be removed stays.
    """
    import shutil  # as above

    newest = own.lstat().st_mtime - _OLD_SECONDS
    for place in sorted(path for path in own.parent.iterdir() if path.name.startswith(prefixes)):
        with contextlib.suppress(OSError):
            held = place.lstat()
            if held.st_uid != os.geteuid() or held.st_mtime > newest:
                continue
            if stat.S_ISDIR(held.st_mode):
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink()


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Give a new folder below `parent`, or among all temporary files; it is gone after the block.

    What killed commands left there under this prefix goes as well (`sweep_old`). Raises `OSError`.
    """
    import shutil  # as above
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        sweep_old(folder, prefix)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Write the names in the folder `path` to the disk (fsync). Raises `OSError`."""
    with opened_folder(path) as descriptor:
        os.fsync(descriptor)


def sync_file_system(path: Path) -> None:
    """Write everything on the file system of the folder `path` to the disk (syncfs or sync). Raises `OSError`."""
    syncfs = _of_libc("syncfs")
    with opened_folder(path) as descriptor:
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))


def demand_writable(path: Path) -> None:
    """Raise `WorldFailed` if `path` cannot be made where it is to be: it tries so in the nearest folder above it."""
    folder = path.absolute().parent
    while not folder.exists() and not folder.is_symlink():
        folder = folder.parent
    tried = folder / f"{TEMPORARY_PREFIX}tried{TEMPORARY_SUFFIX}"  # one name: a command that is killed here leaves one
    try:
        with contextlib.suppress(FileExistsError):  # of another command that tries, too, or that was killed
            tried.mkdir(0o700)
        with contextlib.suppress(FileNotFoundError):  # the other command has removed it
            tried.rmdir()
    except OSError as error:
        hint = likely_cause(error) or "choose another folder"
        raise WorldFailed(str(path), f"cannot be made below {folder}: {_lowered(error)}", hint=hint) from error


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn every `OSError` of the block into `WorldFailed` about `path`, and raise it."""
    try:
        yield
    except OSError as error:
        raise world_failed(path, error) from error


def world_failed(path: Path, error: OSError) -> WorldFailed:
    """Return `error` as a `WorldFailed` about `path`, in words that tell a person what to do.

    >>> print(world_failed(Path("out/image"), OSError(errno.ENOSPC, "No space left on device")))
    out/image: the disk is full
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorldFailed(str(path), "the disk is full", hint=likely_cause(error))
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorldFailed(str(path), f"cannot be written: {_lowered(error)}", hint=likely_cause(error))
    return WorldFailed(str(path), _lowered(error), hint=likely_cause(error))


def _lowered(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@cache
def _of_libc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library that Python does not have; None if the library lacks it, too."""
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2(2)); return False if the kernel or the file system cannot."""
    renameat2 = _of_libc("renameat2")
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(one))
