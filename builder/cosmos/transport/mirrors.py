"""`Mirrors`: several addresses of one galaxy. A file comes from the first that has it.

An address that fails is left out from then on, if a later one has the file. One that only lacks a file is asked for the
next file again: its owner may not have copied all yet. No mirror has to be trusted, as no galaxy's address has: every
file is judged by its digest or its signature, and an older index by the memory.

A file that is longer or shorter than it was pinned is an error and no reason to go on: the operator should know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.transport.carrier import Carrier, Expected, NotThere, Progress

T = TypeVar("T")


class Mirrors:
    """The files of one galaxy at several addresses. The first is its name in messages. `warn` is told of failures."""

    __slots__ = ("_block", "_carriers", "_expected", "_warn", "address", "is_local")

    def __init__(self, carriers: tuple[Carrier, ...], warn: Callable[[str], None]) -> None:
        self._carriers = carriers
        self._warn = warn
        self._block = ExitStack()  # in which the first address expects files
        self._expected: tuple[Expected, ...] = ()
        self.address = carriers[0].address
        self.is_local = all(carrier.is_local for carrier in carriers)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        return self._first(path, lambda carrier: carrier.read(path, max_bytes=max_bytes))

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        return self._first(
            path, lambda carrier: carrier.read_exactly(path, size_bytes=size_bytes, progress=progress, digest=digest)
        )

    @contextmanager
    def expecting(self, files: Sequence[Expected]) -> Iterator[None]:
        """Give a block in which the first address expects `files`; if it fails, the next one expects the rest."""
        self._expected = tuple(files)
        try:
            self._block.enter_context(self._carriers[0].expecting(files))
            yield
        finally:
            self._expected = ()
            self._block.close()

    def _first(self, path: str, read: Callable[[Carrier], T]) -> T:
        failures: list[WorldFailed] = []
        for carrier in self._carriers:
            try:
                data = read(carrier)
            except WorldFailed as error:
                failures.append(error)
            else:
                self._leave_out(failures, path)
                return data
        away = [error for error in failures if not isinstance(error, NotThere)]
        raise (away or failures)[0]  # "there is no such file" would be too much, while an address was not reached

    def _leave_out(self, failures: list[WorldFailed], path: str) -> None:
        """Ask the addresses that failed no more: each failure may have taken minutes."""
        failed = [not isinstance(error, NotThere) for error in failures]
        for error, is_away in zip(failures, failed, strict=True):
            if is_away:
                self._warn(f"{error}; it is left out, and the next address is asked")
        rest = [carrier for place, carrier in enumerate(self._carriers) if place >= len(failed) or not failed[place]]
        self._carriers = tuple(rest)
        if self._expected and any(failed[:1]):
            self._block.close()  # the address that failed expects nothing more
            paths = [file.path for file in self._expected]
            self._expected = self._expected[paths.index(path) + 1 :] if path in paths else self._expected
            self._block.enter_context(self._carriers[0].expecting(self._expected))
