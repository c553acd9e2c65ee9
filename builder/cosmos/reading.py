"""Read files of bounded size, and the envelope beside a document.

A file may come from anybody, or be the wrong file, so every read has a limit. `read_bounded` refuses a longer file.
`read_up_to` returns one byte more than the limit, for a parser that words this refusal itself. Every file is opened by
`open_plain`: a pipe would make the program wait for ever, and a device has no end.

The envelope of a document (`trust.dsse`) lies in the same folder: `NAME.dsse` beside `NAME`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from cosmos.content import Content, FileRange, HeldFile, read_at
from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed, likely_cause
from cosmos.limits import MAX_CONTENT_IN_MEMORY_BYTES, MAX_DOCUMENT_BYTES, READ_CHUNK_BYTES

ENVELOPE_SUFFIX: Final = ".dsse"
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # there is no such file; or a link leads nowhere


def is_there(file: Path) -> bool:
    """Return whether there is a file `file`; raises `Malformed` if a folder, a pipe or a device has its name.

    A name that no file can have is not there either. Raises `OSError` if the system does not say.
    """
    try:
        about = file.stat()
    except ValueError:  # a NUL in it
        return False
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    demand_plain(about, file)
    return True


def demand_plain(about: os.stat_result, file: Path) -> None:
    """Raise `Malformed` unless `about` describes a plain file."""
    if not stat.S_ISREG(about.st_mode):
        kind = _KINDS.get(stat.S_IFMT(about.st_mode), "something else")
        raise Malformed(str(file), f"is {kind}; expected a plain file")


@contextmanager
def open_plain(file: Path) -> Iterator[BinaryIO]:
    """Open the plain file `file` for the block; raises `Malformed` for anything else, without waiting, and `OSError`.

    An `OSError` of the block that names no file names this one: a read of a failing disk names none.
    """
    with _naming(file), os.fdopen(_opened_plain(file), "rb") as stream:
        yield stream


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(file)
        raise


def _opened_plain(file: Path) -> int:
    demand_plain(file.stat(), file)  # before it is opened: to open a device may have an effect
    number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        demand_plain(os.fstat(number), file)
    except BaseException:
        os.close(number)
        raise
    return number


def _bytes_of(file: Path, max_bytes: int) -> bytes:
    """Return the bytes of the plain file `file`, at most `max_bytes + 1`; raises as `open_plain`."""
    number = _opened_plain(file)
    try:
        with _naming(file):
            return read_open_within(number, max_bytes)
    finally:
        os.close(number)


def read_within(stream: BinaryIO, max_bytes: int) -> bytes:
    """Return the rest of `stream`; if that is more than `max_bytes`, its first `max_bytes + 1` bytes.

    It takes memory for the bytes that it reads. `stream.read(max_bytes + 1)` takes memory for the limit first: a device
    with 1 GiB could not read a file of 900 bytes under a limit of 2 GiB.
    """
    pieces, left = [], max_bytes + 1
    while left and (piece := stream.read(min(left, READ_CHUNK_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def read_open_within(descriptor: int, max_bytes: int) -> bytes:
    """Return what `read_within` does, of the file that is open as `descriptor`: two thousand small ones in a row."""
    pieces, left = [], max_bytes + 1
    piece_bytes = min(READ_CHUNK_BYTES, os.fstat(descriptor).st_size + 1)
    while left and (piece := os.read(descriptor, min(left, piece_bytes))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def read_pieces(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    """Yield the next bytes of the file that is open as `descriptor`, at most `size_bytes`. Raises `OSError`."""
    while size_bytes and (piece := os.read(descriptor, min(size_bytes, READ_CHUNK_BYTES))):
        size_bytes -= len(piece)
        yield piece


def read_bounded(file: Path, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Return the bytes of the plain file `file`; raises `Malformed` if it has more than `max_bytes`, and `OSError`."""
    data = _bytes_of(file, max_bytes)
    if len(data) > max_bytes:
        raise Malformed(str(file), f"has more bytes than the limit, {max_bytes}")
    return data


def file_content(file: Path, max_bytes: int) -> Content:
    """Return the bytes of the plain file `file`; a large one stays on the disk. Raises `Malformed` and `OSError`."""
    with open_plain(file) as stream:
        content = open_content(stream.fileno(), str(file))
    if len(content) > max_bytes:
        raise Malformed(str(file), f"has more bytes than the limit, {max_bytes}")
    return content


def digest_of_size(file: Path, size_bytes: int) -> Digest | None:
    """Return the digest of the plain file `file`, or None for one of another size, which is not read: it may be sparse.

    Raises `Malformed` and `OSError`.
    """
    with open_plain(file) as stream:
        return Digest.of_stream(stream) if os.fstat(stream.fileno()).st_size == size_bytes else None


def open_content(descriptor: int, where: str) -> Content:
    """Return the bytes of the file that is open as `descriptor`, which the caller closes; `where` names it in errors.

    Those of a large file stay on the disk. Raises `WorldFailed`.
    """
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes <= MAX_CONTENT_IN_MEMORY_BYTES:
        return read_at(descriptor, where, 0, size_bytes)
    return FileRange(HeldFile(os.dup(descriptor), where), 0, size_bytes)


def read_up_to(file: Path, max_bytes: int) -> bytes:
    """Return the bytes of `file`, or the first `max_bytes + 1` of a longer file; raises `WorldFailed`, `Malformed`."""
    try:
        return _bytes_of(file, max_bytes)
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise WorldFailed(str(file), problem, hint=likely_cause(error)) from error


def read_if_there(file: Path, max_bytes: int) -> bytes | None:
    """Return the bytes of `file` as `read_up_to` does, or None if there is no such file; raises `WorldFailed`."""
    try:
        return read_up_to(file, max_bytes)
    except WorldFailed as failure:
        if isinstance(failure.__cause__, FileNotFoundError):
            return None
        raise


def holds(file: Path, data: bytes) -> bool:
    """Return whether `file` is there and has exactly the bytes `data`; raises as `is_there` does, and `OSError`."""
    if not is_there(file) or file.stat().st_size != len(data):
        return False
    with open_plain(file) as stream:
        return read_within(stream, len(data)) == data


def envelope_of(file: Path) -> Path:
    """Return the path of the envelope of the document `file`.

    >>> envelope_of(Path("galaxy/meta.toml")).name
    'meta.toml.dsse'
    """
    return file.with_name(file.name + ENVELOPE_SUFFIX)


def read_envelope(file: Path, max_bytes: int) -> bytes | None:
    """Return the bytes of the envelope beside the document `file`, or None if it has no envelope."""
    return read_if_there(envelope_of(file), max_bytes)
