"""Lock the installed stars: make `/var/lib/cosmos/universe.lock.toml` from the universe and its galaxies.

The universe knows each star's version, galaxy and archive. Size, statement and signers come from the star's own
statement. It is read from its galaxy (or from the system's store) and verified under the system's trust anchors. The
galaxy must list exactly the installed archive. So the galaxies must be mounted or reachable. If something is missing,
`freeze` names all of it at once and writes nothing, because a lock that leaves something out pins nothing.

Two values come from the image definition in other locks. Here the request is the stars that somebody asked for, each
at exactly its version. `source-date-epoch` is the newest time among the installed files: in a system made by
`cosmos build`, no file is newer than the image's `source-date-epoch`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cosmos.device.choose import NO_IMAGE, build_pins
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened
from cosmos.device.journal import at_work, changing_command, standing_of_journal
from cosmos.device.newer_trust import take_newer
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.system import STATE_FOLDER, demand_system, read_universe
from cosmos.device.vouching import as_writer, system_judge
from cosmos.digest import Digest
from cosmos.errors import CosmosError, NoSolution, WorldFailed, quoted
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.constraint import exactly
from cosmos.model.installed_entry import newest_recorded
from cosmos.model.journal import change_words
from cosmos.model.lock import LOCK_FILE, NO_TRUST, Lock, LockedGalaxy, LockedStar, Request
from cosmos.model.names import ImageName, StarName, star_behind
from cosmos.model.reporter import Reporter, counted
from cosmos.model.universe import Installed, Universe
from cosmos.plain_toml import plain_text
from cosmos.records import dataclass
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.resolve.catalogue import Candidate
from cosmos.resolve.locked import demand_right, in_lock_order, wishes_of
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.store.interface import settling
from cosmos.transport.network import DIRECT, Network
from cosmos.treepath import TreePath

_BIN: Final = TreePath(b"bin")
LOCK_PATH: Final = STATE_FOLDER.joined(LOCK_FILE.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """The lock of the installed stars in the file `path`. `changed` is false if the file had these bytes before."""

    lock: Lock
    data: bytes
    path: TreePath
    changed: bool


def freeze_system(root: LiveRoot, reporter: Reporter, network: Network = DIRECT, *, offline: bool) -> Frozen:
    """Write the lock of the installed stars.

    Raises `NoSolution` that names every star that cannot be pinned, or that conflicts with others, `Refused` for a star
    without the log entry or the badges that the policy demands, and `WorldFailed` if a change is going on or was
    cut off.
    """
    demand_system(root)
    with at_work(root):
        if standing_of_journal(root) != "idle":
            hint = f"finish or undo it first: cosmos install --root {quoted(root.path)}"
            raise WorldFailed(str(root.path), f"{change_words(changing_command(root))} was cut off", hint=hint)
        return _frozen(root, reporter, network, offline=offline)


def has_merged_usr(root: LiveRoot) -> bool:
    """Return whether /bin of the system is a link, so that /usr has what stars install there."""
    return stat.S_ISLNK(held.st_mode) if (held := root.stat(_BIN)) is not None else False


def _frozen(root: LiveRoot, reporter: Reporter, network: Network, *, offline: bool) -> Frozen:
    universe, settings = read_universe(root), read_settings(root)
    take_newer(root, settings, settings.galaxies, reporter, network, offline=offline)
    reporter.step(f"pin {counted(len(universe.installed), 'star')}")
    opened = open_galaxies(root, settings, network, offline=offline)
    remember_opened(root, opened)
    with settling(opened.store):
        lock = locked(universe, opened, epoch=_newest_time(root, universe), option=root.option)
        judge = system_judge(settings, opened.trust, as_writer(root), reporter, option=root.option)
        judge.demand(opened.published(star) for star in lock.stars)
    data = plain_text(lock.to_toml()).encode()
    demand_right(Lock.parse(data, shown(LOCK_PATH)), Path(shown(LOCK_PATH)))  # a reader must accept it
    changed = root.document(LOCK_PATH, max_bytes=MAX_LOCK_BYTES) != data
    if changed:
        root.replace_document(LOCK_PATH, data)
    return Frozen(lock=lock, data=data, path=LOCK_PATH, changed=changed)


def locked(universe: Universe, opened: OpenGalaxies, *, epoch: int, option: str = "") -> Lock:
    """Return the lock of `universe`; raises `NoSolution` that names every star that cannot be pinned, and why.

    `option` is the option that names the system in the commands of a hint.
    """
    stars, problems, away = list[LockedStar](), list[CosmosError](), dict[str, list[StarName]]()
    for name, star in sorted(universe.installed.items()):
        if star.galaxy is not None and opened.galaxy(star.galaxy) is None:
            away.setdefault(star.galaxy, []).append(name)
            continue
        try:
            stars.append(_locked_star(name, star, opened))
        except CosmosError as error:
            problems.append(error)
    if problems or away:
        raise _not_pinned(problems, away, opened, option)
    used = {star.galaxy for star in stars}
    galaxies = tuple(galaxy.locked for galaxy in opened.galaxies if galaxy.name in used)
    request = _request(universe, _asked_for(universe, stars), galaxies)
    return Lock(
        request=request,
        build=build_pins(epoch),
        galaxies=galaxies,
        stars=in_lock_order(wishes_of(request), stars),
        trust=opened.trust.locked or NO_TRUST,
    )


def _not_pinned(
    problems: Sequence[CosmosError], away: Mapping[str, Sequence[StarName]], opened: OpenGalaxies, option: str
) -> NoSolution:
    """Return the error that names every star with its own problem, and each missing galaxy once."""
    said = [_absence(galaxy, names, opened) for galaxy, names in sorted(away.items())]
    if problems:
        said.append(f"{_counted(len(problems))} cannot be pinned: {'; '.join(map(str, problems))}")
    unknown = next((galaxy for galaxy in sorted(away) if galaxy not in opened.order), None)
    hint = f"mount or connect the galaxies, then run it again; to list them: cosmos list-galaxies{option}"
    if unknown is not None:
        hint = f"cosmos add-galaxy {quoted(unknown)} URL{option} (a lock needs the statements of its stars)"
    elif not any(isinstance(failure, WorldFailed) for failure in opened.failures.values()):  # every galaxy is there
        ways_out = (problem.hint for problem in (*problems, *opened.failures.values()) if problem.hint)
        hint = next(ways_out, f"to see what its galaxy has now: cosmos show STAR{option}")
    return NoSolution("", "; ".join(said), hint=hint)


def _absence(galaxy: str, names: Sequence[StarName], opened: OpenGalaxies) -> str:
    failure = next((failure for name, failure in opened.failures.items() if name == galaxy), None)
    why = "not configured here" if failure is None else f"not available: {failure}"
    come = "comes" if len(names) == 1 else "come"
    return f"{_counted(len(names))} {come} from galaxy {galaxy}, which is {why}"


def _counted(stars: int) -> str:
    return "one star" if stars == 1 else f"{stars} stars"


def _locked_star(name: StarName, star: Installed, opened: OpenGalaxies) -> LockedStar:
    if star.galaxy is None or star.archive is None:
        raise NoSolution(name, "the universe does not record its galaxy")
    galaxy = opened.galaxy(star.galaxy)
    assert galaxy is not None, "the stars of absent galaxies were sorted out before"
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


def _request(universe: Universe, asked: Iterable[StarName], galaxies: Sequence[LockedGalaxy]) -> Request:
    return Request(
        image=ImageName(universe.image) if universe.image else NO_IMAGE,
        arch=universe.arch,
        stars={name: exactly(universe.installed[name].version) for name in sorted(asked)},
        constellations={},
        galaxies={galaxy.name: galaxy.url for galaxy in galaxies},
    )


def _asked_for(universe: Universe, stars: Sequence[LockedStar]) -> set[StarName]:
    """Return the stars that somebody asked for, and those that no other star needs."""
    installed = universe.installed
    asked = {
        name
        for name, star in installed.items()
        if not star.wanted_by or any(star_behind(who) not in installed for who in star.wanted_by)
    }
    needs = {star.name: star.dependencies for star in in_lock_order((), stars)}
    return asked | (installed.keys() - all_dependencies(asked, needs))


def _newest_time(root: LiveRoot, universe: Universe) -> int:
    """Return the newest time among the installed files: as recorded, else as it is now."""
    newest = 0
    for star in universe.installed.values():
        recorded = newest_recorded(star.entries) if len(star.entries) or not len(star.files) else None
        if recorded is None:
            found = (root.stat(path) for path in star.files)
            recorded = max((int(held.st_mtime) for held in found if held is not None), default=0)
        newest = max(newest, recorded)
    return newest
