"""Open the galaxies of a system's settings: read their newest index and verify it under the system's trust anchors.

Offline, no socket is made. A galaxy in a local folder is still read. A remote galaxy has the index of its last sync,
from the store; if it was never synced, it is left out and named. No memory says which index of an unsigned galaxy is
the newest, so the store keeps the one that was read last. A relative path starts at the folder of config.toml, and
stays inside the system's root. An absolute one is of this machine: `cosmos add-galaxy` wrote it.

This module compares each index with the system's memory. Every command that reads an index also remembers it
(`remember_opened`, `remember_shown`, `sync`), so that no later command takes an older one. An older index, or another
index with the same seq, stops the command. It is never only left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from cosmos.device.journal import at_work
from cosmos.device.memory import SystemTrust, remember, system_trust
from cosmos.device.network import system_network
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.errors import CosmosError, NoSolution, WorldFailed
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedStar
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.records import dataclass
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy, naming_address
from cosmos.staging.logs import Published
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.store.blobs import StoreFolder
from cosmos.transport.carrier import Carrier
from cosmos.transport.mirrors import Mirrors
from cosmos.transport.network import DIRECT, Network
from cosmos.transport.opening import open_carrier
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.memory import Memory, RolledBack, Seen
from cosmos.trust.roots import TrustRoots

_MAX_SHOWN: Final = 6  # versions in one warning: to be read


def _silent(_warning: str) -> None:
    """Warn nobody."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Addresses that a galaxy is read from once. `warn` is told of one that fails while another follows."""

    addresses: tuple[str, ...] = ()
    warn: Callable[[str], None] = _silent


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenGalaxies:
    """The open galaxies, the failures of the others, and the order of priority of all."""

    trust: SystemTrust
    store: StoreFolder
    order: tuple[GalaxyName, ...]
    galaxies: tuple[OpenGalaxy, ...]
    failures: Mapping[GalaxyName, CosmosError]

    @property
    def roots(self) -> TrustRoots:
        """The keys that this system's operator pinned."""
        return self.trust.roots

    @property
    def by_name(self) -> Mapping[GalaxyName, OpenGalaxy]:
        """The open galaxies by their names."""
        return {galaxy.name: galaxy for galaxy in self.galaxies}

    @property
    def indexes(self) -> tuple[VerifiedIndex, ...]:
        """The verified indexes of the open galaxies."""
        return tuple(galaxy.index for galaxy in self.galaxies)

    def galaxy(self, name: str) -> OpenGalaxy | None:
        """Return the open galaxy called `name`, or None."""
        return next((galaxy for galaxy in self.galaxies if galaxy.name == name), None)

    def published(self, star: LockedStar) -> Published:
        """Return a star that an open galaxy pinned, with this galaxy."""
        galaxy = self.galaxy(star.galaxy)
        assert galaxy is not None, "a star is pinned by an open galaxy"
        return galaxy.published(star)


def open_galaxies(root: LiveRoot, settings: Settings, network: Network = DIRECT, *, offline: bool) -> OpenGalaxies:
    """Open every galaxy of `settings`. If one does not open, the reason goes into `failures`.

    Raises an error for a damaged trust document, and `RolledBack` for a galaxy that was rolled back.
    """
    trust = system_trust(root)
    store = StoreFolder(root.below(settings.cache_dir))
    ours = system_network(root, settings, network)
    opened, failures = list[OpenGalaxy](), dict[GalaxyName, CosmosError]()
    for galaxy in settings.galaxies:
        try:
            with naming_address(shown(SETTINGS_PATH), galaxy.name):
                opened.append(open_galaxy(root, galaxy, store, trust, ours, offline=offline))
        except RolledBack:
            raise
        except CosmosError as error:
            failures[galaxy.name] = error
    order = tuple(galaxy.name for galaxy in settings.galaxies)
    return OpenGalaxies(trust=trust, store=store, order=order, galaxies=tuple(opened), failures=failures)


def remember_opened(root: LiveRoot, opened: OpenGalaxies) -> None:
    """Remember the newest index of every open galaxy, if this system has trust anchors."""
    opened.store.settle()
    if opened.trust.locked is not None:
        remember(root, lambda memory: _after(memory, opened.galaxies))


