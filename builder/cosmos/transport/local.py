"""A galaxy in a local folder: on a disk, a USB stick, a network share.

The folder may come from anybody, so a path in it is opened one component at a time, and no link is followed. So not
even a race leads out of the galaxy. Only regular files are read, because a FIFO would make the builder wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.folders import Folder, folder_at
from cosmos.reading import open_content, read_open_within
from cosmos.transport.carrier import Expected, NotThere, Progress, parts_of, too_long, wrong_size

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalCarrier:
    """The files below the folder `root`."""

    __slots__ = ("_address", "_root")

    def __init__(self, root: Path | Folder) -> None:
        self._root = folder_at(root)
        self._address = str(self._root)

    @property
    def is_local(self) -> bool:
        """True: it opens no socket."""
        return True

    @property
    def address(self) -> str:
        """The folder's path."""
        return self._address

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        with self.opened(path) as number:
            if os.fstat(number).st_size > max_bytes:
                raise too_long(self._where(path), max_bytes)
            data = read_open_within(number, max_bytes)
        if len(data) > max_bytes:
            raise too_long(self._where(path), max_bytes)
        return data

    def read_exactly(
        self,
        path: str,
        *,
        size_bytes: int,
        progress: Progress,
        digest: Digest | None = None,  # noqa: ARG002 it is one part, and the caller verifies it
    ) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        with self.opened(path) as number:
            there = os.fstat(number).st_size
            if there != size_bytes:  # before a byte of it is read
                raise wrong_size(self._where(path), size_bytes, str(there))
            data = open_content(number, self._where(path))
        if len(data) != size_bytes:
            raise wrong_size(self._where(path), size_bytes, str(len(data)))
        progress(size_bytes)
        return data

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:  # noqa: ARG002 a disk is not far
        """Give a block in which nothing is done ahead."""
        return nullcontext()

    def _where(self, path: str) -> str:
        return f"{self._address}/{path.removeprefix('./')}"

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """Give a descriptor of the plain file at `path`. Raises as `Carrier` says, and `Refused` for a link."""
        parts = parts_of(path, self.address)
        try:
            folder = self._root.way.open(self._root.below, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            problem = f"no galaxy is there: {(error.strerror or '').lower()}"
            raise WorldFailed(self.address, problem, hint="is the disk or stick plugged in and mounted?") from error
        try:
            for part in parts[:-1]:
                below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            number = os.open(parts[-1], _FILE, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(number).st_mode):
                    raise Refused(self._where(path), "is not a plain file")
                yield number
            finally:
                os.close(number)
        except OSError as error:
            raise self._failed(path, error) from error
        finally:
            os.close(folder)

    def _failed(self, path: str, error: OSError) -> Refused | WorldFailed:
        if error.errno == errno.ENOENT:
            return NotThere(self._where(path), "there is no such file in the galaxy")
        if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and self._has_link(path)):
            return Refused(self._where(path), "is or lies behind a link; a galaxy holds plain files and folders")
        return WorldFailed(self._where(path), f"cannot be read: {(error.strerror or str(error)).lower()}")

    def _has_link(self, path: str) -> bool:
        """Return whether a component is a link, for the message: O_DIRECTORY with O_NOFOLLOW gives ENOTDIR for one."""
        here = self._root
        for part in parts_of(path, self.address):
            if stat.S_ISLNK(here.mode(part) or 0):
                return True
            here = here.folder(part)
        return False
