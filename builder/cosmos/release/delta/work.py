"""The folder `.OUT.part` beside a release that is being made: what takes long to make or to download waits in it.

A killed command leaves the folder, and the same command continues with it. Every file in it is named by its digest and
is checked before it is used. The folder is removed when the release is published.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from cosmos.content import Content, FileRange, HeldFile, content_digest
from cosmos.digest import Digest
from cosmos.durable import blaming, durable_file, make_folder
from cosmos.errors import WorldFailed
from cosmos.locking import alone_if_free
from cosmos.reading import is_there, open_plain
from cosmos.spool import Spool

_LOCK = "lock"


class Work:
    """What was finished so far. `spool` holds what is being worked on, on the same disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder)

    def kept(self, digest: Digest) -> Content | None:
        """Return the content with this digest, or None if it was not finished, or is damaged."""
        place = self.folder / digest.hex
        if not is_there(place):
            return None
        with blaming(place), open_plain(place) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            content = FileRange(HeldFile(os.dup(stream.fileno()), str(place)), 0, size_bytes)
        return content if content_digest(content) == digest else None

    def keep(self, digest: Digest, pieces: Iterable[bytes | memoryview]) -> None:
        """Write the content with this digest, durably. Raises `WorldFailed`."""
        with durable_file(self.folder / digest.hex) as stream:
            for piece in pieces:
                stream.write(piece)

    def part(self, digest: Digest) -> Path:
        """Return where a content waits that has begun to come."""
        return self.folder / f"{digest.hex}.part"


@contextlib.contextmanager
def work_beside(out: Path) -> Iterator[Work]:
    """Give the work on the release `out`. It is removed when the block ends well, and kept after an error.

    Raises `WorldFailed` if another process is at work on the same release.
    """
    out = out.absolute()
    folder = out.parent / f".{out.name}.part"
    make_folder(folder)
    with alone_if_free(folder / _LOCK) as is_ours:
        if not is_ours:
            raise WorldFailed(str(out), "another cosmos is making this release", hint="wait until it has ended")
        yield Work(folder)
        shutil.rmtree(folder, ignore_errors=True)