def remember_shown(root: LiveRoot, opened: OpenGalaxies) -> None:
    """Do what `remember_opened` does, for a command that changes nothing else: where it may not, it does not.

    An ordinary user may not write. Another cosmos that is at work remembers for itself. Raises `RolledBack`.
    """
    with suppress(WorldFailed), at_work(root):
        remember_opened(root, opened)


def open_galaxy(
    root: LiveRoot,
    asked: GalaxySource,
    store: StoreFolder,
    trust: SystemTrust,
    network: Network = DIRECT,
    *,
    offline: bool,
    origins: Origins | None = None,
) -> OpenGalaxy:
    """Return a galaxy with its newest index, verified and not older than the system's memory of it.

    `origins` are read once in place of the galaxy's own address, which stays what it is.
    Raises `Refused`, `WorldFailed`, or offline `NoSolution` for a remote galaxy that was never synced.
    """
    carrier = _carrier(root, asked, store, network, origins or Origins(), offline=offline)
    seen = None if trust.memory is None else trust.memory.seen_galaxy(asked.name, trust.roots)
    if offline and not carrier.is_local:
        source = Source(galaxy=asked.name, carrier=None, store=store)
        last = source.newest_unsigned() if seen is None and asked.allow_unsigned else None
        if last is not None:
            file = last
        elif seen is not None:
            file = source.kept_index(seen.number, seen.digest)
        else:
            hint = f"connect it and run once: cosmos sync {asked.name}{root.option}"
            raise NoSolution(asked.name, f"{carrier.address} is not reached offline", hint=hint)
    else:
        source = Source(galaxy=asked.name, carrier=carrier, store=store)
        file = source.newest_index()
    index = verified_index(file, source, trust.roots, allow_unsigned=asked.allow_unsigned)
    galaxy = OpenGalaxy(asked, source, index, trust.roots)
    galaxy.remembered(trust.memory or Memory())
    if index.signers:
        source.keep(file)
    else:
        source.keep_unsigned(file)
    return galaxy


def _carrier(
    root: LiveRoot, asked: GalaxySource, store: StoreFolder, network: Network, origins: Origins, *, offline: bool
) -> Carrier:
    """Return the carrier of the origins, or else of the galaxy's own address; offline, of the local origins alone."""
    here = root.below(SETTINGS_PATH.parent)
    carriers = [open_carrier(url, here, store.partial_dir, network) for url in origins.addresses or (asked.url,)]
    if offline:
        carriers = [carrier for carrier in carriers if carrier.is_local] or carriers
    return carriers[0] if len(carriers) == 1 else Mirrors(tuple(carriers), origins.warn)


def tell_gone(galaxy: OpenGalaxy, seen: Seen | None, reporter: Reporter) -> tuple[str, ...]:
    """Return the versions that the index `seen` before listed and that this one lists no more, and warn of them.

    It returns none if the store does not have that index.
    """
    if seen is None or seen.digest == galaxy.index.digest:
        return ()
    try:
        file = replace(galaxy.source, carrier=None).kept_index(seen.number, seen.digest)
        before = GalaxyIndex.parse(file.data, f"{galaxy.name}: {INDEX_FILE}")
    except CosmosError:
        return ()
    now = {(row.name, row.version) for row in galaxy.index.index.snapshot}
    rows = sorted({(row.name, row.version) for row in before.snapshot} - now)
    gone = tuple(f"{name} {version}" for name, version in rows)
    if gone:
        more = f" and {len(gone) - _MAX_SHOWN} more" if len(gone) > _MAX_SHOWN else ""
        reporter.warn(
            f"{galaxy.name}: seq {galaxy.index.index.seq} lists no more: {', '.join(gone[:_MAX_SHOWN])}{more}; "
            "ask the galaxy's owner whether they withdrew it, or somebody hides it"
        )
    return gone


def _after(memory: Memory, galaxies: Iterable[OpenGalaxy]) -> Memory:
    for galaxy in galaxies:
        memory = galaxy.remembered(memory)
    return memory
