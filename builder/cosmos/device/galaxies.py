"""The galaxies of a system's settings, opened: their newest index, verified under the system's own trust.

Offline means that no socket is made: a galaxy in a local folder is still read, a remote one is left out and named.
A path in the settings that is relative starts at the folder of config.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH, Settings
from cosmos.device.system import TRUST_PATH, trust_bytes, trust_envelope
from cosmos.errors import CosmosError, Malformed, NoSolution
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy
from cosmos.model.names import GalaxyName, StarName
from cosmos.staging.source import Source
from cosmos.store.blobs import Store
from cosmos.transport.opening import open_carrier
from cosmos.trust.galaxies import VerifiedIndex, verify_index
from cosmos.trust.roots import TrustRoots, verify_roots
from cosmos.trust.stars import VerifiedStatement, verify_statement

NOTHING_PINNED: Final = TrustRoots(version=0, roles={})


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenGalaxy:
    """A galaxy whose newest index was verified; `locked` is that snapshot."""

    source: Source
    locked: LockedGalaxy
    index: VerifiedIndex

    @property
    def name(self) -> GalaxyName:
        """The galaxy's name, here and in its index."""
        return self.locked.name

    def versions(self, name: StarName) -> tuple[Listed, ...]:
        """Return what the index lists of `name`, newest first."""
        rows = (row for row in self.index.index.snapshot if row.name == name)
        return tuple(sorted(rows, key=lambda row: row.version, reverse=True))

    def statement(self, row: Listed, roots: TrustRoots) -> VerifiedStatement:
        """Return the statement that the index lists as `row`, verified; it is kept for a later run offline."""
        file = self.source.statement(row.name, row.version, row.statement)
        verified = verify_statement(
            file.data,
            file.envelope,
            galaxy=self.name,
            name=row.name,
            version=row.version,
            roots=roots,
            allow_unsigned=self.locked.allow_unsigned,
            source=f"{self.name}: {file.path}",
        )
        self.source.keep(file)
        return verified


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What a command can reach: the galaxies that opened, and why the others did not."""

    roots: TrustRoots
    store: Store
    galaxies: tuple[OpenGalaxy, ...]
    failures: tuple[CosmosError, ...]

    def galaxy(self, name: str) -> OpenGalaxy | None:
        """Return the open galaxy called `name`, or None."""
        return next((galaxy for galaxy in self.galaxies if galaxy.name == name), None)


def reach(root: LiveRoot, settings: Settings, *, offline: bool) -> Reach:
    """Open every galaxy of `settings`; why one does not open is in `failures`. Raises for a damaged trust document."""
    roots = system_roots(root)
    store = Store(root.host_path(settings.cache_dir))
    opened, failures = list[OpenGalaxy](), list[CosmosError]()
    for galaxy in settings.galaxies:
        try:
            opened.append(_opened(root, galaxy, store, roots, offline=offline))
        except CosmosError as error:
            failures.append(error)
    return Reach(roots=roots, store=store, galaxies=tuple(opened), failures=tuple(failures))


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
    index = verify_index(
        file.data,
        file.envelope,
        galaxy=galaxy.name,
        roots=roots,
        allow_unsigned=galaxy.allow_unsigned,
        source=f"{galaxy.name}: {file.path}",
    )
    if index.index.newest and not index.index.snapshot:
        raise Malformed(
            f"{galaxy.name}: {file.path}",
            "lists no statements: it was made by another program",
            hint=f"stellar index-galaxy {carrier.address}",
        )
    source.keep(file)
    locked = LockedGalaxy(
        name=galaxy.name,
        url=galaxy.url,
        version=index.index.version,
        seq=index.index.seq,
        index=index.digest,
        allow_unsigned=galaxy.allow_unsigned,
    )
    return OpenGalaxy(source=source, locked=locked, index=index)
