"""The galaxies of a system's settings, opened: their newest index, verified under the system's own trust.

Offline means that no socket is made: a galaxy in a local folder is still read, a remote one is left out and named.
A path in the settings that is relative starts at the folder of config.toml.

KNOWN GAP: nothing remembers the highest seq that this system saw of a galaxy (its rollback memory): until something
does, a rolled-back index is refused only below the floor in trust.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH, Settings
from cosmos.device.system import TRUST_PATH, trust_bytes, trust_envelope
from cosmos.errors import CosmosError, NoSolution, Refused
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.library import Candidate, Facts, preferred
from cosmos.staging.source import Source
from cosmos.staging.upstream import upstream_listing, upstream_statement
from cosmos.store.blobs import Store
from cosmos.transport.opening import open_carrier
from cosmos.trust.galaxies import VerifiedIndex, verify_index
from cosmos.trust.roots import TrustRoots, verify_roots
from cosmos.trust.stars import VerifiedStatement, verify_statement

NOTHING_PINNED: Final = TrustRoots(version=0, roles={})


class OpenGalaxy:
    """A galaxy whose newest index was verified: the resolver's `Library` of its stars.

    A statement is read and verified when it is first asked for, and kept for a later run.
    """

    def __init__(self, asked: GalaxySource, source: Source, index: VerifiedIndex, roots: TrustRoots) -> None:
        self.source = source
        self.index = index
        self.locked = LockedGalaxy(
            name=asked.name,
            url=asked.url,
            version=index.index.version,
            seq=index.index.seq,
            index=index.digest,
            allow_unsigned=asked.allow_unsigned,
        )
        self._roots = roots
        self._statements: dict[Candidate, VerifiedStatement] = {}

    @property
    def name(self) -> GalaxyName:
        """The galaxy's name, here and in its index."""
        return self.locked.name

    def names(self) -> Iterable[StarName]:
        """Return every name that the index lists."""
        return sorted(self._rows)

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of `name` that the index lists and the operator's floor allows, newest first."""
        listed = sorted(self._rows.get(name, ()), reverse=True)
        return tuple(Candidate(name=name, version=version, galaxy=self.name) for version in listed)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars whose newest version provides `name`, and their other versions that do."""
        found: list[Candidate] = []
        for star in self.names():
            newest, *older = preferred(self.versions(star), {})
            with suppress(Refused):  # what is not signed by whom the operator trusts provides nothing
                if name in self.facts(newest).provides:
                    found += [newest, *(one for one in older if name in self.facts(one).provides)]
        return found

    def facts(self, candidate: Candidate) -> Facts:
        """Return what the candidate's verified statement says."""
        star = self.statement(candidate).statement.star
        return Facts(arch=star.arch, dependencies=star.dependencies, provides=star.provides, conflicts=star.conflicts)

    def statement(self, candidate: Candidate) -> VerifiedStatement:
        """Return the candidate's statement, verified; raises `Refused`."""
        if candidate not in self._statements:
            self._statements[candidate] = self._verified(candidate.name, candidate.version)
        return self._statements[candidate]

    def _verified(self, name: StarName, version: Version) -> VerifiedStatement:
        row = self._rows[name][version]
        if row is None:
            file = upstream_statement(self.source, self.index.index, name, version)
        else:
            file = self.source.statement(name, version, row.statement)
        verified = verify_statement(
            file.data,
            file.envelope,
            galaxy=self.name,
            name=name,
            version=version,
            roots=self._roots,
            allow_unsigned=self.locked.allow_unsigned,
            source=f"{self.name}: {file.path}",
        )
        said = verified.statement.archive
        if row is not None and said != row.archive:
            raise Refused(f"{self.name}: {file.path}", f"the index lists the archive {row.archive}, but it says {said}")
        self.source.keep(file)
        return verified

    @cached_property
    def _rows(self) -> Mapping[StarName, Mapping[Version, Listed | None]]:
        """Every version by name; None where upstream's index lists no more than the name."""
        index, rows = self.index.index, dict[StarName, dict[Version, Listed | None]]()
        for row in index.snapshot:
            rows.setdefault(row.name, {})[row.version] = row
        if not index.snapshot:
            rows = {name: {version: None} for name, version in upstream_listing(self.source, index).items()}
        floors = self._roots.floors.stars
        allowed = {
            name: {version: row for version, row in versions.items() if name not in floors or version >= floors[name]}
            for name, versions in rows.items()
        }
        return {name: versions for name, versions in allowed.items() if versions}


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
    index = verify_index(
        file.data,
        file.envelope,
        galaxy=galaxy.name,
        roots=roots,
        allow_unsigned=galaxy.allow_unsigned,
        source=f"{galaxy.name}: {file.path}",
    )
    source.keep(file)
    return OpenGalaxy(galaxy, source, index, roots)
