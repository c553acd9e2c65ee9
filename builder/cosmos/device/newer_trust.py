"""Meet the newer versions of trust.toml that a system's galaxies carry, before an index is judged by the old one.

A command that writes to the system takes them (`settings.newer_trust` is `take`, the default), or it stops (`stop`).
A command that only shows something warns. Only versions that the accepted root keys have signed count, one step after
the other, as for `cosmos trust update`. They are taken from one galaxy: the first that carries the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from cosmos.device.memory import SystemState, SystemTrust, system_anchor, system_trust
from cosmos.device.network import system_network
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.device.system import TRUST_PATH
from cosmos.errors import CosmosError, Refused, quoted
from cosmos.keyring.catching_up import catch_up
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter
from cosmos.model.settings import Settings
from cosmos.records import dataclass
from cosmos.staging.carried_trust import Carried, carried_by_galaxy, chain_of_galaxy
from cosmos.store.blobs import StoreFolder
from cosmos.transport.carrier import Carrier
from cosmos.transport.network import DIRECT, Network
from cosmos.transport.opening import open_carrier


@dataclass(frozen=True, kw_only=True, slots=True)
class NewerTrust:
    """Versions of trust.toml that follow the accepted one, and the galaxy that carries them."""

    galaxy: GalaxyName
    carrier: Carrier
    carried: Carried

    @property
    def version(self) -> int:
        """The newest of them."""
        assert self.carried.newest is not None, "a galaxy without news is not listed"
        return self.carried.newest.version


def take_newer(
    root: LiveRoot,
    settings: Settings,
    galaxies: Iterable[GalaxySource],
    reporter: Reporter,
    network: Network = DIRECT,
    *,
    offline: bool,
) -> None:
    """Take the newest version that `galaxies` carry, or raise `Refused` if the operator wants to take it by hand.

    The caller is the only writer of the system.
    """
    trust = system_trust(root)
    found = _newest(root, settings, galaxies, trust, reporter, network, offline=offline)
    if found is None:
        return
    news = found.carried.news(trust.roots)
    if settings.newer_trust == "stop":
        raise Refused(
            shown(TRUST_PATH),
            f"is version {trust.roots.version}, and galaxy {found.galaxy} carries {news}",
            hint=f"cosmos trust update {quoted(found.carrier.address)}{root.option}",
        )
    done = catch_up(system_anchor(root), chain_of_galaxy(found.carrier), SystemState(root))
    versions = ", ".join(map(str, done.taken))
    reporter.note(f"galaxy {found.galaxy} carries {news}; taken: {versions}")


def tell_newer(
    root: LiveRoot, settings: Settings, reporter: Reporter, network: Network = DIRECT, *, offline: bool
) -> None:
    """Warn of the newest version that the galaxies carry. For commands that change nothing."""
    trust = system_trust(root)
    found = _newest(root, settings, settings.galaxies, trust, reporter, network, offline=offline)
    if found is not None:
        reporter.warn(
            f"{shown(TRUST_PATH)} is version {trust.roots.version}, and galaxy {found.galaxy} carries "
            f"{found.carried.news(trust.roots)}; take it with: cosmos sync{root.option}"
        )


def newest_at_hand(root: LiveRoot, settings: Settings, trust: SystemTrust) -> NewerTrust | None:
    """Return the newest version that a galaxy in a folder carries, without a socket; None if there is no newer one."""
    found = [
        one for one, _ in _asked(root, settings, settings.galaxies, trust, DIRECT, offline=True) if one.carried.newest
    ]
    return max(found, key=lambda one: one.version, default=None)


def _newest(
    root: LiveRoot,
    settings: Settings,
    galaxies: Iterable[GalaxySource],
    trust: SystemTrust,
    reporter: Reporter,
    network: Network,
    *,
    offline: bool,
) -> NewerTrust | None:
    newest: NewerTrust | None = None
    for one, problem in _asked(root, settings, galaxies, trust, network, offline=offline):
        if problem:
            reporter.warn(f"galaxy {one.galaxy} carries a trust.toml that your keys do not accept: {problem}")
        if one.carried.newest is not None and (newest is None or one.version > newest.version):
            newest = one
    return newest


def _asked(
    root: LiveRoot,
    settings: Settings,
    galaxies: Iterable[GalaxySource],
    trust: SystemTrust,
    network: Network,
    *,
    offline: bool,
) -> Iterator[tuple[NewerTrust, str]]:
    if trust.locked is None or trust.locked.digest is None:
        return
    partial = StoreFolder(root.below(settings.cache_dir)).partial_dir
    ours = system_network(root, settings, network)
    for asked in galaxies:
        with suppress(CosmosError):  # a galaxy that does not open is named by the command itself
            carrier = open_carrier(asked.url, root.below(SETTINGS_PATH.parent), partial, ours)
            if carrier.is_local or not offline:
                carried = carried_by_galaxy(carrier, trust.roots, trust.locked.digest)
                yield NewerTrust(galaxy=asked.name, carrier=carrier, carried=carried), carried.problem
