"""Fetch and verify everything that a lock names, before a build unpacks anything. Judge whether it is still trusted.

There are two separate verdicts. A star **was valid when locked** if the trust anchors that the lock names accept its
signature. It **is trusted now** if the trust anchors of today accept it.

A star that fails the first is always refused. A star that passes the first and fails the second (its key was revoked,
or is no longer pinned) is refused unless the operator accepts it by name. The release then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from cosmos.errors import NoSolution, Refused, of_star, quoted
from cosmos.image.newer_trust import demand_newest_trust
from cosmos.image.world import World
from cosmos.model.facts import Facts
from cosmos.model.lock import LOCK_FILE, Lock, LockedGalaxy, LockedStar
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import counted
from cosmos.records import dataclass
from cosmos.resolve.locked import Judged, demand_right_unless, outranked
from cosmos.staging.acquire import Acquired, acquire_index, acquire_star, demand_stored, newest_index
from cosmos.staging.ahead import fetching_ahead, star_files
from cosmos.staging.galaxies import naming_address
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.store.interface import settling
from cosmos.trust.dsse import NotSigned
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.roots import TrustRoots

T = TypeVar("T")


class LockPlace(Protocol):
    """Where a lock lies: its file, the file that names its galaxies, and the folder where their paths start."""

    @property
    def folder(self) -> Path:
        """The folder at which relative galaxy paths start."""

    @property
    def file(self) -> Path:
        """The file that names the galaxies."""

    @property
    def lock_file(self) -> Path:
        """The lock."""


class TrustedNoLonger(NotSigned):
    """A star or an index was valid when it was locked, but is not trusted now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcquiredLock:
    """Every star of a lock, fetched and verified. `accepted`: names that the operator accepted, with the reason why
    each is not trusted.
    """

    stars: Mapping[StarName, Acquired]
    accepted: Mapping[str, str]

    @property
    def signers(self) -> Mapping[StarName, tuple[str, ...]]:
        """The ids of the keys that were verified to have signed each star."""
        return {name: item.statement.signers for name, item in self.stars.items()}


class Judge:
    """Judges by the trust anchors of today. If they refuse, it asks the trust anchors of the lock."""

    def __init__(self, lock: Lock, world: World, accept: frozenset[str]) -> None:
        self._world = world
        self._accept = accept
        self.now = world.roots(signed=any(not galaxy.allow_unsigned for galaxy in lock.galaxies))
        self.accepted: dict[str, str] = {}
        # The keys that were trusted when the lock was made, with the floors of today. Raises for another operator's.
        then = world.roots_when_locked(lock)
        self.then = None if then is None else replace(then, floors=self.now.floors)
        if lock.trust.version > self.now.version:
            raise Refused(
                LOCK_FILE,
                f"was made under version {lock.trust.version} of trust.toml, but this home has version "
                f"{self.now.version}: a later one may revoke a key",
                hint="take the later versions with: cosmos trust update FROM; or lock again: cosmos freeze IMAGE",
            )

    def judged(self, name: str, verify: Callable[[TrustRoots], T]) -> T:
        """Return what `verify` finds under today's anchors, or under the lock's where `name` is accepted.

        Raises `TrustedNoLonger` if only the lock's anchors accept it, and `NotSigned` if neither do.
        """
        try:
            return verify(self.now)
        except NotSigned as error:
            if self.then is None:
                raise
            try:
                found = verify(self.then)
            except NotSigned:
                raise error from None  # it was never good
            if name not in self._accept:
                raise TrustedNoLonger(
                    name,
                    f"was valid when it was locked, but is not trusted now: {error}",
                    hint="cosmos freeze --upgrade chooses another; to take it all the same: "
                    f"--accept-revoked {quoted(name)}",
                ) from None
            self.accepted[name] = str(error)
            self._world.reporter.warn(f"{name}: is not trusted now, but you accepted it by name: {error}")
            return found

    def demand_all_used(self) -> None:
        """Raise `NoSolution` for an accepted name that no star needed: it is misspelt, or trusted."""
        for name in sorted(self._accept - self.accepted.keys()):
            raise NoSolution(
                name,
                "need not be accepted: it is trusted, or not in the lock",
                hint=f"leave out --accept-revoked {quoted(name)}",
            )


