"""The galaxies of a system's settings, opened: their newest index, verified under the system's own trust.

Offline means that no socket is made: a galaxy in a local folder is still read, a remote one is left out and named.
A path in the settings that is relative starts at the folder of config.toml.
Offline, a remote galaxy is as it was when it was last synced: its index lies in the store.

What this system has seen of a galaxy before is judged here and kept by `remember_reached` and by `sync`: an index that
is older, or another with the same seq, stops the command. It is never merely left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cosmos.device.memory import SystemTrust, remember, system_trust
from cosmos.device.root import LiveRoot
from cosmos.device.settings import SETTINGS_PATH
from cosmos.errors import CosmosError, NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.settings import Settings
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import Source
from cosmos.store.blobs import StoreFolder
from cosmos.transport.opening import open_carrier
from cosmos.trust.memory import Memory, RolledBack
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What a command can reach: the galaxies that opened, why the others did not, and the order of all of them."""

    trust: SystemTrust
    store: StoreFolder
    order: tuple[GalaxyName, ...]
    galaxies: tuple[OpenGalaxy, ...]
    failures: Mapping[GalaxyName, CosmosError]

    @property
    def roots(self) -> TrustRoots:
        """The keys that this system's operator pinned."""
        return self.trust.roots

    def galaxy(self, name: str) -> OpenGalaxy | None:
        """Return the open galaxy called `name`, or None."""
        return next((galaxy for galaxy in self.galaxies if galaxy.name == name), None)


def reach(root: LiveRoot, settings: Settings, *, offline: bool) -> Reach:
    """Open every galaxy of `settings`; why one does not open is in `failures`.

    Raises for a damaged trust document, and `RolledBack` for a galaxy that shows less than it did before.
    """
    trust = system_trust(root)
    store = StoreFolder(root.host_path(settings.cache_dir))
    opened, failures = list[OpenGalaxy](), dict[GalaxyName, CosmosError]()
    for galaxy in settings.galaxies:
        try:
            opened.append(open_galaxy(root, galaxy, store, trust, offline=offline))
        except RolledBack:
            raise
        except CosmosError as error:
            failures[galaxy.name] = error
    order = tuple(galaxy.name for galaxy in settings.galaxies)
    return Reach(trust=trust, store=store, order=order, galaxies=tuple(opened), failures=failures)


def remember_reached(root: LiveRoot, reached: Reach) -> None:
    """Remember the newest index of every galaxy that opened, where this system has trust anchors at all."""
    reached.store.settle()
    if reached.trust.locked is not None:
        remember(root, lambda memory: _after(memory, reached.galaxies))


def open_galaxy(
    root: LiveRoot, asked: GalaxySource, store: StoreFolder, trust: SystemTrust, *, offline: bool
) -> OpenGalaxy:
    """Return a galaxy with its newest index, verified and not older than what was seen of it.

    Raises `Refused`, `WorldFailed`, or offline `NoSolution` for a remote galaxy that was never synced.
    """
    carrier = open_carrier(asked.url, root.host_path(SETTINGS_PATH.parent), store.partial_dir)
    seen = None if trust.memory is None else trust.memory.seen_galaxy(asked.name, trust.roots)
    if offline and not carrier.is_local:
        if seen is None:
            hint = "cosmos sync, once, where it can be reached"
            raise NoSolution(asked.name, f"{carrier.address} is not reached offline", hint=hint)
        source = Source(galaxy=asked.name, carrier=None, store=store)
        file = source.kept_index(seen.number, seen.digest)
    else:
        source = Source(galaxy=asked.name, carrier=carrier, store=store)
        file = source.newest_index()
    index = verified_index(file, source, trust.roots, allow_unsigned=asked.allow_unsigned)
    galaxy = OpenGalaxy(asked, source, index, trust.roots)
    galaxy.remembered(trust.memory or Memory())
    source.keep(file)
    return galaxy


def _after(memory: Memory, galaxies: Iterable[OpenGalaxy]) -> Memory:
    for galaxy in galaxies:
        memory = galaxy.remembered(memory)
    return memory
