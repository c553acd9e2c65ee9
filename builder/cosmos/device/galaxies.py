"""The galaxies of a system's settings, opened: their newest index, verified under the system's own trust.

Offline means that no socket is made: a galaxy in a local folder is still read, a remote one is left out and named.
A path in the settings that is relative starts at the folder of config.toml.

KNOWN GAP: nothing remembers the highest seq that this system saw of a galaxy (its rollback memory): until something
does, a rolled-back index is refused only below the floor in trust.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH, Settings
from cosmos.device.system import TRUST_PATH, trust_bytes, trust_envelope
from cosmos.errors import CosmosError, NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import Source
from cosmos.store.blobs import Store
from cosmos.transport.opening import open_carrier
from cosmos.trust.roots import TrustRoots, verify_roots

NOTHING_PINNED: Final = TrustRoots(version=0, roles={})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What a command can reach: the galaxies that opened, why the others did not, and the order of all of them."""

    roots: TrustRoots
    store: Store
    order: tuple[GalaxyName, ...]
    galaxies: tuple[OpenGalaxy, ...]
    failures: Mapping[GalaxyName, CosmosError]

    def galaxy(self, name: str) -> OpenGalaxy | None:
        """Return the open galaxy called `name`, or None."""
        return next((galaxy for galaxy in self.galaxies if galaxy.name == name), None)


def reach(root: LiveRoot, settings: Settings, *, offline: bool) -> Reach:
    """Open every galaxy of `settings`; why one does not open is in `failures`. Raises for a damaged trust document."""
    roots = system_roots(root)
    store = Store(root.host_path(settings.cache_dir))
    opened, failures = list[OpenGalaxy](), dict[GalaxyName, CosmosError]()
    for galaxy in settings.galaxies:
        try:
            opened.append(_opened(root, galaxy, store, roots, offline=offline))
        except CosmosError as error:
            failures[galaxy.name] = error
    order = tuple(galaxy.name for galaxy in settings.galaxies)
    return Reach(roots=roots, store=store, order=order, galaxies=tuple(opened), failures=failures)


def system_roots(root: LiveRoot) -> TrustRoots:
    """Return the keys that this system's operator pinned; none where no trust was ever accepted."""
    data = trust_bytes(root)
    return NOTHING_PINNED if data is None else verify_roots(data, trust_envelope(root), shown(TRUST_PATH))


def _opened(root: LiveRoot, galaxy: GalaxySource, store: Store, roots: TrustRoots, *, offline: bool) -> OpenGalaxy:
    base = root.host_path(SETTINGS_PATH.parent)
    carrier = open_carrier(galaxy.url, base, store.partial_dir)
    if offline and not carrier.is_local:
        raise NoSolution(galaxy.name, f"{carrier.address} is not reached offline", hint="run it without --offline")
    source = Source(galaxy=galaxy.name, carrier=carrier, store=store)
    file = source.newest_index()
    index = verified_index(file, source, roots, allow_unsigned=galaxy.allow_unsigned)
    source.keep(file)
    return OpenGalaxy(galaxy, source, index, roots)
