"""Which stars an installation adds: the wishes, resolved against the galaxies with what is installed kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cosmos.about import VERSION
from cosmos.device.galaxies import Reach
from cosmos.device.library import SystemLibrary, installed_candidate
from cosmos.model.constraint import exactly
from cosmos.model.image import DEFAULT_LEVEL
from cosmos.model.lock import BuildPins, Lock, LockedStar, Request
from cosmos.model.names import ImageName, StarName
from cosmos.model.universe import Universe
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.resolve.explaining import Advice
from cosmos.resolve.resolving import Resolved, Wish, resolve
from cosmos.staging.galaxies import OpenGalaxy

KEEPER = "this system"  # who wants what is installed, in the resolver's sentences
NO_IMAGE = ImageName("system")  # what a request says where no image made the system
ADVICE = Advice(
    clash="cosmos show STAR lists the versions that there are; cosmos add-galaxy NAME URL adds a galaxy with others",
    missing="cosmos add-galaxy NAME URL, for a galaxy that has {star}",
    too_long="ask for exact versions: cosmos install STAR@=VERSION",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A star to install, pinned, and the galaxy that it comes from."""

    star: LockedStar
    galaxy: OpenGalaxy


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The stars to install in dependency order, and as a lock; the wishes that are there already.

    `reasons` has what the installation adds to the reasons of stars that are there.
    """

    lock: Lock
    stars: tuple[Chosen, ...]
    kept: tuple[StarName, ...]
    reasons: Mapping[StarName, tuple[str, ...]]


def choose(wishes: Sequence[Wish], universe: Universe, reached: Reach, *, epoch: int) -> Choice:
    """Return what to install; raises `NoSolution` with sentences that say who wants what."""
    library = SystemLibrary(universe, reached)
    keep = [
        Wish(who=KEEPER, name=name, constraint=exactly(star.version))
        for name, star in sorted(universe.installed.items())
    ]
    resolved = resolve([*wishes, *keep], library, universe.arch, {}, ADVICE)
    stars: list[Chosen] = []
    reasons: dict[StarName, tuple[str, ...]] = {}
    kept: list[StarName] = []
    wishers = {wish.who for wish in wishes}
    for found in resolved:
        name = found.star.name
        if name in universe.installed and found.star == installed_candidate(name, universe.installed[name]):
            known = {KEEPER, *universe.installed[name].wanted_by}
            added = tuple(who for who in found.wanted_by if who not in known and who not in universe.installed)
            reasons |= {name: added} if added else {}
            if wishers & set(found.wanted_by):
                kept.append(name)
        else:
            stars.append(_chosen(found, reached))
    return Choice(
        lock=_lock(stars, universe, epoch),
        stars=tuple(stars),
        kept=tuple(kept),
        reasons=reasons,
    )


def _chosen(found: Resolved, reached: Reach) -> Chosen:
    galaxy = reached.galaxy(found.star.galaxy)
    assert galaxy is not None, "a candidate comes from a galaxy that is open"
    star = galaxy.pinned(found.star, found.dependencies, found.wanted_by)
    return Chosen(star=star, galaxy=galaxy)


def _lock(stars: Iterable[Chosen], universe: Universe, epoch: int) -> Lock:
    """The chosen stars as a lock, which is what they are acquired by. It is not written."""
    chosen = tuple(stars)
    galaxies = {one.galaxy.name: one.galaxy.locked for one in chosen}
    return Lock(
        request=Request(
            image=ImageName(universe.image) if universe.image else NO_IMAGE,
            arch=universe.arch,
            stars={one.star.name: exactly(one.star.version) for one in chosen},
            constellations={},
            galaxies={name: locked.url for name, locked in galaxies.items()},
        ),
        build=build_pins(epoch),
        galaxies=tuple(galaxies.values()),
        stars=tuple(one.star for one in chosen),
    )


def build_pins(epoch: int) -> BuildPins:
    """Return what this program would build an image with."""
    return BuildPins(
        cosmos=VERSION, zstd=ZSTD_VERSION, layer_format=LAYER_FORMAT, level=DEFAULT_LEVEL, source_date_epoch=epoch
    )
