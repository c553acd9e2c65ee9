"""`cosmos freeze`: pin each star of an image in `universe.lock.toml`.

resolved (image.resolution) -> compared with the old lock -> the new lock, written durably
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cosmos.errors import Differs, Refused, quoted
from cosmos.image.definition import Definition, read_lock
from cosmos.image.outputs.formats import level_of
from cosmos.image.resolution import Upgrade, resolution
from cosmos.image.world import World
from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.plain_toml import plain_text
from cosmos.records import dataclass
from cosmos.resolve.locked import Judged, demand_right, demand_right_unless
from cosmos.resolve.stale import differences
from cosmos.staging.galaxies import OpenGalaxy, tell_shell_scripts, tell_unknown_keys

_HEADER = b"""\
# Every star of this image, pinned. Written by `cosmos freeze`; not to be edited by hand.
# `cosmos freeze --check` says whether it still fits image.toml; `cosmos freeze --upgrade [STAR]` moves stars.

"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedLock:
    """A lock that is ready to be written, and its bytes. `before` is the old lock; None if the image had no lock.

    `galaxies` are those that it was resolved against.
    """

    lock: Lock
    data: bytes
    before: Lock | None
    galaxies: Mapping[GalaxyName, OpenGalaxy]

    def written(self, *, changed: bool) -> FrozenLock:
        """Return the lock that was written."""
        return FrozenLock(lock=self.lock, before=self.before, data=self.data, changed=changed, galaxies=self.galaxies)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenLock:
    """A lock as it was written, and the one `before` it, if any. `changed` is false if the bytes were the same."""

    lock: Lock
    before: Lock | None
    data: bytes
    changed: bool
    galaxies: Mapping[GalaxyName, OpenGalaxy]


def freeze(
    definition: Definition,
    world: World,
    *,
    upgrade: Upgrade = frozenset(),
    allow_downgrade: frozenset[StarName] = frozenset(),
    as_of: str | None = None,
) -> FrozenLock:
    """Write the lock of `definition`; raises what `prepare` raises, and then the old lock stays."""
    world.store.sweep()
    prepared = prepare(definition, world, upgrade=upgrade, allow_downgrade=allow_downgrade, as_of=as_of)
    changed = world.write_lock(definition, prepared.data)
    return prepared.written(changed=changed)


def prepare(
    definition: Definition,
    world: World,
    *,
    upgrade: Upgrade = frozenset(),
    allow_downgrade: frozenset[StarName] = frozenset(),
    as_of: str | None = None,
) -> PreparedLock:
    """Return the lock of `definition`. Each star of the old lock stays, unless `upgrade` names it. Nothing is written.

    A star moves to a lower version only if `allow_downgrade` names it. The lock then says so (TRUST.md section 5).

    Raises what `image.resolution.resolution` raises, and `Refused` for a star that went down or changed its bytes.
    """
    found = resolution(definition, world, upgrade, as_of)
    lock = replace(found.lock, downgraded=_downgraded(found.seen, found.lock.stars, allow_downgrade))
    _demand_not_exchanged(found.seen, lock, upgrade, definition.folder, world.reporter)
    data = lock_bytes(lock, definition.lock_file, found.judged)
    for warning in definition.warnings:
        world.reporter.warn(warning)
    manifests = found.manifests
    tell_unknown_keys(found.galaxies.values(), manifests, world.reporter)
    tell_shell_scripts(manifests, world.reporter, "cosmos build")
    return PreparedLock(lock=lock, data=data, before=found.seen, galaxies=found.galaxies)


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
            hint=f"cosmos freeze {quoted(definition.folder)}",
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


def _downgraded(old: Lock | None, stars: Iterable[LockedStar], allowed: frozenset[StarName]) -> dict[StarName, str]:
    """Return the stars that moved to a lower version, each with its old version.

    Raises `Refused` if one of them is not in `allowed`; its hint allows all of them.
    """
    was = {star.name: star.version for star in old.stars} if old is not None else {}
    went_before = old.downgraded if old is not None else {}
    down: dict[StarName, str] = {}
    refused: list[LockedStar] = []
    for star in stars:
        before = was.get(star.name, star.version)
        if star.version == before and star.name in went_before:
            down[star.name] = went_before[star.name]
        elif star.version < before:
            down[star.name] = str(before)
            refused += [] if star.name in allowed else [star]
    if refused:
        first, options = refused[0], " ".join(f"--allow-downgrade {star.name}" for star in refused)
        problem = f"the lock has {was[first.name]}: this is a downgrade"
        raise Refused(first.id, problem, hint=f"if you want it: cosmos freeze IMAGE {options}")
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
                hint="ask the galaxy's owner; to take the new archive: "
                f"cosmos freeze {quoted(folder)} --upgrade {star.name}",
            )
        reporter.warn(f"{star.id}: {problem}")
