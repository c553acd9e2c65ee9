"""A galaxy in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from cosmos.digest import Digest
from cosmos.transport.carrier import Expected, NotThere, Progress, parts_of, too_long, wrong_size


class MemoryCarrier:
    """The files of a mapping, from path to bytes. `reads` lists the paths that were read, in order."""

    def __init__(self, files: Mapping[str, bytes], *, address: str = "memory", is_local: bool = True) -> None:
        self.files = dict(files)
        self.address = address
        self.is_local = is_local
        self.reads: list[str] = []

    def read(self, path: str, *, max_bytes: int) -> bytes:
        data = self._file(path)
        if len(data) > max_bytes:
            raise too_long(f"{self.address}/{path}", max_bytes)
        return data

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> bytes:
        data = self._file(path)
        if len(data) != size_bytes:
            raise wrong_size(f"{self.address}/{path}", size_bytes, str(len(data)))
        progress(size_bytes)
        return data

    def expecting(self, files: Sequence[Expected]) -> AbstractContextManager[None]:
        return nullcontext()

    def _file(self, path: str) -> bytes:
        name = "/".join(parts_of(path, self.address))
        self.reads.append(name)
        if name not in self.files:
            raise NotThere(f"{self.address}/{name}", "there is no such file in the galaxy")
        return self.files[name]
