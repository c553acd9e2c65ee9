"""Judge the installed stars by the keys that are trusted now: a key may have been revoked since the installation.

The universe's record proves nothing, because the system wrote it itself. So the judge reads what the author signed: the
star's statement, from the system's store or from a galaxy in a folder (device.shelves). No socket is made, and nothing
is written.

A star whose statement is neither in the store nor in a local galaxy is not judged, and is named. A star that upstream
recorded without its galaxy, and a star of an unsigned galaxy, has no signature that could be judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cosmos.device.memory import system_trust
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.shelves import Shelves
from cosmos.errors import CosmosError
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.staging.source import Source
from cosmos.store.blobs import StoreFolder
from cosmos.trust.galaxies import VerifiedIndex


@dataclass(frozen=True, kw_only=True, slots=True)
class Untrusted:
    """An installed star that is not trusted now, with the reason."""

    name: StarName
    version: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}: is not trusted now: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledTrust:
    """The installed stars that are not trusted now, and those that cannot be judged.

    `renewed` are stars whose kept signature counts no more, but whose statement a trusted key has signed since.
    `unsigned` are stars that nobody signed, or of which the galaxy was not recorded. `problem` says why no star was
    judged, if the trust anchors could not be read. `was_asked` is false where the system has no trust anchors.
    """

    untrusted: tuple[Untrusted, ...] = ()
    renewed: tuple[Untrusted, ...] = ()
    unjudged: tuple[StarName, ...] = ()
    unsigned: tuple[StarName, ...] = ()
    problem: str = ""
    was_asked: bool = False

    def doubts(self, universe: Universe) -> tuple[str, ...]:
        """Return a sentence for each installed star that is not known to be trusted now."""
        if not self.was_asked:
            why = self.problem or "the system has no trust anchors"
            return tuple(f"{name} {star.version}: cannot be judged: {why}" for name, star in _sorted(universe))
        said = {one.name: str(one) for one in self.untrusted}
        said |= dict.fromkeys(self.unjudged, "cannot be judged: its statement is in no galaxy here")
        said |= dict.fromkeys(self.unsigned, "nobody signed it")
        known = {one.name for one in self.untrusted}
        return tuple(
            said[name] if name in known else f"{name} {star.version}: {said[name]}"
            for name, star in _sorted(universe)
            if name in said
        )


NOT_ASKED: Final = InstalledTrust()


def shelves_at_hand(
    root: LiveRoot, sticks: Sequence[Source] = (), known: Iterable[VerifiedIndex] = ()
) -> Shelves | InstalledTrust:
    """Return where the statements of installed stars may be, without a socket; or why no star can be judged."""
    try:
        trust = system_trust(root)
        settings = read_settings(root)
        if trust.locked is None:
            return NOT_ASKED
        return Shelves(root, settings, StoreFolder(root.below(settings.cache_dir)), trust, sticks, known=known)
    except CosmosError as error:
        return InstalledTrust(problem=str(error))


def judge_installed(
    root: LiveRoot, universe: Universe, shelves: Shelves | InstalledTrust | None = None
) -> InstalledTrust:
    """Return how the installed stars stand under the system's trust anchors. Without anchors, no star is judged."""
    at_hand = shelves or shelves_at_hand(root)
    if isinstance(at_hand, InstalledTrust):
        return at_hand
    untrusted, renewed = list[Untrusted](), list[Untrusted]()
    unjudged, unsigned = list[StarName](), list[StarName]()
    for name, star in sorted(universe.installed.items()):
        if star.galaxy is None or star.archive is None:
            unsigned.append(name)
            continue
        found = at_hand.judge(name, star)
        if found.refused is not None:
            row = Untrusted(name=name, version=str(star.version), why=found.refused.problem)
            (untrusted if found.verified is None else renewed).append(row)
        elif found.verified is None:
            unjudged.append(name)
        elif not found.verified.signers:
            unsigned.append(name)
    return InstalledTrust(
        untrusted=tuple(untrusted),
        renewed=tuple(renewed),
        unjudged=tuple(unjudged),
        unsigned=tuple(unsigned),
        was_asked=True,
    )


def rests_on(
    stars: Mapping[StarName, Iterable[StarName]], universe: Universe, untrusted: Iterable[Untrusted]
) -> Iterator[tuple[StarName, Untrusted]]:
    """Yield each of `stars` (with its dependencies) with each of `untrusted` that it needs, directly or not."""
    bad = {one.name: one for one in untrusted}
    for name in stars if bad else ():
        yield from ((name, bad[needed]) for needed in sorted(needed_by(name, stars, universe) & bad.keys()))


def judge_below(
    root: LiveRoot,
    universe: Universe,
    stars: Mapping[StarName, Iterable[StarName]],
    kept: Iterable[StarName],
    known: Iterable[VerifiedIndex] = (),
) -> InstalledTrust:
    """Return how those installed stars stand that `stars` need, directly or not, and those that are `kept`.

    `stars` are new, with their dependencies. No other star is judged, so the work grows with the installation, and not
    with the system. `known` are indexes that need not be read a second time.
    """
    asked = {*kept}.union(*(needed_by(name, stars, universe) for name in stars))
    few = {name: star for name, star in universe.installed.items() if name in asked}
    return judge_installed(root, replace(universe, installed=few), shelves_at_hand(root, known=known))


def needed_by(name: StarName, stars: Mapping[StarName, Iterable[StarName]], universe: Universe) -> set[StarName]:
    """Return all stars that the new star `name` needs, directly or not. `stars` are new, with their dependencies."""
    waiting, seen = [*stars[name]], set[StarName]()
    while waiting:
        needed = waiting.pop()
        if needed in seen:
            continue
        seen.add(needed)
        installed = universe.installed.get(needed)
        waiting += installed.dependencies if installed is not None else stars.get(needed, ())
    return seen


def _sorted(universe: Universe) -> list[tuple[StarName, Installed]]:
    return sorted(universe.installed.items())
