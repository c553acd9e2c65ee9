"""`World`: what freezing and building may ask of the outside. `home` is the real one; the tests have one in memory."""

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
        """Whom the work tells where it is."""

    @property
    def store(self) -> Store:
        """Where verified bytes and finished layers are kept."""

    @property
    def pinned(self) -> TrustRoots:
        """The keys that the operator pinned. Raises `Refused` where no trust was ever accepted."""

    @property
    def locked_trust(self) -> LockedTrust:
        """What a lock states of the trust anchors."""

    def roots(self, *, signed: bool) -> TrustRoots:
        """Return the pinned keys. Where nothing `signed` is asked for, there may be none."""

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        """Return the trust anchors that `lock` was made under, or None where they are not kept here."""

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Judge by what was seen before, and remember. Raises `RolledBack`, and remembers nothing then."""

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        """Return the galaxy called `name`; a relative path in `url` starts at `folder`. Raises `Malformed`."""

    def lock_files(self, definition: Definition) -> tuple[bytes, bytes | None]:
        """Return the bytes of the image's lock, and those of the signature beside it, if it has one.

        Raises `NoSolution` where there is no lock.
        """

    def write_lock(self, definition: Definition, data: bytes) -> bool:
        """Make `data` the image's lock, durably; return False where it was that already. Raises `WorldFailed`."""

    def sandbox(self) -> Mapping[str, Json]:
        """Return what the live probe of Nova's sandbox saw. Raises `WorldFailed` where scripts cannot be confined."""

    def sweep(self, out: Path) -> None:
        """Remove what builds that were killed left in the store and beside `out`."""

    def draft(self, out: Path) -> AbstractContextManager[Draft]:
        """Give an empty release that will take the place of `out`. Raises `WorldFailed`."""
