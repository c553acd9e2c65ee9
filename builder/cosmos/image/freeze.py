"""`cosmos freeze`: resolve an image's stars against its galaxies and pin each of them in `universe.lock.toml`.

    image.toml, constellations -> wishes -> galaxies opened and verified -> resolved -> the lock, written durably

Each version of the old lock stays as long as it fits. `upgrade` lets the named stars, or all stars, move to the newest.
`freeze` fetches only indexes and statements. From unsigned upstream galaxies it also fetches the chosen archives,
because these galaxies have no statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.about import VERSION
from cosmos.errors import Differs, Malformed, NoSolution, Refused
from cosmos.image.definition import Definition, read_lock
from cosmos.image.freeze_galaxies import open_galaxy
from cosmos.image.newer_trust import demand_newest_trust
from cosmos.image.outputs.formats import level_of
from cosmos.image.world import World
from cosmos.model.lock import BuildPins, Lock, LockedStar
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.pack.image_file import LAYER_FORMAT
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.plain_toml import plain_text
from cosmos.resolve.catalogue import Galaxies
from cosmos.resolve.locked import Judged, demand_right, demand_right_unless, wishes_of
from cosmos.resolve.resolving import resolve
from cosmos.resolve.stale import differences, request_of
from cosmos.staging.foreseen import foresee
from cosmos.staging.galaxies import OpenGalaxy, naming_address, tell_shell_scripts, tell_unknown_keys
from cosmos.store.interface import settling
from cosmos.trust.roots import TrustRoots

Upgrade: TypeAlias = frozenset[StarName] | Literal["all"]

_HEADER = b"""\
# Every star of this image, pinned. Written by `cosmos freeze`; not to be edited by hand.
# `cosmos freeze --check` says whether it still fits image.toml; `cosmos freeze --upgrade [STAR]` moves stars.

"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenLock:
    """A lock as it was written. `changed` is false if the file had these bytes before."""

    lock: Lock
    data: bytes
    changed: bool


def freeze(
    definition: Definition,
    world: World,
    *,
    upgrade: Upgrade = frozenset(),
    allow_downgrade: frozenset[StarName] = frozenset(),
) -> FrozenLock:
    """Write the lock of `definition`. Each star of the old lock stays, unless `upgrade` names it.

    A star moves to a lower version only if `allow_downgrade` names it. The lock then says so (TRUST.md section 5).

    Raises `NoSolution` that says which star wants what; `Refused` for an index or a statement that no pinned key has
    signed; `WorldFailed`, offline for the first document that the store does not have.
    """
    world.store.sweep()
    old = _old_lock(definition, world)
    roots = world.roots(signed=any(not asked.allow_unsigned for asked in definition.image.galaxies))
    seen = None if old is None else _since_recovery(old, roots)
    with settling(world.store):
        galaxies = _opened(definition, world, roots, seen)
        world.reporter.step("resolve")
        library = Galaxies(libraries=galaxies)
        request = request_of(definition.image, definition.constellations)
        wishes, kept = wishes_of(request), _kept(old, upgrade)
        demands = (wish.demand for wish in wishes)
        foresee(demands, library, galaxies, request.arch, kept=kept, settled={}, told=_reading(world))
        resolved = resolve(wishes, library, request.arch, kept, upgraded=frozenset() if upgrade == "all" else upgrade)
        stars = tuple(
            galaxies[found.star.galaxy].pinned(found.star, found.dependencies, found.wanted_by) for found in resolved
        )
    lock = Lock(
        request=request,
        build=_pins(definition),
        galaxies=tuple(galaxy.locked for galaxy in galaxies.values()),
        stars=stars,
        trust=world.locked_trust,
        downgraded=_downgraded(seen, stars, allow_downgrade),
    )
    _demand_not_exchanged(seen, lock, upgrade, definition.folder, world.reporter)
    judged = Judged(frozenset(wishes), request.arch, tuple(found.placed for found in resolved))
    data = lock_bytes(lock, definition.lock_file, judged)
    for warning in definition.warnings:
        world.reporter.warn(warning)
    manifests = [galaxies[found.star.galaxy].statement(found.star).statement.star for found in resolved]
    tell_unknown_keys(galaxies.values(), manifests, world.reporter)
    tell_shell_scripts(manifests, world.reporter, "cosmos build")
    return FrozenLock(lock=lock, data=data, changed=world.write_lock(definition, data))


