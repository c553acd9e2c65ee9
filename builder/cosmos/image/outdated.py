"""`cosmos outdated`: compare an image's lock with its galaxies of today. Nothing is written.

For each star: the locked version, the newest that fits (`freeze --upgrade` would take it), the newest that there is,
and what holds the star below that. A locked version may also be gone from its galaxy, or the keys that signed it may
count no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.errors import CosmosError, NoSolution, quoted
from cosmos.image.definition import Definition
from cosmos.image.resolution import Resolution, resolution
from cosmos.image.world import World
from cosmos.model.lock import LockedStar
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Candidate, preferred
from cosmos.resolve.held import Holding
from cosmos.trust.roots import TrustRoots

Move: TypeAlias = Literal["stays", "up", "down", "exchanged", "comes", "goes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One star: as it is `locked` (None: it would come), and as it `fits` (None: it would go).

    `newest` is the newest version that its galaxy has for the image's machine. `held_by` says in sentences why the
    newest does not fit. `withdrawn`: the galaxy does not list the locked version any more. `untrusted` says why the
    locked version would not be taken now; empty if it would.
    """

    name: StarName
    galaxy: GalaxyName
    locked: LockedStar | None
    fits: LockedStar | None
    newest: Version | None
    held_by: tuple[str, ...]
    withdrawn: bool
    untrusted: str

    @property
    def move(self) -> Move:
        """What `freeze --upgrade` would do with it."""
        if self.locked is None or self.fits is None:
            return "comes" if self.locked is None else "goes"
        if self.fits.version == self.locked.version:
            return "stays" if self.fits.archive == self.locked.archive else "exchanged"
        return "up" if self.locked.version < self.fits.version else "down"

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to say of it."""
        return self.move == "stays" and not (self.held_by or self.withdrawn or self.untrusted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outdated:
    """An image's lock beside its galaxies. `galaxies`: of each, the locked snapshot and the one of today."""

    lock_file: Path
    stars: tuple[Compared, ...]
    galaxies: tuple[tuple[GalaxyName, int | None, int], ...]

    @property
    def to_say(self) -> tuple[Compared, ...]:
        """The stars of which there is something to say."""
        return tuple(star for star in self.stars if not star.is_current)


def outdated(definition: Definition, world: World) -> Outdated:
    """Return the image's lock beside its galaxies of today.

    Raises `NoSolution` if there is no lock, and what a `freeze --upgrade` would raise before it compares.
    """
    found = resolution(definition, world, "all")
    if found.seen is None:
        raise NoSolution(str(definition.lock_file), "is not there", hint=f"cosmos freeze {quoted(definition.folder)}")
    roots = world.roots(signed=False)
    were = {galaxy.name: galaxy.seq for galaxy in found.seen.galaxies}
    return Outdated(
        lock_file=definition.lock_file,
        stars=tuple(_compared(found, roots)),
        galaxies=tuple((galaxy.name, were.get(galaxy.name), galaxy.seq) for galaxy in found.lock.galaxies),
    )


def _compared(found: Resolution, roots: TrustRoots) -> Iterator[Compared]:
    assert found.seen is not None, "the caller has checked it"
    locked = {star.name: star for star in found.seen.stars}
    fitting = {star.name: star for star in found.lock.stars}
    holding = Holding(found.wishes, (one.placed for one in found.stars))
    for name in sorted(locked.keys() | fitting.keys()):
        was, fits = locked.get(name), fitting.get(name)
        newest = _newest(found, name)
        yield Compared(
            name=name,
            galaxy=(fits or locked[name]).galaxy,
            locked=was,
            fits=fits,
            newest=None if newest is None else newest.version,
            held_by=_held_by(found, holding, fits, newest),
            withdrawn=was is not None and _listed(found, was) is None,
            untrusted="" if was is None or was == fits else _untrusted(found, was, roots),
        )


def _newest(found: Resolution, name: StarName) -> Candidate | None:
    """Return the newest star of that name for the image's machine, from the galaxy that answers for it."""
    machine: Arch = found.lock.request.arch
    return next((one for one in preferred(found.offer.versions(name), {}) if one.arch.runs_on(machine)), None)


def _held_by(found: Resolution, holding: Holding, fits: LockedStar | None, newest: Candidate | None) -> tuple[str, ...]:
    """Return why `newest` is not chosen; empty if it is, or if the chosen one is as new."""
    if fits is None or newest is None or newest.version <= fits.version:
        return ()
    try:
        facts = found.offer.facts(newest)
    except CosmosError as error:  # of a star that nobody has chosen: its statement is refused, or is not to be had
        return (str(error),)
    if not facts.arch.runs_on(found.lock.request.arch):
        return (f"it is for {facts.arch}",)
    return holding.holders(fits.name, newest.version, facts) or ("other stars fit together only without it",)


def _listed(found: Resolution, was: LockedStar) -> Candidate | None:
    """Return the locked star in its galaxy's index of today, or None if it is gone."""
    rows = found.offer.versions(was.name)
    return next((one for one in rows if (one.galaxy, one.version) == (was.galaxy, was.version)), None)


def _untrusted(found: Resolution, was: LockedStar, roots: TrustRoots) -> str:
    """Return why the locked star would not be taken now: its signers were revoked, or its statement is another."""
    there = _listed(found, was)
    if there is None:
        gone = set(was.signers) - set(roots.still_good(was.signers, 1))
        return f"signed by {', '.join(sorted(map(roots.name_of, gone)))}, revoked" if gone else ""
    try:
        found.galaxies[there.galaxy].statement(there)
    except CosmosError as error:
        return str(error)
    return ""
