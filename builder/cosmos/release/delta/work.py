"""The folder `.OUT.part` beside a release that is being made: what takes long to make or to download waits in it.

A killed command leaves the folder, and the same command continues with it. Every file in it is named by its digest and
is checked before it is used. The folder is removed when the release is published.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from cosmos.content import Content, FileRange, HeldFile, content_digest
from cosmos.digest import Digest
from cosmos.durable import blaming, durable_file, make_folder
from cosmos.errors import WorldFailed, quoted
from cosmos.locking import alone_if_free
from cosmos.reading import is_there, open_plain
from cosmos.spool import Spool

_LOCK = "lock"


class Work:
    """What was finished so far. `spool` holds what is being worked on, on the same disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder)

    def kept(self, digest: Digest, size_bytes: int) -> Content | None:
        """Return the content with this digest and size, or None if it was not finished, or is damaged."""
        place = self.folder / digest.hex
        if not is_there(place):
            return None
        with blaming(place), open_plain(place) as stream:
            if os.fstat(stream.fileno()).st_size != size_bytes:  # a sparse file may be very long
                return None
            content = FileRange(HeldFile(os.dup(stream.fileno()), str(place)), 0, size_bytes)
        return content if content_digest(content) == digest else None

    def keep(self, digest: Digest, pieces: Iterable[bytes | memoryview]) -> None:
        """Write the content with this digest, durably. Raises `WorldFailed`."""
        with durable_file(self.folder / digest.hex) as stream:
            for piece in pieces:
                stream.write(piece)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here that a further run could use."""
        return not any(place.is_file() and place.name != _LOCK for place in self.folder.rglob("*"))

    def part(self, digest: Digest) -> Path:
        """Return where a content waits that has begun to come."""
        return self.folder / f"{digest.hex}.part"


@contextlib.contextmanager
def work_beside(out: Path) -> Iterator[Work]:
    """Give the work on the release `out`. It is removed when the block ends well, or nothing waits in it.

    Raises `WorldFailed` if another process is at work on the same release, or if the folder is another user's.
    """
    out = out.absolute()
    folder = out.parent / f".{out.name}.part"
    make_folder(folder)
    _demand_own(folder)
    with alone_if_free(folder / _LOCK) as is_ours:
        if not is_ours:
            raise WorldFailed(str(out), "another cosmos is making this release", hint="wait until it has ended")
        work = Work(folder)
        try:
            yield work
        except BaseException:
            if work.is_empty:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _demand_own(folder: Path) -> None:
    """Raise `WorldFailed` for a link, or a folder that another user laid there: links in it would lead writes away.

    The owner of the folder above may lay it: they can exchange everything in it anyway.
    """
    with blaming(folder):
        about, above = folder.lstat(), folder.parent.stat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid not in (os.geteuid(), above.st_uid):
        raise WorldFailed(
            str(folder), "is a link, or another user's: nothing is written there", hint=f"rm -r {quoted(folder)}"
        )
