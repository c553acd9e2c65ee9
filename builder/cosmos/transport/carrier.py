"""`Carrier`: reads or downloads the files of one galaxy. It limits and counts their bytes; it verifies nothing.

A carrier answers two questions: "this file, of at most so many bytes" (documents, whose size is not pinned) and "this
file, of exactly so many bytes" (archives, pinned by a lock or a statement). The caller still has to verify the bytes.

    NotThere      there is no such file
    WorldFailed   the disk or the network failed: the same call may work later
    Refused       the file is not the one asked for: longer, shorter, behind a link, or redirected to a bad address
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.records import dataclass

Progress: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A file that is going to be asked for: a document of up to `most` bytes, or an archive of exactly so many.

    An archive has its `digest`, and a document has none.
    """

    path: str
    most: int
    digest: Digest | None = None


class NotThere(WorldFailed):
    """A galaxy has no file of that name."""


class Carrier(Protocol):
    """One galaxy's files. `address` is its name in messages; `is_local` says that it opens no socket."""

    @property
    def is_local(self) -> bool:
        """Whether it works without a network."""

    @property
    def address(self) -> str:
        """The galaxy's address."""

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path`, relative to the galaxy, which may have up to `max_bytes`."""

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path`, which must have `size_bytes`; calls `progress` with the bytes read so far.

        A large one stays on the disk. The caller verifies it: by `digest` a carrier may see that a file which it put
        together of several parts is not the one that was pinned, and read it again.
        """

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:
        """Give a block in which `files` are going to be asked for, in this order.

        A carrier may download them at the same time. Results and errors are those of one download after the other.
        """


def parts_of(path: str, address: str) -> tuple[str, ...]:
    """Return the components of `path` if it stays inside a galaxy, else raise `Refused`.

    >>> parts_of("./packages/zlib-1.3.1.tar.zst", "core")
    ('packages', 'zlib-1.3.1.tar.zst')
    """
    parts = tuple(path.removeprefix("./").split("/"))
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise Refused(address, f"the path {path[:200]!r} does not stay inside the galaxy")
    return parts


def too_long(where: str, max_bytes: int) -> Refused:
    """Return the error for a file that is longer than its limit."""
    return Refused(where, f"has more than {max_bytes} bytes, the most that it may have")


def wrong_size(where: str, size_bytes: int, got: str) -> Refused:
    """Return the error for a file that is longer or shorter than it was pinned."""
    return Refused(
        where,
        f"want {size_bytes} bytes, got {got}",
        hint="the file there is not the one that was pinned or signed: get it from another place",
    )
