"""The galaxies of an image as the resolver's library: signed, verified, and fetched only where something is asked.

The index is verified when a galaxy is opened. A star's statement is fetched and verified when the resolver first asks
for its facts; what was verified is kept in the store, so that a later build finds it offline. A statement from the
store is verified again under the roots of today.

**Offline** the snapshot is the one that the old lock names, from the store. **Otherwise** it is the galaxy's newest,
which must not lie before the one that the old lock has seen: a galaxy that was rolled back is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property

from cosmos.errors import Refused
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LOCK_FILE, LockedGalaxy
from cosmos.model.names import StarName
from cosmos.model.version import Version
from cosmos.resolve.library import Candidate, Facts, preferred
from cosmos.staging.acquire import acquire_index
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.staging.upstream import upstream_listing, upstream_statement
from cosmos.trust.galaxies import VerifiedIndex, verify_index
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import VerifiedStatement, verify_statement


class OpenGalaxy:
    """One galaxy of the image: a `Library` of its stars."""

    def __init__(self, asked: GalaxySource, source: Source, index: VerifiedIndex, roots: TrustRoots) -> None:
        self.asked = asked
        self.index = index
        self._source = source
        self._roots = roots
        self._statements: dict[Candidate, VerifiedStatement] = {}

    @property
    def locked(self) -> LockedGalaxy:
        """The snapshot, as a lock pins it."""
        index = self.index.index
        return LockedGalaxy(
            name=self.asked.name,
            url=self.asked.url,
            version=index.version,
            seq=index.seq,
            index=self.index.digest,
            allow_unsigned=self.asked.allow_unsigned,
        )

    def remembered(self, memory: Memory) -> Memory:
        """Return the memory after this index was shown as the newest; raises `RolledBack`."""
        return memory.with_index(self.index, self._roots, f"{self.asked.name}: {INDEX_FILE}")

    def names(self) -> Iterable[StarName]:
        """Return every name that the index lists."""
        return self._rows.keys()

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of `name` that the index lists and that the operator's floor allows."""
        return tuple(
            Candidate(name=name, version=version, galaxy=self.asked.name) for version in self._rows.get(name, ())
        )

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars whose newest version provides `name`, and their other versions that do.

        Every star's newest statement is read for this: it is asked only of names that nobody lists.
        """
        found: list[Candidate] = []
        for star in sorted(self._rows):
            newest, *older = preferred(self.versions(star), {})
            with suppress(Refused):  # what is not signed by whom we trust provides nothing
                if name in self.facts(newest).provides:
                    found += [newest, *(one for one in older if name in self.facts(one).provides)]
        return found

    def facts(self, candidate: Candidate) -> Facts:
        """Return what the candidate's verified statement says."""
        star = self.statement(candidate).statement.star
        return Facts(arch=star.arch, dependencies=star.dependencies, provides=star.provides, conflicts=star.conflicts)

    def statement(self, candidate: Candidate) -> VerifiedStatement:
        """Return the candidate's statement, fetched and verified once; raises `Refused`."""
        if candidate not in self._statements:
            self._statements[candidate] = self._verified(candidate.name, candidate.version)
        return self._statements[candidate]

    def _verified(self, name: StarName, version: Version) -> VerifiedStatement:
        row = self._rows[name][version]
        if row is None:
            file = upstream_statement(self._source, self.index.index, name, version)
        else:
            file = self._source.statement(name, version, row.statement)
        verified = verify_statement(
            file.data,
            file.envelope,
            galaxy=self.asked.name,
            name=name,
            version=version,
            roots=self._roots,
            allow_unsigned=self.asked.allow_unsigned,
            source=f"{self.asked.name}: {file.path}",
        )
        if row is not None and verified.statement.archive != row.archive:
            raise Refused(
                f"{self.asked.name}: {file.path}",
                f"the index lists the archive {row.archive}, but the statement says {verified.statement.archive}",
            )
        self._source.keep(file)
        return verified

    @cached_property
    def _rows(self) -> dict[StarName, dict[Version, Listed | None]]:
        """Every version, by name; None where upstream's index lists no more than the name."""
        index, rows = self.index.index, dict[StarName, dict[Version, Listed | None]]()
        for row in index.snapshot:
            rows.setdefault(row.name, {})[row.version] = row
        if not index.snapshot:
            rows = {name: {version: None} for name, version in upstream_listing(self._source, index).items()}
        floors = self._roots.floors.stars
        allowed = {
            name: {version: row for version, row in versions.items() if name not in floors or version >= floors[name]}
            for name, versions in rows.items()
        }
        return {name: versions for name, versions in allowed.items() if versions}


def open_galaxy(asked: GalaxySource, source: Source, roots: TrustRoots, seen: LockedGalaxy | None) -> OpenGalaxy:
    """Return the galaxy with its verified index; `seen` is the snapshot that the old lock has of it.

    Raises `Refused`, `WorldFailed`, or `Malformed` for an index that is none.
    """
    if source.carrier is None and seen is not None:
        return OpenGalaxy(asked, source, acquire_index(seen, source, roots), roots)
    file = source.newest_index()
    index = verify_index(
        file.data,
        file.envelope,
        galaxy=asked.name,
        roots=roots,
        allow_unsigned=asked.allow_unsigned,
        source=f"{asked.name}: {file.path}",
    )
    if seen is not None:
        _demand_not_before(index, seen, file.path)
    source.keep(file)
    return OpenGalaxy(asked, source, index, roots)


def _demand_not_before(index: VerifiedIndex, seen: LockedGalaxy, path: str) -> None:
    """Refuse an index that lies before what the old lock has seen, or that tells the same number another way."""
    now = index.index.seq
    if now > seen.seq or index.digest == seen.index or now == seen.seq == 0:
        return
    problem = "was rolled back" if now < seen.seq else "was forked"
    raise Refused(
        f"{seen.name}: {path}",
        f"{problem}: the lock has seen seq {seen.seq} ({seen.index}), but it now shows seq {now} ({index.digest})",
        hint=f"ask its owner; if you made the galaxy anew yourself, remove {LOCK_FILE} and freeze again",
    )
