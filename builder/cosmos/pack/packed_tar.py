"""Read a packed tar archive, or one that comes in pieces, in memory that follows from its size on disk.

`read_tar` (cosmos.pack.untar) reads an archive that lies in memory. An archive whose unpacked size nobody signed is
judged first, in pieces, if it unpacks to unusually much: so a refused archive is never held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cosmos.limits import READ_CHUNK_BYTES, Budget, usual_unpacked
from cosmos.pack.inflate import Streams, inflated, unpacked_pieces
from cosmos.pack.treenames import Rules
from cosmos.pack.untar import Data, TarReader, demand_end, read_tar
from cosmos.tree.entry import Entry


def read_packed_tar(
    body: bytes | memoryview, suffix: str, source: str, budget: Budget, *, rules: Rules = "strict"
) -> list[Entry]:
    """Return the entries of the tar archive that is packed in `body`; `suffix` is as cosmos.pack.inflate has it.

    What it unpacks to is drawn from `budget`. An archive that unpacks to unusually much is judged in pieces before it
    is held in memory: so a refused archive takes little memory. Raises `Refused`.
    """
    streams: Streams = "one" if rules == "dpkg" else "several"
    whole, usual = bytearray(), usual_unpacked(len(body))
    for piece in unpacked_pieces(body, suffix, budget, source, streams):
        whole += piece
        if len(whole) > usual:
            break
    else:
        return read_tar(memoryview(whole).toreadonly(), source, rules=rules)
    budget.left += len(whole)
    del whole, piece
    judged = judge_tar(unpacked_pieces(body, suffix, budget, source, streams), source, rules=rules)
    return read_tar(inflated(body, suffix, Budget(judged), source), source, rules=rules)


def judge_tar(pieces: Iterable[bytes | memoryview], source: str, *, rules: Rules = "strict") -> int:
    """Return the size of the tar archive in `pieces`, of which it holds only names and headers.

    Raises `Refused` exactly where `read_tar` would.
    """
    stream = _Rolling(pieces)
    _, end = _TarJudge(source, devices="refuse", rules=rules).read(stream)
    demand_end(source, rules, end, stream.rest(end))
    return stream.end


class _TarJudge(TarReader):
    """Reads an archive that comes in pieces: it judges all of it, and holds no file's content."""

    def file_content(self, view: Data, offset: int, size: int, raw: bytes) -> tuple[memoryview, int]:
        got = 0
        for start in range(offset, offset + size, READ_CHUNK_BYTES):
            got += len(view[start : min(start + READ_CHUNK_BYTES, offset + size)])
        return memoryview(b""), self.end_of(view, offset, size, got, raw)


class _Rolling:
    """The bytes of a stream, read from front to back: what lies before the last slice is forgotten."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()
        self._start = 0
        self.end = 0  # of what was read

    def __getitem__(self, part: slice, /) -> memoryview:
        start, stop = part.start, part.stop
        while self.end < stop and (piece := next(self._pieces, None)) is not None:
            self._held += piece
            self.end += len(piece)
            self._forget(start)
        self._forget(start)
        return memoryview(bytes(self._held[start - self._start : stop - self._start]))

    def rest(self, start: int) -> Iterator[memoryview]:
        """Yield everything from byte `start` on."""
        while piece := self[start : start + READ_CHUNK_BYTES]:
            yield piece
            start += len(piece)

    def _forget(self, start: int) -> None:
        if start - self._start > READ_CHUNK_BYTES or start >= self.end:
            dropped = min(start, self.end) - self._start
            del self._held[:dropped]
            self._start += dropped