def check(definition: Definition) -> Lock:
    """Return the image's lock if it still fits and is right. Opens no galaxy.

    Raises `NoSolution` if the lock does not answer its own wishes, and `Differs`, with each difference, if it no longer
    fits the image definition.
    """
    lock, _ = read_lock(definition)
    demand_right(lock, definition.lock_file)
    found = differences(lock, definition.image, definition.constellations, level_of(definition.outputs))
    if found:
        raise Differs(
            str(definition.lock_file),
            "no longer fits its image definition",
            differences=found,
            hint=f"cosmos freeze {definition.folder}",
        )
    return lock


def lock_bytes(lock: Lock, file: Path, judged: Judged) -> bytes:
    """Return the bytes of the file of `lock`. The same lock gives the same bytes; they are read back first.

    The lock that is read back is judged again, unless it is the lock that was `judged` when it was resolved.
    """
    data = _HEADER + plain_text(lock.to_toml()).encode()
    written = Lock.parse(data, str(file))
    assert written == lock, "what was written is what is read"
    demand_right_unless(judged, written, file)
    return data


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


def _opened(definition: Definition, world: World, roots: TrustRoots, old: Lock | None) -> dict[GalaxyName, OpenGalaxy]:
    """Return the image's galaxies in their order, each with its verified index."""
    seen = {(galaxy.name, galaxy.url): galaxy for galaxy in old.galaxies} if old is not None else {}
    opened: dict[GalaxyName, OpenGalaxy] = {}
    sources = {
        asked.name: world.source(asked.name, asked.url, definition.folder) for asked in definition.image.galaxies
    }
    demand_newest_trust(world, sources.values())
    world.reporter.step(f"open {counted(len(definition.image.galaxies), 'galaxy', 'galaxies')}")
    for place, asked in enumerate(definition.image.galaxies):
        world.reporter.progress(f"open {asked.name}", place, len(definition.image.galaxies))
        if asked.allow_unsigned:
            world.reporter.warn(f"galaxy {asked.name}: image.toml lets its stars be unsigned")
        with naming_address(str(definition.file), asked.name):
            opened[asked.name] = open_galaxy(
                asked, sources[asked.name], roots, seen.get((asked.name, asked.url)), world
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


def _downgraded(old: Lock | None, stars: Iterable[LockedStar], allowed: frozenset[StarName]) -> dict[StarName, str]:
    """Return the stars that moved to a lower version, each with its old version.

    Raises `Refused` for a star that is not in `allowed`.
    """
    was = {star.name: star.version for star in old.stars} if old is not None else {}
    went_before = old.downgraded if old is not None else {}
    down: dict[StarName, str] = {}
    for star in stars:
        before = was.get(star.name, star.version)
        if star.version == before and star.name in went_before:
            down[star.name] = went_before[star.name]
        elif star.version < before:
            if star.name not in allowed:
                raise Refused(
                    star.id,
                    f"the lock has {before}: this is a downgrade",
                    hint=f"if you want it: cosmos freeze IMAGE --allow-downgrade {star.name}",
                )
            down[star.name] = str(before)
    return down


def _demand_not_exchanged(old: Lock | None, new: Lock, upgrade: Upgrade, folder: Path, reporter: Reporter) -> None:
    """Refuse a star whose bytes changed under the same version: one version means one archive for ever.

    If `upgrade` names the star, the operator takes the galaxy's new archive, with a warning.
    """
    was = {(star.name, star.version, star.galaxy): star.archive for star in old.stars} if old is not None else {}
    for star in new.stars:
        archive = was.get((star.name, star.version, star.galaxy), star.archive)
        if archive == star.archive:
            continue
        problem = f"the lock pins {archive}, but galaxy {star.galaxy} now has {star.archive} under the same version"
        if upgrade != "all" and star.name not in upgrade:
            raise Refused(
                star.id,
                problem,
                hint=f"ask the galaxy's owner; to take the new archive: cosmos freeze {folder} --upgrade {star.name}",
            )
        reporter.warn(f"{star.id}: {problem}")
