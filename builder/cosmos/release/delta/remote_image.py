"""An image on a server that knows range requests: its end is read first, then any of its frames.

`RemoteFile` is the stream that `ImageReader` reads seek table and index from: it holds the end of the file, as far back
as was asked for, within `MAX_FETCHED_INDEX_BYTES`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from cosmos.digest import Digest
from cosmos.durable import blaming, sync_folder
from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.limits import KIB, MAX_DOWNLOAD_MISSES, MAX_DOWNLOAD_TRIES, MAX_FETCHED_INDEX_BYTES
from cosmos.pack.image_file import ImageLayer
from cosmos.release.delta.work import Work
from cosmos.transport.exchange import Interrupted
from cosmos.transport.http import HttpCarrier

_END_BYTES: Final = 64 * KIB  # asked for first: the seek table and the index of most images
_PAUSE_SECONDS: Final = 0.3
_GO_ON: Final = "check the network; the same command goes on where this one ended"


class NoRanges(CosmosError):
    """The server cannot send a part of the file, or the end of the file is too large to be held."""


class RemoteFile:
    """The file `path` of `size_bytes` on a server.

    `downloaded_bytes` have come from it. `given_bytes` were taken by readers of `pieces`, also from the end that is
    held.
    """

    def __init__(self, carrier: HttpCarrier, path: str, size_bytes: int) -> None:
        self._carrier = carrier
        self.path = path
        self.where = f"{carrier.address}/{path}"
        self.size_bytes = size_bytes
        self._end = b""
        self._place = 0
        self.downloaded_bytes = 0
        self.given_bytes = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place of the file."""
        self._place = offset if whence == io.SEEK_SET else self.size_bytes + offset
        return self._place

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes from here. Raises `NoRanges`, `Refused` and `WorldFailed`."""
        end = self.end_from(self._place)[:size]
        self._place += len(end)
        return end

    def end_from(self, start: int) -> bytes:
        """Return the file from `start` on. Raises as `read` does."""
        held = self.size_bytes - len(self._end)
        if start < held:
            first = min(start, max(0, self.size_bytes - _END_BYTES))
            if self.size_bytes - first > MAX_FETCHED_INDEX_BYTES:
                raise NoRanges(self.path, f"its index has more than {MAX_FETCHED_INDEX_BYTES} bytes")
            self._end = b"".join((*self._whole_part(first, held), self._end))
        return self._end[start - self.size_bytes :] if start < self.size_bytes else b""

    def _whole_part(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`; what was cut off is asked for again."""
        misses = 0
        for _ in range(MAX_DOWNLOAD_TRIES):
            before = start
            try:
                for piece in self.pieces(start, end):
                    start += len(piece)
                    yield piece
            except Interrupted:
                if misses + 1 >= MAX_DOWNLOAD_MISSES:
                    raise
            if start >= end:
                return
            misses = misses + 1 if start == before else 0
            if misses >= MAX_DOWNLOAD_MISSES:
                raise Interrupted(self.where, "the connection ended before the answer did", hint=_GO_ON)
            if misses:
                time.sleep(_PAUSE_SECONDS * 2**misses)
        raise WorldFailed(
            self.where, f"was cut off {MAX_DOWNLOAD_TRIES} times", hint="try again, or use another mirror"
        )

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`; they may end early. What is held of them is not downloaded again.

        Raises `NoRanges`, `Refused` and `WorldFailed`.
        """
        held = self.size_bytes - len(self._end)
        if start < held:
            for piece in self._downloaded(start, min(end, held)):
                start += len(piece)
                self.given_bytes += len(piece)
                yield piece
        if held <= start < end:
            self.given_bytes += end - start
            yield self._end[start - held : end - held]

    def _downloaded(self, start: int, end: int) -> Iterator[bytes]:
        with self._carrier.part(self.path, start, end, self.size_bytes) as part:
            if part is None:
                raise NoRanges(self.path, "the server sends whole files only")
            for piece in part:
                self.downloaded_bytes += len(piece)
                yield piece

    def stream(self) -> BinaryIO:
        """Return it as a stream for a reader that only seeks and reads."""
        return cast("BinaryIO", self)


def fetch_frames(file: RemoteFile, layers: Sequence[ImageLayer], work: Work, progress: Callable[[int], None]) -> None:
    """Download the frames of these layers, which are in the order of the file, and keep each in `work`.

    Raises `NoRanges`, `Refused` if a frame does not have the digest of the index, and `WorldFailed`.
    """
    for run in _runs(layers):
        _Run(file, run, work, progress).fetch()


def _runs(layers: Sequence[ImageLayer]) -> Iterator[list[ImageLayer]]:
    """Yield the layers in runs that follow one another in the file."""
    run: list[ImageLayer] = []
    for layer in layers:
        if run and run[-1].seek.offset + run[-1].seek.packed_bytes != layer.seek.offset:
            yield run
            run = []
        run.append(layer)
    if run:
        yield run


class _Run:
    """Frames that are downloaded by one request, and by further ones from where it was cut off."""

    def __init__(
        self, file: RemoteFile, layers: Sequence[ImageLayer], work: Work, progress: Callable[[int], None]
    ) -> None:
        self._file = file
        self._left = list(layers)
        self._work = work
        self._progress = progress
        self._end = layers[-1].seek.offset + layers[-1].seek.packed_bytes

    def fetch(self) -> None:
        misses = 0
        for _ in range(MAX_DOWNLOAD_TRIES):
            before = self._file.downloaded_bytes
            problem = Interrupted(self._file.where, "the connection ended before the answer did", hint=_GO_ON)
            try:
                self._go_on()
            except Interrupted as error:
                problem = error
            if not self._left:
                return
            misses = 0 if self._file.downloaded_bytes > before else misses + 1
            if misses == MAX_DOWNLOAD_MISSES:
                raise problem
            time.sleep(_PAUSE_SECONDS * 2**misses)
        raise problem

    def _go_on(self) -> None:
        """Ask for the rest of the run, and take what comes."""
        first = self._left[0]
        part = self._work.part(first.digest)
        have = min(part.stat().st_size if part.exists() else 0, first.seek.packed_bytes)
        was_resumed, rest = have > 0, memoryview(b"")
        if have == first.seek.packed_bytes:
            self._finish(first, part, was_resumed=True)
            return
        for piece in self._file.pieces(first.seek.offset + have, self._end):
            self._progress(self._file.given_bytes)
            rest = memoryview(piece)
            while rest:
                layer = self._left[0]
                part = self._work.part(layer.digest)
                taken = rest[: layer.seek.packed_bytes - have]
                with blaming(part), part.open("ab" if have else "wb") as stream:
                    stream.write(taken)
                have, rest = have + len(taken), rest[len(taken) :]
                if have == layer.seek.packed_bytes:
                    if not self._finish(layer, part, was_resumed=was_resumed):
                        return
                    have, was_resumed = 0, False

    def _finish(self, layer: ImageLayer, part: Path, *, was_resumed: bool) -> bool:
        """Keep a whole frame. One that was resumed and has another digest is begun again: then return False."""
        with blaming(part), part.open("rb+") as stream:
            digest = Digest.of_stream(stream)
            os.fsync(stream.fileno())
        if digest == layer.digest:
            with blaming(part):
                part.replace(self._work.folder / layer.digest.hex)
                sync_folder(self._work.folder)
            del self._left[0]
            return True
        part.unlink()
        if was_resumed:
            return False
        raise Refused(
            f"{self._file.path}: layer {layer.name}", f"the server sends {digest}, its index says {layer.digest}"
        )
