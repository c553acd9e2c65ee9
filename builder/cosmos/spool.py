"""`Spool`: keeps contents that arrive piece by piece: small ones in memory, the others in one file without a name.

The file lies in the folder that the caller names. Nobody else can open it, and the kernel removes it with its last
range, also after a kill. Without a folder, or if nothing can be written there, it lies in TMPDIR, else in /var/tmp:
/tmp is often memory itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from cosmos.content import Content, FileRange, HeldFile
from cosmos.durable import blaming, make_folder
from cosmos.errors import WorldFailed
from cosmos.limits import KIB, MAX_CONTENT_IN_MEMORY_BYTES, MAX_FILE_IN_MEMORY_BYTES

_ON_DISK: Final = "/var/tmp"  # noqa: S108 - FHS 3.0 §5.15; the file there gets no name
_WRITTEN_BYTES: Final = 256 * KIB  # at a time: a tar's pieces are small, and a call costs more than to copy them
_IN_MEMORY: Final = "/tmp"  # noqa: S108 - as above


class Unnamed(Protocol):
    """A folder that gives files without a name (`cosmos.folders.Folder`)."""

    @property
    def path(self) -> Path: ...
    def unnamed(self) -> AbstractContextManager[BinaryIO]: ...


class Spool:
    """Contents of one job. Together they take `MAX_CONTENT_IN_MEMORY_BYTES` of memory at most.

    One of more than `MAX_FILE_IN_MEMORY_BYTES` lies in the file, unless the spool is `for_one`.
    """

    __slots__ = ("_each", "_end", "_file", "_folder", "_left")

    def __init__(self, folder: Path | Unnamed | None = None, *, in_memory: int = MAX_CONTENT_IN_MEMORY_BYTES) -> None:
        self._folder = folder
        self._left = in_memory
        self._each = MAX_FILE_IN_MEMORY_BYTES
        self._file: HeldFile | None = None
        self._end = 0

    def for_one(self) -> Spool:
        """Return the spool, for a job with one large content, which may have all of the memory."""
        self._each = self._left
        return self

    def another(self) -> Spool:
        """Return a spool in the same folder, whose room is free again when its contents are let go of."""
        return Spool(self._folder, in_memory=self._left)

    def fits(self, size_bytes: int) -> bool:
        """Return whether a content of this size would stay in memory."""
        return size_bytes <= min(self._left, self._each)

    def add(self, pieces: Iterable[bytes | memoryview]) -> Content:
        """Return the content that `pieces` make up, in their order. Raises `WorldFailed` if the disk is full.

        `pieces` must add nothing to this spool: it would lie in the middle of them.
        """
        held: list[bytes | memoryview] = []
        size, written, start = 0, 0, self._end
        for piece in pieces:
            self._demand_alone(start + written)
            size += len(piece)
            held.append(piece)
            if not self.fits(size) and size - written >= _WRITTEN_BYTES:
                self._append(held)
                held, written = [], size
        self._demand_alone(start + written)
        if held and not self.fits(size):
            self._append(held)
        if start != self._end:
            return FileRange(self._opened(), start, self._end - start)
        self._left -= size
        return b"".join(held)

    def _demand_alone(self, end: int) -> None:
        if self._end != end:
            raise RuntimeError("a content was added to a spool while another one was")

    def _append(self, pieces: list[bytes | memoryview]) -> None:
        """Write `pieces`, and let go of them: joined as far as a call is worth it, so that none of much is copied."""
        number = self._opened().number
        with blaming(_place(self._folder)):
            while pieces:
                count, size = 0, 0
                while count < len(pieces) and size < _WRITTEN_BYTES:
                    size += len(pieces[count])
                    count += 1
                rest = memoryview(pieces[0] if count == 1 else b"".join(pieces[:count]))
                del pieces[:count]
                while rest:
                    written = os.pwrite(number, rest, self._end)
                    self._end += written
                    rest = rest[written:]

    def _opened(self) -> HeldFile:
        if self._file is None:
            self._file = _unnamed(self._folder)
        return self._file


def _place(folder: Path | Unnamed | None) -> Path:
    if folder is None:
        return _default_folder()
    return folder if isinstance(folder, Path) else folder.path


def _unnamed(folder: Path | Unnamed | None) -> HeldFile:
    if folder is not None:
        try:
            if not isinstance(folder, Path):
                with folder.unnamed() as stream:
                    return HeldFile(os.dup(stream.fileno()), str(folder.path))
            make_folder(folder)
            return _unnamed_in(folder)
        except (OSError, WorldFailed):  # a store that this user may only read
            pass
    place = _default_folder()
    with blaming(place):
        return _unnamed_in(place)


def _unnamed_in(folder: Path) -> HeldFile:
    import tempfile  # loads random and more: 6 ms that contents in memory need not wait for

    with tempfile.TemporaryFile(dir=folder) as stream:
        return HeldFile(os.dup(stream.fileno()), str(folder))


def _default_folder() -> Path:
    import tempfile  # as above

    named = tempfile.gettempdir()
    return Path(_ON_DISK) if named == _IN_MEMORY and os.access(_ON_DISK, os.W_OK | os.X_OK) else Path(named)
