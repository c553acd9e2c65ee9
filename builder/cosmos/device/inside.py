"""Look into a star: its install script, and the files that it has laid on the system or would lay.

A script comes from the archive alone, which is verified first. If the star is installed, it is the archive that was
installed, and no other version. Files of an installed star are those that the universe records. Those of another star
follow from a rehearsal of its installation, in which its script runs on a virtual root.
"""

from __future__ import annotations

from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_shown
from cosmos.device.install import InstallRequest, rehearse
from cosmos.device.look import Look
from cosmos.device.newer_trust import tell_newer
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import NoSolution, Refused, ScriptFailed
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.universe import Installed
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Candidate, preferred
from cosmos.resolve.resolving import Wish
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.stage import opened
from cosmos.transport.network import DIRECT, Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """The install script of a star; None if it has none. `signers` is empty if nobody signed it."""

    name: StarName
    version: Version
    galaxy: str
    script: bytes | None
    signers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The entries of a star. `is_installed`: they were laid; otherwise they would be."""

    name: StarName
    version: Version
    is_installed: bool
    entries: tuple[InstalledEntry, ...]


def script_of(
    root: LiveRoot, name: StarName, reporter: Reporter, network: Network = DIRECT, *, offline: bool
) -> Script:
    """Return the script of `name` from its verified archive. Raises `NoSolution` if no galaxy here has it."""
    universe, settings = read_universe(root), read_settings(root)
    tell_newer(root, settings, reporter, network, offline=offline)
    found = open_galaxies(root, settings, network, offline=offline)
    for failure in found.failures.values():
        reporter.warn(str(failure))
    galaxy, row = _chosen(name, universe.installed.get(name), universe.arch, found, root.option)
    star = galaxy.pinned(row, (), ())
    archive = galaxy.source.archive(star, lambda _: None)
    remember_shown(root, found)
    contents = opened(archive, galaxy.statement(row).statement, galaxy.source.store.spool())
    return Script(
        name=name, version=star.version, galaxy=str(galaxy.name), script=contents.script, signers=star.signers
    )


def files_of(
    root: LiveRoot, name: StarName, reporter: Reporter, network: Network = DIRECT, *, offline: bool, epoch: int
) -> Files:
    """Return the entries that `name` has laid, or would lay. Raises all that an installation raises.

    Powers that the policy refuses do not matter here: nothing is laid.
    """
    installed = read_universe(root).installed.get(name)
    if installed is not None:
        entries = tuple(entry for entry in installed.entries if not entry.is_shared)
        return Files(name=name, version=installed.version, is_installed=True, entries=entries)
    wish = Wish(who="user", name=name, constraint=ANY_VERSION)
    seen = list[Look]()
    request = InstallRequest(wishes=[wish], offline=offline, epoch=epoch, network=network)
    try:
        rehearse(root, request, reporter, seen.append)
    except ScriptFailed:
        if not seen:  # the script itself failed; otherwise the policy refused what was staged
            raise
    one = next(one for look in seen for one in look.stars if one.star.name == name)
    return Files(name=name, version=one.star.version, is_installed=False, entries=one.entries)


def _chosen(
    name: StarName, installed: Installed | None, machine: Arch, found: OpenGalaxies, option: str
) -> tuple[OpenGalaxy, Candidate]:
    """Return where the installed version comes from; for another star, its newest version in the first galaxy."""
    galaxies = [galaxy for galaxy in found.galaxies if installed is None or galaxy.name == installed.galaxy]
    for galaxy in galaxies:
        rows = preferred(galaxy.versions(name), {})
        rows = [row for row in rows if row.arch.runs_on(machine)] or rows
        if installed is not None:
            rows = [row for row in rows if row.version == installed.version]
        if not rows:
            continue
        archive = galaxy.statement(rows[0]).statement.archive
        if installed is not None and archive != installed.archive:
            was = f"{installed.version} was installed from {installed.archive}"
            raise Refused(name, f"{was}, but galaxy {galaxy.name} has {archive}")
        return galaxy, rows[0]
    what = "no galaxy here has it" if installed is None else f"no galaxy here has the installed {installed.version}"
    raise NoSolution(name, what, hint=f"cosmos show {name}{option}")