def acquire_lock(
    lock: Lock, place: LockPlace, world: World, accept: frozenset[str] = frozenset(), judged: Judged | None = None
) -> AcquiredLock:
    """Return every locked star, fetched and verified, in lock order; `accept` are star names, or `galaxy:NAME`.

    `judged` is what was judged of the lock by its own words. If the signed statements say the same, that counts.
    """
    total = sum(star.size_bytes for star in lock.stars)
    world.reporter.step(f"fetch and verify {counted(len(lock.stars), 'star')}, {total:,} bytes")
    judge = Judge(lock, world, accept)
    sources: dict[str, Source] = {
        galaxy.name: world.source(galaxy.name, galaxy.url, place.folder) for galaxy in lock.galaxies
    }
    if world.offline:
        demand_stored(lock, world.store)
    demand_newest_trust(world, sources.values())
    with settling(world.store):
        indexes: dict[GalaxyName, VerifiedIndex] = {}
        for galaxy in lock.galaxies:
            with naming_address(str(place.file), galaxy.name):
                indexes[galaxy.name] = _index(galaxy, sources[galaxy.name], judge, world)
        acquired: dict[StarName, Acquired] = {}
        done = 0
        with fetching_ahead(
            (sources[star.galaxy], star_files(sources[star.galaxy], indexes[star.galaxy], star)) for star in lock.stars
        ):
            for star in lock.stars:
                fetch = _fetching(
                    lock,
                    star,
                    indexes[star.galaxy],
                    sources[star.galaxy],
                    judge.then,
                    _counting(world, star.id, done, total),
                )
                with of_star(star.name):
                    acquired[star.name] = judge.judged(star.name, fetch)
                done += star.size_bytes
                world.reporter.progress(star.id, done, total, "bytes")
    signed = {name: Facts.of(item.statement.statement.star) for name, item in acquired.items()}
    _demand_first_galaxies(lock, indexes, signed)
    demand_right_unless(judged, lock, place.lock_file, signed)
    judge.demand_all_used()
    return AcquiredLock(stars=acquired, accepted=judge.accepted)


def _index(galaxy: LockedGalaxy, source: Source, judge: Judge, world: World) -> VerifiedIndex:
    """Return the lock's snapshot, judged by the galaxy's newest index and by this home's memory."""
    name, shown = f"galaxy:{galaxy.name}", f"{galaxy.name}: {INDEX_FILE}"
    file, locked = judge.judged(name, lambda roots: acquire_index(galaxy, source, roots))
    newest = judge.judged(name, lambda roots: newest_index(galaxy, source, roots, (file, locked)))
    if name not in judge.accepted:
        world.remember(lambda memory: memory.with_locked_index(locked, judge.now, shown))
        if newest is not None:
            world.remember(lambda memory: memory.with_index(newest, judge.now, shown))
    source.keep(file)
    return locked


def _demand_first_galaxies(
    lock: Lock, indexes: Mapping[GalaxyName, VerifiedIndex], signed: Mapping[StarName, Facts]
) -> None:
    """Raise `NoSolution` for a star whose name, or a name that it provides, an earlier galaxy answers for."""
    owners: dict[StarName, GalaxyName] = {}
    for name in (galaxy.name for galaxy in lock.galaxies):
        index = indexes[name].index
        for claimed in (*index.newest, *(one for row in index.snapshot for one in (row.name, *row.provides))):
            owners.setdefault(claimed, name)
    for star, said in outranked(lock, signed, owners):
        raise NoSolution(star.id, said, hint="to choose the stars again: cosmos freeze IMAGE")


def _fetching(
    lock: Lock,
    star: LockedStar,
    index: VerifiedIndex,
    source: Source,
    then: TrustRoots | None,
    progress: Callable[[int], None],
) -> Callable[[TrustRoots], Acquired]:
    return lambda roots: acquire_star(lock, star, index, source, roots, progress, then)


def _counting(world: World, what: str, before: int, total: int) -> Callable[[int], None]:
    return lambda done: world.reporter.progress(what, before + done, total, "bytes")
