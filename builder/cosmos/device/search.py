"""`cosmos search`: find stars of a system's galaxies by words (`staging.searching`).

A galaxy that cannot be reached is left out with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened
from cosmos.device.journal import at_work
from cosmos.device.newer_trust import tell_newer
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.staging.described import keep_catalogue
from cosmos.staging.searching import Searched, searched
from cosmos.transport.network import DIRECT, Network


def search(
    root: LiveRoot, words: Sequence[str], reporter: Reporter, network: Network = DIRECT, *, offline: bool
) -> Searched:
    """Return the stars that have every one of `words`. Warns of galaxies that are left out.

    Raises `NoSolution` if the system has no galaxy, `WorldFailed` if none can be reached, `Refused` for a galaxy that
    was changed.
    """
    universe, settings = read_universe(root), read_settings(root)
    if not settings.galaxies:
        raise NoSolution("search", "this system has no galaxy", hint=f"cosmos add-galaxy NAME URL{root.option}")
    tell_newer(root, settings, reporter, network, offline=offline)
    opened = open_galaxies(root, settings, network, offline=offline)
    left_out = _left_out(opened, root, reporter, offline=offline)
    installed = {name: star.version for name, star in universe.installed.items()}
    found = searched(opened.galaxies, words, machine=universe.arch, had=installed, left_out=left_out, reporter=reporter)
    _keep(root, opened, found.catalogues)
    return found


def _left_out(opened: OpenGalaxies, root: LiveRoot, reporter: Reporter, *, offline: bool) -> Mapping[GalaxyName, str]:
    """Return why galaxies cannot be reached, and warn of them. Raises the reason if it is another, or if all are so."""
    for failure in opened.failures.values():
        if not isinstance(failure, WorldFailed | NoSolution) or not opened.galaxies:
            raise failure
        reporter.warn(f"{failure}; its stars are left out")
    if opened.failures and not offline:
        reporter.note(f"to search what the last sync kept of it: cosmos search --offline{root.option} WORD")
    return {name: str(failure) for name, failure in opened.failures.items()}


def _keep(root: LiveRoot, opened: OpenGalaxies, catalogues: Mapping[GalaxyName, bytes]) -> None:
    """Remember the indexes, and keep what was fetched, if this user may write and no other cosmos is at work."""
    with suppress(WorldFailed), at_work(root):
        remember_opened(root, opened)
        for galaxy in opened.galaxies:
            if galaxy.source.carrier is not None and not galaxy.source.carrier.is_local:
                keep_catalogue(galaxy, catalogues.get(galaxy.name))
