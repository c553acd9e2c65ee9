"""What is known of one star: as installed, and in each galaxy that can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cosmos.device.galaxies import Reach, reach
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import CosmosError, NoSolution, WorldFailed
from cosmos.model.names import Arch, StarName
from cosmos.model.powers import Power
from cosmos.model.reporter import Reporter
from cosmos.model.universe import Installed
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate, preferred
from cosmos.staging.beside import read_beside
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, Badge, judge_badges
from cosmos.trust.stars import VerifiedStatement


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A star in a galaxy: its versions, newest first, and the newest's verified statement; or why that is refused."""

    galaxy: str
    versions: tuple[Version, ...]
    newest: VerifiedStatement | None
    refused: str
    signers: Mapping[str, str]
    badges: tuple[Badge, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What is known of one star. `powers`: what the system's operator named it for."""

    name: StarName
    installed: Installed | None
    needed_by: tuple[StarName, ...]
    offered: tuple[Offered, ...]
    powers: tuple[Power, ...]


def show(root: LiveRoot, name: StarName, reporter: Reporter, *, offline: bool) -> Shown:
    """Return what is known of `name`; raises `NoSolution` where nobody knows it. Warns of absent galaxies."""
    universe, settings = read_universe(root), read_settings(root)
    reached = reach(root, settings, offline=offline)
    for failure in reached.failures.values():
        reporter.warn(str(failure))
    offered = tuple(
        _offered(galaxy, name, universe.arch, reached) for galaxy in reached.galaxies if galaxy.versions(name)
    )
    with suppress(WorldFailed):  # people may look who may not write here
        reached.store.settle()
    installed = universe.installed.get(name)
    if installed is None and not offered:
        asked = ", ".join(galaxy.name for galaxy in reached.galaxies)
        where = f"galaxy {asked} does not list it" if asked else "no galaxy can be asked"
        raise NoSolution(name, f"is not installed, and {where}", hint="cosmos list-galaxies")
    needed_by = tuple(sorted(other for other, star in universe.installed.items() if name in star.dependencies))
    return Shown(name=name, installed=installed, needed_by=needed_by, offered=offered, powers=settings.powers.of(name))


def _offered(galaxy: OpenGalaxy, name: StarName, machine: Arch, reached: Reach) -> Offered:
    rows = preferred(galaxy.versions(name), {})
    rows = [row for row in rows if row.arch.runs_on(machine)] or rows  # one for another machine, where that is all
    newest: VerifiedStatement | None = None
    badges: tuple[Badge, ...] = ()
    refused = ""
    try:
        newest = galaxy.statement(rows[0])
        badges = _badges(galaxy, rows[0], newest, reached)
    except CosmosError as error:
        refused = str(error)
    return Offered(
        galaxy=str(galaxy.name),
        versions=tuple(dict.fromkeys(row.version for row in rows)),
        newest=newest,
        refused=refused,
        signers={signer: reached.roots.name_of(signer) for signer in (newest.signers if newest else ())},
        badges=badges,
    )


def _badges(galaxy: OpenGalaxy, row: Candidate, newest: VerifiedStatement, reached: Reach) -> tuple[Badge, ...]:
    """Return what is said of the star's archive, each as it stands; an index of upstream's has none."""
    archive, stem = newest.statement.archive, galaxy.stem(row)
    data = read_beside(galaxy.source, stem, BADGES_SUFFIX, MAX_BADGES_BYTES)
    if data is None:
        return ()
    return judge_badges(data, digest=archive, roots=reached.roots, source=f"{galaxy.name}: {stem}{BADGES_SUFFIX}")
