"""`World`: the interface between freezing or building and the outside. `home` is the real one; tests use a fake one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from cosmos.canon import Json
from cosmos.image.definition import Definition
from cosmos.model.lock import Lock, LockedTrust
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.release.draft import Draft
from cosmos.staging.source import Source
from cosmos.store.interface import Store
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots


class World(Protocol):
    """The outside of a build: its store, its pinned keys and memory, its galaxies, and the place of its release."""

    @property
    def offline(self) -> bool:
        """Whether no galaxy is opened at all."""

    @property
    def reporter(self) -> Reporter:
        """Gets progress, notes and warnings."""

    @property
    def store(self) -> Store:
        """Keeps verified bytes."""

    @property
    def made(self) -> Store:
        """Keeps finished layers, and believes only those that this home wrote. Raises `Refused`."""

    @property
    def pinned(self) -> TrustRoots:
        """The keys that the operator pinned. Raises `Refused` if no trust.toml was ever accepted."""

    @property
    def locked_trust(self) -> LockedTrust:
        """The version and digest of the trust anchors, as a lock states them."""

    def roots(self, *, signed: bool) -> TrustRoots:
        """Return the pinned keys. If `signed` is false, no key has to be pinned."""

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        """Return the trust anchors that were used to make `lock`, or None if they are not kept here.

        Raises `Refused` if another document was accepted here under the version that the lock names.
        """

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Change the memory by `change`. Raises `RolledBack` for a rollback, and then changes nothing."""

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        """Return the galaxy called `name`; a relative path in `url` starts at `folder`. Raises `Malformed`."""

    def lock_files(self, definition: Definition) -> tuple[bytes, bytes | None]:
        """Return the bytes of the image's lock, and those of the signature beside it, if it has one.

        Raises `NoSolution` if there is no lock.
        """

    def write_lock(self, definition: Definition, data: bytes) -> bool:
        """Write `data` as the image's lock, durably; return False if the file had it before. Raises `WorldFailed`."""

    def sandbox(self) -> Mapping[str, Json]:
        """Return the result of the live probe of Nova's sandbox. Raises `WorldFailed` if it cannot confine scripts."""

    def sweep(self, out: Path) -> None:
        """Remove the leftovers of killed builds in the store and beside `out`."""

    def draft(self, out: Path) -> AbstractContextManager[Draft]:
        """Give an empty release that will take the place of `out`. Raises `WorldFailed`."""
