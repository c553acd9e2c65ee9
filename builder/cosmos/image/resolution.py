"""Resolve an image's stars against its galaxies: what a freeze would pin. Nothing is written here.

    image.toml, constellations -> wishes -> galaxies opened and verified -> resolved -> the stars of a lock

Each version of the old lock stays as long as it fits. `upgrade` lets the named stars, or all stars, move to the newest.
`freeze` fetches only indexes and statements. From unsigned upstream galaxies it also fetches the chosen archives,
because these galaxies have no statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, TypeAlias

from cosmos.about import VERSION
from cosmos.errors import Malformed, NoSolution
from cosmos.image.definition import Definition
from cosmos.image.freeze_galaxies import open_galaxy
from cosmos.image.newer_trust import demand_newest_trust
from cosmos.image.outputs.formats import level_of
from cosmos.image.world import World
from cosmos.model.lock import BuildPins, Lock
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import counted
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Galaxies, Wish
from cosmos.resolve.locked import Judged, wishes_of
from cosmos.resolve.resolving import Resolved, resolve
from cosmos.resolve.stale import request_of
from cosmos.staging.foreseen import foresee
from cosmos.staging.galaxies import OpenGalaxy, naming_address
from cosmos.store.interface import settling
from cosmos.trust.roots import TrustRoots

Upgrade: TypeAlias = frozenset[StarName] | Literal["all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """An image's stars as its galaxies answer now.

    `lock` is what a freeze would write, before it is compared with the old lock. `seen` is the old lock without what
    was recovered since, or None if there is no old lock.
    """

    lock: Lock
    seen: Lock | None
    wishes: tuple[Wish, ...]
    stars: tuple[Resolved, ...]
    galaxies: Mapping[GalaxyName, OpenGalaxy]

    @property
    def offer(self) -> Galaxies:
        """The galaxies as one library."""
        return Galaxies(libraries=self.galaxies)

    @property
    def judged(self) -> Judged:
        """What the resolver has judged together."""
        stars = tuple(found.placed for found in self.stars)
        return Judged(frozenset(self.wishes), self.lock.request.arch, stars)

    @property
    def manifests(self) -> list[Star]:
        """The manifests of the stars, from their verified statements."""
        return [self.galaxies[found.star.galaxy].statement(found.star).statement.star for found in self.stars]


def resolution(definition: Definition, world: World, upgrade: Upgrade, as_of: str | None = None) -> Resolution:
    """Return the stars of `definition`, resolved. Each star of the old lock stays, unless `upgrade` names it.

    `as_of` (YYYY.MM.DD): from the snapshots of that date, instead of the newest.

    Raises `NoSolution` that says which star wants what; `Refused` for an index or a statement that no pinned key has
    signed; `WorldFailed`, offline for the first document that the store does not have.
    """
    old = _old_lock(definition, world)
    roots = world.roots(signed=any(not asked.allow_unsigned for asked in definition.image.galaxies))
    seen = None if old is None else _since_recovery(old, roots)
    with settling(world.store):
        world.reporter.step(f"open {counted(len(definition.image.galaxies), 'galaxy', 'galaxies')}")
        galaxies = _opened(definition, world, roots, seen, as_of)
        world.reporter.step("resolve")
        library = Galaxies(libraries=galaxies)
        request = request_of(definition.image, definition.constellations)
        wishes, kept = wishes_of(request), _kept(old, upgrade)
        demands = (wish.demand for wish in wishes)
        foresee(demands, library, galaxies, request.arch, kept=kept, settled={}, told=_reading(world))
        with _naming(definition):
            upgraded = frozenset() if upgrade == "all" else upgrade
            resolved = resolve(wishes, library, request.arch, kept, upgraded=upgraded)
        stars = tuple(
            galaxies[found.star.galaxy].pinned(found.star, found.dependencies, found.wanted_by) for found in resolved
        )
    lock = Lock(
        request=request,
        build=_pins(definition),
        galaxies=tuple(galaxy.locked for galaxy in galaxies.values()),
        stars=stars,
        trust=world.locked_trust,
    )
    return Resolution(lock=lock, seen=seen, wishes=wishes, stars=resolved, galaxies=galaxies)


def opened_galaxies(definition: Definition, world: World) -> tuple[tuple[OpenGalaxy, ...], Mapping[StarName, Version]]:
    """Return the image's galaxies as they are now, and the versions in its lock. Raises as `resolution` does."""
    old = _old_lock(definition, world)
    roots = world.roots(signed=any(not asked.allow_unsigned for asked in definition.image.galaxies))
    with settling(world.store):
        galaxies = _opened(definition, world, roots, None if old is None else _since_recovery(old, roots), None)
    return tuple(galaxies.values()), {} if old is None else {star.name: star.version for star in old.stars}


