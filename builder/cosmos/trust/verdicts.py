"""Judge a lock by trust anchors, from the lock alone: for locks that are years old.

The lock names each star's signers. The caller has already verified that the lock is genuine: it is part of a signed
release, or signed itself. The same rule gives two verdicts. Under the trust anchors of its time, the lock **was valid
when locked**. Under those of today, it **is trusted now**.
"""

from __future__ import annotations

from collections.abc import Callable

from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import StarName
from cosmos.records import dataclass
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """The reason why one star of a lock is not good under some trust anchors.

    Nobody can accept a star by name that is below a floor: floors only rise.
    """

    star: StarName
    text: str
    is_below_floor: bool = False

    def __str__(self) -> str:
        return self.text


def lock_problems(lock: Lock, roots: TrustRoots, seq_of: Callable[[LockedStar], int | None]) -> tuple[Problem, ...]:
    """Return a problem for each star of `lock` that is not good under `roots`; empty if all are good.

    `seq_of` returns the seq in a star's statement, or None if the statement is not available. It is called only if a
    retired key has signed, and the lock's snapshot is later than the seq up to which that key stays good. A star of a
    galaxy with `allow-unsigned` has no signers, and is not a problem here.
    """
    found = []
    for star in lock.stars:
        low = _below_floor(lock, star, roots)
        text = low or _not_signed(lock, star, roots, seq_of)
        if text:
            found.append(Problem(star=star.name, text=f"{star.id}: {text}", is_below_floor=low is not None))
    return tuple(found)


def _below_floor(lock: Lock, star: LockedStar, roots: TrustRoots) -> str | None:
    floor = roots.floors.stars.get(star.name)
    if floor is not None and star.version.is_below(floor):
        return f"lies below the floor of {floor}"
    galaxy = lock.galaxy(star.galaxy)
    if galaxy.seq < roots.floors.galaxies.get(galaxy.name, 0):
        return (
            f"is locked from seq {galaxy.seq} of {galaxy.name}, below the floor of {roots.floors.galaxies[galaxy.name]}"
        )
    return None


def _not_signed(
    lock: Lock, star: LockedStar, roots: TrustRoots, seq_of: Callable[[LockedStar], int | None]
) -> str | None:
    galaxy = lock.galaxy(star.galaxy)
    if not star.signers:
        return None
    pinned = {key.id for key in roots.author_keys_or_retired(star.galaxy, star.name)}
    counted = tuple(signer for signer in star.signers if signer in pinned)
    good = roots.still_good(counted, galaxy.seq)  # listed at that seq, so signed by then
    if len(good) < min(len(counted), roots.threshold("author")):
        stated = seq_of(star)
        good = roots.still_good(counted, stated) if stated is not None else good
    if len(good) >= roots.threshold("author"):
        return None
    return _missing(star, roots, good)


def _missing(star: LockedStar, roots: TrustRoots, good: tuple[str, ...]) -> str:
    rows = {row.key: row for row in roots.revoked}
    for signer in star.signers:
        if signer in rows and signer not in good:
            return f"is signed by {roots.name_of(signer)}, whose key was {rows[signer]}"
    return f"is signed by {len(good)} pinned keys, and {roots.threshold('author')} must have signed"
