"""Collect the facts about one star: as it is installed, and as each open galaxy has it."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.device.badges import star_badges
from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_shown
from cosmos.device.newer_trust import tell_newer
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import CosmosError, NoSolution
from cosmos.model.names import Arch, StarName
from cosmos.model.powers import Power
from cosmos.model.reporter import Reporter
from cosmos.model.universe import Installed
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.records import dataclass
from cosmos.resolve.catalogue import preferred
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.transport.network import DIRECT, Network
from cosmos.trust.badges import Badge
from cosmos.trust.stars import VerifiedStatement


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A star in a galaxy: its versions, newest first, and the verified statement of the newest.

    `refused` says why the newest statement is refused, if it is.
    """

    galaxy: str
    versions: tuple[Version, ...]
    newest: VerifiedStatement | None
    refused: str
    signers: Mapping[str, str]
    badges: tuple[Badge, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """The facts about one star. `powers`: what the system's policy allows it."""

    name: StarName
    installed: Installed | None
    needed_by: tuple[StarName, ...]
    offered: tuple[Offered, ...]
    powers: tuple[Power, ...]


def show(root: LiveRoot, name: StarName, reporter: Reporter, network: Network = DIRECT, *, offline: bool) -> Shown:
    """Return the facts about `name`; raises `NoSolution` if it is unknown. Warns of missing galaxies."""
    universe, settings = read_universe(root), read_settings(root)
    tell_newer(root, settings, reporter, network, offline=offline)
    opened = open_galaxies(root, settings, network, offline=offline)
    for failure in opened.failures.values():
        reporter.warn(str(failure))
    offered = tuple(
        _offered(galaxy, name, universe.arch, opened) for galaxy in opened.galaxies if galaxy.versions(name)
    )
    remember_shown(root, opened)
    installed = universe.installed.get(name)
    if installed is None and not offered:
        asked = ", ".join(galaxy.name for galaxy in opened.galaxies)
        where = f"galaxy {asked} does not list it" if asked else "no galaxy can be asked"
        listed = {*universe.installed, *(other for galaxy in opened.galaxies for other in galaxy.names())}
        near = nearest(name, sorted(map(str, listed)), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"cosmos list-galaxies{root.option}"
        raise NoSolution(name, f"is not installed, and {where}", hint=hint)
    needed_by = tuple(sorted(other for other, star in universe.installed.items() if name in star.dependencies))
    return Shown(name=name, installed=installed, needed_by=needed_by, offered=offered, powers=settings.powers.of(name))


def _offered(galaxy: OpenGalaxy, name: StarName, machine: Arch, opened: OpenGalaxies) -> Offered:
    rows = preferred(galaxy.versions(name), {})
    rows = [row for row in rows if row.arch.runs_on(machine)] or rows  # of another machine only if there is no other
    newest: VerifiedStatement | None = None
    badges: tuple[Badge, ...] = ()
    refused = ""
    try:
        newest = galaxy.statement(rows[0])
        if galaxy.index.index.snapshot:
            badges = star_badges(galaxy.source, galaxy.stem(rows[0]), newest.statement.archive, opened.roots)
    except CosmosError as error:
        refused = str(error)
    return Offered(
        galaxy=str(galaxy.name),
        versions=tuple(dict.fromkeys(row.version for row in rows)),
        newest=newest,
        refused=refused,
        signers={signer: opened.roots.name_of(signer) for signer in (newest.signers if newest else ())},
        badges=badges,
    )
