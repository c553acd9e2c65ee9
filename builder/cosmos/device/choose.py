"""Choose the stars that an installation adds: resolve the wishes against the galaxies, and keep installed stars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cosmos.about import VERSION
from cosmos.device.galaxies import OpenGalaxies
from cosmos.device.system_library import SystemLibrary, installed_candidate
from cosmos.model.constraint import exactly
from cosmos.model.image import DEFAULT_LEVEL
from cosmos.model.lock import BuildPins, Lock, LockedStar, Request
from cosmos.model.names import ImageName, StarName, star_behind
from cosmos.model.universe import Universe, demand_reader
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.records import dataclass
from cosmos.resolve.explaining import Advice
from cosmos.resolve.resolving import Resolved, Wish, resolve
from cosmos.staging.foreseen import foresee
from cosmos.staging.galaxies import OpenGalaxy

KEEPER = "this system"  # wants every installed star, in the resolver's sentences
NO_IMAGE = ImageName("system")  # the image in the request of a system that no image made


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A star to install, pinned, and the galaxy that it comes from."""

    star: LockedStar
    galaxy: OpenGalaxy


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The stars to install, in dependency order and as a lock. `kept`: wished stars that are installed already.

    `reasons` are the new reasons that the installation gives to installed stars.
    """

    lock: Lock
    stars: tuple[Chosen, ...]
    kept: tuple[StarName, ...]
    reasons: Mapping[StarName, tuple[str, ...]]


def advice(universe: Universe, option: str) -> Advice:
    """Return the hints for an installation; `option` is the option that names the system in a command."""
    return Advice(
        clash=f"to list the known versions: cosmos show STAR{option}; "
        f"to add a galaxy with others: cosmos add-galaxy NAME URL{option}",
        missing=f"to add a galaxy that has {{star}}: cosmos add-galaxy NAME URL{option}",
        too_long=f"ask for exact versions: cosmos install STAR@=VERSION{option}",
        installed={name: star.version for name, star in universe.installed.items()},
        keeping="an installation changes no installed star: install the other version on another system (--root), "
        "or build an image with it",
    )


def choose(wishes: Sequence[Wish], universe: Universe, opened: OpenGalaxies, *, epoch: int, option: str = "") -> Choice:
    """Return the stars to install; raises `NoSolution` that says which star wants what.

    It is raised as well for a star `cosmos` that could not read the universe of this system after the installation.
    `option` is the option that names the system in the commands of a hint.
    """
    library = SystemLibrary(universe, opened)
    keep = [
        Wish(who=KEEPER, name=name, constraint=exactly(star.version))
        for name, star in sorted(universe.installed.items())
    ]
    demands = [wish.demand for wish in wishes]
    foresee(demands, library, opened.by_name, universe.arch, kept={}, settled=universe.versions)
    resolved = resolve([*wishes, *keep], library, universe.arch, {}, advice(universe, option))
    stars: list[Chosen] = []
    reasons: dict[StarName, tuple[str, ...]] = {}
    kept: list[StarName] = []
    wishers = {wish.who for wish in wishes}
    for found in resolved:
        name = found.star.name
        if name in universe.installed and found.star == installed_candidate(name, universe.installed[name]):
            known = {KEEPER, *universe.installed[name].wanted_by}
            new = (who for who in found.wanted_by if who not in known)
            added = tuple(who for who in new if star_behind(who) not in universe.installed)
            reasons |= {name: added} if added else {}
            if wishers & set(found.wanted_by):
                kept.append(name)
        else:
            demand_reader(name, found.star.version, found.facts, f"cosmos show {name}{option} lists its versions")
            stars.append(pinned(found, opened))
    return Choice(
        lock=_lock(stars, universe, epoch),
        stars=tuple(stars),
        kept=tuple(kept),
        reasons=reasons,
    )


def pinned(found: Resolved, opened: OpenGalaxies) -> Chosen:
    """Return the star that the resolver found, as a lock pins it, with its galaxy."""
    galaxy = opened.galaxy(found.star.galaxy)
    assert galaxy is not None, "a candidate comes from a galaxy that is open"
    star = galaxy.pinned(found.star, found.dependencies, found.wanted_by)
    return Chosen(star=star, galaxy=galaxy)


def locked_choice(stars: Sequence[Chosen], universe: Universe, epoch: int) -> Choice:
    """Return the choice of `stars`, in dependency order, that gives no installed star a new reason."""
    return Choice(lock=_lock(stars, universe, epoch), stars=tuple(stars), kept=(), reasons={})


def _lock(stars: Iterable[Chosen], universe: Universe, epoch: int) -> Lock:
    """Return the chosen stars as a lock, for fetching and verifying them. It is not written to the disk."""
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
    """Return the build settings that this program would use for an image."""
    return BuildPins(
        cosmos=VERSION, zstd=ZSTD_VERSION, layer_format=LAYER_FORMAT, level=DEFAULT_LEVEL, source_date_epoch=epoch
    )
