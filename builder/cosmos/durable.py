"""Writing so that a power cut, a full disk or a kill leaves the old file or the new one, never a part of either.

The way is the usual one: a temporary file in the same folder, fsync, rename over the name, fsync of the folder
(the rename itself is what must reach the disk). A file is given its mode exactly; the umask has no say.

A writer that was killed leaves its temporary file behind, named `.cosmos-*.tmp`; nothing ever reads one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cosmos.errors import WorldFailed

TEMPORARY_PREFIX = ".cosmos-"
TEMPORARY_SUFFIX = ".tmp"

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h


def write_durably(path: Path, data: bytes | memoryview, mode: int = 0o644) -> None:
    """Make `path` a file of exactly `data` and `mode`; its folder is made if need be. Raises `WorldFailed`.

    What stands at `path` before (a link as well) is replaced, not followed.
    """
    with durable_file(path, mode) as stream:
        stream.write(data)


@contextlib.contextmanager
def durable_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a stream to write; `path` becomes what was written when the block ends well, else it stays as it was.

    An `OSError` inside the block becomes `WorldFailed`, so the block should do nothing but write.
    """
    with blaming(path):
        make_folder(path.parent)
        with drafted(path.parent, mode) as draft:
            yield draft.stream
            draft.keep_as(path)


class Draft:
    """A temporary file that is being written. Nobody finds it under a name before `keep_as`."""

    __slots__ = ("_mode", "_temporary", "stream")

    def __init__(self, stream: BinaryIO, temporary: Path, mode: int) -> None:
        self.stream = stream
        self._temporary = temporary
        self._mode = mode

    def keep_as(self, path: Path) -> None:
        """Make the draft stand at `path`, durably; no more can be written. `path` is on the draft's file system."""
        self.stream.flush()
        os.fchmod(self.stream.fileno(), self._mode)
        os.fsync(self.stream.fileno())
        self.stream.close()
        self._temporary.replace(path)
        sync_folder(path.parent)


@contextlib.contextmanager
def drafted(folder: Path, mode: int = 0o644) -> Iterator[Draft]:
    """Give a draft in `folder`, which must be there; if the block does not keep it, it is removed. Raises `OSError`."""
    number, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            yield Draft(stream, temporary, mode)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make `path` and the folders above it, each durably; what is there is left alone. Raises `WorldFailed`."""
    if path.is_dir():
        return
    with blaming(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)


def replace_folder_durably(new: Path, path: Path) -> None:
    """Make the folder `new` stand at `path` and remove what stood there; in one step where the file system can.

    Both must lie on one file system. The files in `new` must have been written durably. Raises `WorldFailed`.
    KNOWN GAP: where renameat2 cannot exchange names, a power cut between two renames leaves the old folder beside
    `path`, under another name.
    """
    with blaming(path):
        if not path.exists():
            new.rename(path)
        else:
            if not _exchanged(new, path):
                aside = new.with_name(f"{new.name}.old")
                path.rename(aside)
                new.rename(path)
                aside.rename(new)
            shutil.rmtree(new)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in the folder `path` reach the disk. Raises `OSError`."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn every `OSError` of the block into `WorldFailed` about `path`, and raise it."""
    try:
        yield
    except OSError as error:
        raise world_failed(path, error) from error


def world_failed(path: Path, error: OSError) -> WorldFailed:
    """Return what `error` means to a person who can do something about it.

    >>> print(world_failed(Path("out/image"), OSError(errno.ENOSPC, "No space left on device")))
    out/image: the disk is full
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorldFailed(str(path), "the disk is full", hint="make room, then run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorldFailed(str(path), f"cannot be written: {_lowered(error)}", hint="check who owns it")
    return WorldFailed(str(path), _lowered(error))


def _lowered(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2(2)); return False where kernel or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(one))
