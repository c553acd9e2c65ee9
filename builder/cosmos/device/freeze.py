"""Lock what is installed: `/var/lib/cosmos/universe.lock.toml` from the universe and its galaxies.

The universe knows each star's version, galaxy and archive. Size, statement and signers come from the star's own
statement, read from its galaxy (or from what the system's store kept of it) and verified under the system's trust;
the galaxy must list the very archive that is installed. So the galaxies must be at hand. Whatever is not to be had is
named, all of it at once, and then nothing is written: a lock that leaves something out pins nothing.

What an image alone knows is taken as follows. The request is the stars that somebody asked for, each at exactly its
version. `source-date-epoch` is the newest time among the installed files: in a system made by `cosmos build` none is
newer than the image's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import tomli_w

from cosmos.device.choose import NO_IMAGE, build_pins
from cosmos.device.galaxies import Reach, reach
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.system import STATE_FOLDER, read_universe
from cosmos.digest import Digest
from cosmos.errors import CosmosError, NoSolution
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.lock import LOCK_FILE, NO_TRUST, Lock, LockedGalaxy, LockedStar, Request
from cosmos.model.names import ImageName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Constraint
from cosmos.resolve.library import Candidate
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.treepath import TreePath

LOCK_PATH: Final = STATE_FOLDER.joined(LOCK_FILE.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """A lock of what is installed, written at `path` unless it stood there already."""

    lock: Lock
    path: TreePath
    changed: bool


def freeze_system(root: LiveRoot, reporter: Reporter, *, offline: bool) -> Frozen:
    """Write the lock of what is installed; raises `NoSolution` naming every star that cannot be pinned."""
    universe = read_universe(root)
    reporter.step(f"pin {len(universe.installed)} stars")
    reached = reach(root, read_settings(root), offline=offline)
    lock = locked(universe, reached, epoch=_newest_time(root, universe))
    data = tomli_w.dumps(lock.to_toml()).encode()
    Lock.parse(data, shown(LOCK_PATH))  # what is written is what the strict reader takes
    changed = root.document(LOCK_PATH, max_bytes=MAX_DOCUMENT_BYTES) != data
    if changed:
        root.replace_document(LOCK_PATH, data)
    return Frozen(lock=lock, path=LOCK_PATH, changed=changed)


def locked(universe: Universe, reached: Reach, *, epoch: int) -> Lock:
    """Return the lock of `universe`; raises `NoSolution` naming every star that cannot be pinned, and why."""
    stars, problems = list[LockedStar](), list[str]()
    for name in in_dependency_order(universe.installed):
        try:
            stars.append(_locked_star(name, universe.installed[name], reached))
        except CosmosError as error:
            problems.append(str(error))
    if problems:
        why = "; ".join([*problems, *(str(failure) for failure in reached.failures.values())])
        count = "one star" if len(problems) == 1 else f"{len(problems)} stars"
        hint = "mount or reach their galaxies (cosmos list-galaxies), then run it again"
        raise NoSolution("", f"{count} cannot be pinned: {why}", hint=hint)
    used = {star.galaxy for star in stars}
    galaxies = tuple(galaxy.locked for galaxy in reached.galaxies if galaxy.name in used)
    return Lock(
        request=_request(universe, galaxies),
        build=build_pins(epoch),
        galaxies=galaxies,
        stars=tuple(stars),
        trust=reached.trust.locked or NO_TRUST,
    )


def in_dependency_order(installed: Mapping[StarName, Installed]) -> list[StarName]:
    """Return the names, each after what it depends on, otherwise in order of name; raises `NoSolution` for a circle."""
    ordered: dict[StarName, None] = {}
    for name in sorted(installed):
        _visit(name, installed, ordered, ())
    return list(ordered)


def _visit(
    name: StarName, installed: Mapping[StarName, Installed], ordered: dict[StarName, None], way: tuple[StarName, ...]
) -> None:
    if name in way:
        raise NoSolution(name, f"depends on itself: {' -> '.join((*way[way.index(name) :], name))}")
    if name in ordered:
        return
    if name not in installed:
        raise NoSolution(name, f"is not installed, but {way[-1]} depends on it", hint="cosmos verify")
    for needed in sorted(installed[name].dependencies):
        _visit(needed, installed, ordered, (*way, name))
    ordered[name] = None


def _locked_star(name: StarName, star: Installed, reached: Reach) -> LockedStar:
    if star.galaxy is None or star.archive is None:
        raise NoSolution(name, "its universe does not record where it came from")
    galaxy = reached.galaxy(star.galaxy)
    if galaxy is None:
        raise NoSolution(name, f"its galaxy {star.galaxy} cannot be reached")
    return galaxy.pinned(_same(name, star, galaxy), star.dependencies, star.wanted_by)


def _same(name: StarName, star: Installed, galaxy: OpenGalaxy) -> Candidate:
    row = next((row for row in galaxy.versions(name) if row.version == star.version), None)
    if row is None:
        raise NoSolution(name, f"galaxy {galaxy.name} has no version {star.version} any more")
    _demand_archive(name, star, galaxy.statement(row).statement.archive, galaxy)
    return row


def _demand_archive(name: StarName, star: Installed, archive: Digest, galaxy: OpenGalaxy) -> None:
    if archive != star.archive:
        raise NoSolution(
            name, f"{star.version} was installed from {star.archive}, but galaxy {galaxy.name} now has {archive}"
        )


def _request(universe: Universe, galaxies: Sequence[LockedGalaxy]) -> Request:
    return Request(
        image=ImageName(universe.image) if universe.image else NO_IMAGE,
        arch=universe.arch,
        stars={name: Constraint.parse(f"={star.version}") for name, star in _asked_for(universe)},
        constellations={},
        galaxies={galaxy.name: galaxy.url for galaxy in galaxies},
    )


def _asked_for(universe: Universe) -> Iterable[tuple[StarName, Installed]]:
    """The stars that are there for another reason than that a star depends on them."""
    return (
        (name, star)
        for name, star in sorted(universe.installed.items())
        if not star.wanted_by or any(reason not in universe.installed for reason in star.wanted_by)
    )


def _newest_time(root: LiveRoot, universe: Universe) -> int:
    found = (root.stat(path) for star in universe.installed.values() for path in star.files)
    return max((int(held.st_mtime) for held in found if held is not None), default=0)
