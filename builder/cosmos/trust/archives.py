"""Verify a star's archive against the lock, before any code reads it as an archive (SO-03, SO-06)."""

from __future__ import annotations

from dataclasses import field

from cosmos.content import Content, content_digest
from cosmos.errors import Refused
from cosmos.model.lock import LockedStar
from cosmos.records import dataclass


class _Seal:
    """The seal that only this module can make (see `trust.stars`)."""


_SEAL = _Seal()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedArchive:
    """The exact bytes that the lock pins for `star`; only `verify_archive` makes one."""

    star: LockedStar
    data: Content = field(repr=False)
    seal: _Seal = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a VerifiedArchive comes from verify_archive alone")


def verify_archive(data: Content, star: LockedStar) -> VerifiedArchive:
    """Return `data` as the archive of `star`; raises `Refused` unless its size and its SHA-256 are the lock's."""
    if len(data) != star.size_bytes:
        raise Refused(star.id, f"the lock names {star.size_bytes} bytes, but the archive has {len(data)}")
    got = content_digest(data)
    if got != star.archive:
        raise Refused(
            star.id,
            f"the lock names {star.archive}, but the archive is {got}",
            hint="the galaxy's copy is damaged or was exchanged: fetch it from another mirror",
        )
    return VerifiedArchive(star=star, data=data, seal=_SEAL)