@contextmanager
def _naming(definition: Definition) -> Iterator[None]:
    """Name the file with the wishes in an error that names no other file. Raises `NoSolution`."""
    try:
        yield
    except NoSolution as error:
        error.where = error.where or str(definition.file)
        raise


def _old_lock(definition: Definition, world: World) -> Lock | None:
    try:
        return Lock.parse(world.lock_files(definition)[0], str(definition.lock_file))
    except NoSolution:
        return None
    except Malformed as error:
        world.reporter.warn(f"{error}; every star is resolved again")
        return None


def _since_recovery(old: Lock, roots: TrustRoots) -> Lock:
    """Return the old lock without the galaxies and stars that trust.toml has recovered since the lock was made.

    What a thief made the old lock say of these binds nobody. Their versions stay if they fit, as those of other stars.
    """
    made = old.trust.version
    galaxies = {name for name, since in roots.recovered.galaxies.items() if made < since}
    stars = {name for name, since in roots.recovered.stars.items() if made < since}
    return replace(
        old,
        galaxies=tuple(galaxy for galaxy in old.galaxies if galaxy.name not in galaxies),
        stars=tuple(star for star in old.stars if star.galaxy not in galaxies and star.name not in stars),
    )


def _opened(
    definition: Definition, world: World, roots: TrustRoots, old: Lock | None, as_of: str | None
) -> dict[GalaxyName, OpenGalaxy]:
    """Return the image's galaxies in their order, each with its verified index."""
    seen = {(galaxy.name, galaxy.url): galaxy for galaxy in old.galaxies} if old is not None else {}
    opened: dict[GalaxyName, OpenGalaxy] = {}
    sources = {
        asked.name: world.source(asked.name, asked.url, definition.folder) for asked in definition.image.galaxies
    }
    demand_newest_trust(world, sources.values())
    for place, asked in enumerate(definition.image.galaxies):
        world.reporter.progress(f"open {asked.name}", place, len(definition.image.galaxies))
        if asked.allow_unsigned:
            world.reporter.warn(f"galaxy {asked.name}: image.toml lets its stars be unsigned")
        with naming_address(str(definition.file), asked.name):
            opened[asked.name] = open_galaxy(
                asked, sources[asked.name], roots, seen.get((asked.name, asked.url)), world, as_of
            )
    return opened


def _reading(world: World) -> Callable[[StarName, int], None]:
    return lambda name, done: world.reporter.progress(f"read what {name} needs", done, 0)


def _kept(old: Lock | None, upgrade: Upgrade) -> dict[StarName, Version]:
    """Return the versions that stay as long as they fit."""
    if old is None or upgrade == "all":
        return {}
    locked = {star.name: star.version for star in old.stars}
    for name in sorted(upgrade - locked.keys()):
        near = nearest(name, map(str, locked))
        hint = f"did you mean --upgrade {near[0]}?" if near else f"leave out --upgrade {name}"
        raise NoSolution(name, "is not in the lock: there is nothing to upgrade", hint=hint)
    return {name: version for name, version in locked.items() if name not in upgrade}


def _pins(definition: Definition) -> BuildPins:
    return BuildPins(
        cosmos=VERSION,
        zstd=ZSTD_VERSION,
        layer_format=LAYER_FORMAT,
        level=level_of(definition.outputs),
        source_date_epoch=definition.image.source_date_epoch,
    )
