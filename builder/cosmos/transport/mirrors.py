"""`Mirrors`: several addresses of one galaxy. A file comes from the first that has it.

An address that fails is left out from then on, if a later one has the file. One that only lacks a file is asked for the
next file again: its owner may not have copied all yet. No mirror has to be trusted, as no galaxy's address has: every
file is judged by its digest or its signature, and an older index by the memory.

A file that is longer or shorter than it was pinned is an error and no reason to go on: the operator should know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.transport.carrier import Carrier, NotThere, Progress

T = TypeVar("T")


class Mirrors:
    """The files of one galaxy at several addresses. The first is its name in messages. `warn` is told of failures."""

    __slots__ = ("_carriers", "_warn", "address", "is_local")

    def __init__(self, carriers: tuple[Carrier, ...], warn: Callable[[str], None]) -> None:
        self._carriers = carriers
        self._warn = warn
        self.address = carriers[0].address
        self.is_local = all(carrier.is_local for carrier in carriers)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        return self._first(lambda carrier: carrier.read(path, max_bytes=max_bytes))

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path` of exactly `size_bytes`; raises as `Carrier` says."""
        return self._first(
            lambda carrier: carrier.read_exactly(path, size_bytes=size_bytes, progress=progress, digest=digest)
        )

    def _first(self, read: Callable[[Carrier], T]) -> T:
        failures: list[WorldFailed] = []
        for carrier in self._carriers:
            try:
                data = read(carrier)
            except WorldFailed as error:
                failures.append(error)
            else:
                self._leave_out(failures)
                return data
        away = [error for error in failures if not isinstance(error, NotThere)]
        raise (away or failures)[0]  # "there is no such file" would be too much, while an address was not reached

    def _leave_out(self, failures: list[WorldFailed]) -> None:
        """Ask the addresses that failed no more: each failure may have taken minutes."""
        failed = [not isinstance(error, NotThere) for error in failures]
        for error, is_away in zip(failures, failed, strict=True):
            if is_away:
                self._warn(f"{error}; it is left out, and the next address is asked")
        rest = [carrier for place, carrier in enumerate(self._carriers) if place >= len(failed) or not failed[place]]
        self._carriers = tuple(rest)
