"""The two verdicts on a release, years later: was its lock valid when it was made, and is it trusted now?

Before, `release.verify` has shown that the release is the one that its signer signed. This module judges it by the
trust anchors and the memory of this home. It refuses a release that is older than one that was verified before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.keyring.anchors import OtherTrust
from cosmos.limits import MAX_LOCK_BYTES, MAX_RELEASE_BYTES
from cosmos.model.lock import LOCK_FILE, Lock, LockedStar
from cosmos.model.names import ImageName
from cosmos.model.release import RELEASE_FILE
from cosmos.model.statement import Statement
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.release.verify import ReleaseVerdict
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots
from cosmos.trust.verdicts import Problem, lock_problems


class Home(Protocol):
    """The interface of the builder's home that `judge_release` needs: the pinned keys and the memory."""

    @property
    def pinned(self) -> TrustRoots:
        """The pinned keys of today. Raises `Refused`."""

    def roots_when_locked(self, lock: Lock) -> TrustRoots | None:
        """Return the trust anchors that were used to make `lock`, or None if they are not kept here.

        Raises `OtherTrust` if another document was accepted here under the version that the lock names.
        """

    def kept_statement(self, star: LockedStar) -> bytes | None:
        """Return the statement that the lock pins for `star`, its digest checked, or None if it is not kept here."""

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Change the memory by `change`. Raises `RolledBack` for a rollback, and then changes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustVerdicts:
    """Both verdicts. `when_locked` is None if the trust anchors of the lock are not kept here; `why_not` says why.

    `accepted` are the names that the release's maker accepted although they were not trusted, with the reasons.
    """

    when_locked: tuple[Problem, ...] | None
    why_not: str
    now: tuple[Problem, ...]
    lock_version: int
    version: int
    accepted: Mapping[str, str]


def judge_release(verdict: ReleaseVerdict, home: Home, accept: frozenset[str]) -> TrustVerdicts:
    """Return both verdicts on a verified release, and remember it.

    Raises `Refused` for a release below the floor, for one older than the memory, for one that was never valid, and for
    one with a star that is not trusted now and not in `accept`.
    """
    roots = home.pinned
    external, source = verdict.release.external, str(verdict.folder / RELEASE_FILE)
    counter, image = external.get("counter", 0), external.get("image", "")
    accepted = external.get("acceptedRevoked", {})
    if not isinstance(counter, int) or not isinstance(image, str) or not isinstance(accepted, dict):
        raise Malformed(source, "externalParameters: want a counter, an image's name, and a table acceptedRevoked")
    try:
        name = ImageName.parse(image)
    except ValueError as error:
        raise Malformed(source, f"externalParameters.image: {error}") from error
    floor = roots.floors.releases.get(name, 0)
    if counter < floor:
        raise Refused(source, f"counter {counter} lies below the floor of {floor} that trust.toml sets for {name}")
    lock = Lock.parse(read_bounded(verdict.folder / LOCK_FILE, MAX_LOCK_BYTES), str(verdict.folder / LOCK_FILE))
    then, why_not = _roots_then(lock, home)
    verdicts = TrustVerdicts(
        why_not=why_not,
        when_locked=None if then is None else lock_problems(lock, then, seq_from(home)),
        now=lock_problems(lock, roots, seq_from(home)),
        lock_version=lock.trust.version,
        version=roots.version,
        accepted={str(star): str(why) for star, why in accepted.items()},
    )
    _demand_trusted(verdicts, verdict.folder, accept)
    digest = Digest.of(read_bounded(verdict.folder / RELEASE_FILE, MAX_RELEASE_BYTES))
    home.remember(lambda memory: memory.with_release(name, counter, digest, roots, source))
    return verdicts


def _roots_then(lock: Lock, home: Home) -> tuple[TrustRoots | None, str]:
    """Return the trust anchors that were used to make `lock`, or None and the reason."""
    try:
        then = home.roots_when_locked(lock)
    except OtherTrust:
        return None, f"version {lock.trust.version} of trust.toml is another document here than the lock names"
    if then is not None:
        return then, ""
    if lock.trust.version == 0:
        return None, "the lock states no trust.toml"
    return None, f"trust.toml version {lock.trust.version} was never accepted here"


def _demand_trusted(verdicts: TrustVerdicts, folder: Path, accept: frozenset[str]) -> None:
    """Raise `Refused` for a lock that was never valid, and for a star that is not trusted now and not in `accept`."""
    if verdicts.when_locked:
        raise Refused(str(folder), f"was not valid when it was locked: {verdicts.when_locked[0]}")
    left = [problem for problem in verdicts.now if problem.is_below_floor or problem.star not in accept]
    if left:
        when = (
            "was valid when it was locked"
            if verdicts.when_locked is not None
            else "this home cannot judge whether it ever was"
        )
        names = " ".join(f"--accept-revoked {problem.star}" for problem in left)
        accepting = "" if any(problem.is_below_floor for problem in left) else f"; to accept it all the same: {names}"
        raise Refused(
            str(folder),
            f"is not trusted now ({when}): {left[0]}",
            hint=f"build it again from trusted stars{accepting}",
        )


def seq_from(home: Home) -> Callable[[LockedStar], int | None]:
    """Return a function that gives the seq in a star's statement, or None if the statement is not kept here."""

    def seq_of(star: LockedStar) -> int | None:
        data = home.kept_statement(star)
        return None if data is None else Statement.parse(data, f"{star.id}: its statement").seq

    return seq_of
