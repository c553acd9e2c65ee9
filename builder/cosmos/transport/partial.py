"""Keep a download that was cut off, so that the next try continues where it stopped.

There is one file for each download, `SHA256(address, size).part`: a header of 512 bytes (`cosmos-partial 1 VALIDATOR`,
a newline, NULs), then the bytes so far. The validator is the server's strong ETag of that file, or its Last-Modified.
Without a validator nothing is resumed. The bytes are not trusted: the whole file is verified as any other download.

A process holds the file's lock while it writes; a second process that wants the same file works in an unnamed one.

A download that nobody wants any more would wait for ever. So each new download removes those that have waited for
`PARTIAL_SECONDS`, and the oldest ones beyond `MAX_PARTIAL_FILES` and `MAX_PARTIAL_BYTES`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.durable import blaming
from cosmos.errors import Refused
from cosmos.folders import Folder, folder_at
from cosmos.limits import MAX_PARTIAL_BYTES, MAX_PARTIAL_FILES, PARTIAL_SECONDS
from cosmos.locking import take_at_once
from cosmos.reading import open_content

_PART = re.compile(r"[0-9a-f]{64}\.part")
_HEADER_BYTES = 512
_MAGIC = b"cosmos-partial 1 "


class Partial:
    """The bytes of one download so far."""

    __slots__ = ("_stream", "have", "validator")

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        header = stream.read(_HEADER_BYTES)
        whole = len(header) == _HEADER_BYTES and header.startswith(_MAGIC)
        self.validator = header[len(_MAGIC) :].partition(b"\n")[0].decode("latin-1") if whole else ""
        self.have = stream.seek(0, os.SEEK_END) - _HEADER_BYTES if self.validator else 0

    def restart(self, validator: str) -> None:
        """Delete the bytes so far; the next ones are of the file that `validator` names ("" for no validator)."""
        header = _MAGIC + validator.encode("latin-1") + b"\n"
        usable = header if len(header) <= _HEADER_BYTES else _MAGIC + b"\n"
        self.validator = validator if usable is header else ""
        self.have = 0
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.write(usable.ljust(_HEADER_BYTES, b"\0"))

    def append(self, piece: bytes) -> None:
        """Add the next bytes."""
        self._stream.seek(_HEADER_BYTES + self.have)
        self._stream.write(piece)
        self.have += len(piece)

    def flush(self) -> None:
        """Give all bytes so far to the kernel: they are there even if cosmos is killed."""
        self._stream.flush()

    def whole(self) -> Content:
        """Return all bytes so far; many stay in the file, which may lose its name now."""
        self.flush()
        return open_content(self._stream.fileno(), "a download")[_HEADER_BYTES : _HEADER_BYTES + self.have]


@contextmanager
def partial_download(place: Path | Folder, url: str, size_bytes: int) -> Iterator[Partial]:
    """Give the download of `url` so far. If the block fails with `WorldFailed`, its bytes are kept for the next try.

    They are removed when the block ends well, when it raises `Refused`, and when the disk is full, which becomes
    `WorldFailed`.
    """
    folder, name = folder_at(place), part_name(url, size_bytes)
    with blaming(folder.path), folder.download(name) as stream:
        if not take_at_once(stream.fileno(), "alone"):
            with folder.unnamed() as private:
                yield Partial(private)
            return
        _sweep(folder, name, _touched(stream))
        try:
            yield Partial(stream)
        except (Refused, OSError):
            folder.remove(name)
            raise
        folder.remove(name)


def _touched(stream: BinaryIO) -> float:
    """Give the file the time of now, and return it: the clock of the disk that the other downloads lie on."""
    os.utime(stream.fileno())
    return os.fstat(stream.fileno()).st_mtime


def _sweep(folder: Folder, current: str, now: float) -> None:
    """Remove the downloads that waited too long, and the oldest ones that are too many; never the `current` one."""
    waiting = [
        (name, held)
        for name in folder.names()
        if name != current and _PART.fullmatch(name)
        if (held := folder.stat(name)) is not None
    ]
    count, size_bytes = 0, 0
    for name, held in sorted(waiting, key=lambda row: -row[1].st_mtime):
        is_old = held.st_mtime < now - PARTIAL_SECONDS
        if is_old or count == MAX_PARTIAL_FILES or size_bytes + held.st_size > MAX_PARTIAL_BYTES:
            _remove_if_unused(folder, name)
        else:
            count, size_bytes = count + 1, size_bytes + held.st_size


def _remove_if_unused(folder: Folder, name: str) -> None:
    with contextlib.suppress(OSError), folder.download(name) as stream:
        if take_at_once(stream.fileno(), "alone"):
            folder.remove(name)


def part_name(url: str, size_bytes: int) -> str:
    """Return the name of the file that keeps the download of `url`."""
    return f"{Digest.of(f'{url} {size_bytes}'.encode()).hex}.part"
