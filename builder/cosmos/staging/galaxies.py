"""A galaxy opened: its verified index as the resolver's library, statements fetched only where something is asked.

The index is verified before the galaxy is opened. A star's statement is fetched and verified when its facts are first
asked for; what was verified is kept in the store, so that a later run finds it offline. A statement from the
store is verified again under the roots of today.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cached_property

from cosmos.errors import Refused
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy, LockedStar
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate, Facts, facts_of, preferred
from cosmos.staging.acquire import with_newest_signatures
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.staging.upstream import upstream_listing, upstream_statement
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import VerifiedStatement, verify_statement


class OpenGalaxy:
    """A galaxy whose index was verified: a `Library` of its stars. `asked` is how the operator named it."""

    def __init__(self, asked: GalaxySource, source: Source, index: VerifiedIndex, roots: TrustRoots) -> None:
        self.asked = asked
        self.index = index
        self.source = source
        self._roots = roots
        self._statements: dict[Candidate, VerifiedStatement] = {}

    @property
    def name(self) -> GalaxyName:
        """The galaxy's name, here and in its index."""
        return self.asked.name

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
        """Return the memory after the galaxy showed this index as its newest; raises `RolledBack`."""
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
        """Return the stars that provide `name`, as the index says and their verified statements confirm.

        An index of before says nothing of it. Then every star's newest statement is read, once, for a name that no
        star has; for a name that a star has, that star alone answers.
        """
        told = self._told.get(name, ())
        if name not in self._rows and not any(one == preferred(self.versions(one.name), {})[0] for one in told):
            told = ()  # a galaxy answers for a name only as long as the newest version of a star provides it
        if not told and name not in self._rows:
            told = [one for star in self._read.get(name, ()) for one in self.versions(star)]
        return tuple(one for one in told if name in self._provided_by(one))

    def _provided_by(self, candidate: Candidate) -> Collection[StarName]:
        with suppress(Refused):  # what is not signed by whom we trust provides nothing
            return self.facts(candidate).provides.keys()
        return ()

    @cached_property
    def _told(self) -> dict[StarName, list[Candidate]]:
        told: dict[StarName, list[Candidate]] = {}
        for star in sorted(self._rows):
            for candidate in self.versions(star):
                row = self._rows[star][candidate.version]
                for name in row.provides if row is not None else ():
                    told.setdefault(name, []).append(candidate)
        return told

    @cached_property
    def _read(self) -> dict[StarName, list[StarName]]:
        """The stars whose newest statement says that they provide a name."""
        read: dict[StarName, list[StarName]] = {}
        for star in sorted(self._rows):
            newest = preferred(self.versions(star), {})[0]
            for name in self._provided_by(newest):
                read.setdefault(name, []).append(star)
        return read

    def facts(self, candidate: Candidate) -> Facts:
        """Return what the candidate's verified statement says."""
        star = self.statement(candidate).statement.star
        return facts_of(star)

    def statement(self, candidate: Candidate) -> VerifiedStatement:
        """Return the candidate's statement, fetched and verified once; raises `Refused`."""
        if candidate not in self._statements:
            self._statements[candidate] = self._verified(candidate.name, candidate.version)
        return self._statements[candidate]

    def pinned(self, star: Candidate, dependencies: tuple[StarName, ...], wanted_by: tuple[str, ...]) -> LockedStar:
        """Return `star` as a lock pins it, from its verified statement."""
        verified = self.statement(star)
        said = verified.statement
        return LockedStar(
            name=star.name,
            version=star.version,
            arch=said.star.arch,
            type=said.star.type,
            galaxy=self.name,
            file=said.file,
            archive=said.archive,
            size_bytes=said.size_bytes,
            unpacked_bytes=said.unpacked_bytes,
            statement=verified.digest,
            script=said.script,
            signers=verified.signers,
            dependencies=dependencies,
            wanted_by=wanted_by,
        )

    def _verified(self, name: StarName, version: Version) -> VerifiedStatement:
        row = self._rows[name][version]
        if row is None:
            file = upstream_statement(self.source, self.index.index, name, version)
        else:
            file = self.source.statement(name, version, row.statement)
        file, verified = with_newest_signatures(
            file,
            self.source,
            lambda file: verify_statement(
                file.data,
                file.envelope,
                galaxy=self.asked.name,
                name=name,
                version=version,
                roots=self._roots,
                allow_unsigned=self.asked.allow_unsigned,
                source=f"{self.asked.name}: {file.path}",
            ),
        )
        if row is not None and verified.statement.archive != row.archive:
            raise Refused(
                f"{self.asked.name}: {file.path}",
                f"the index lists the archive {row.archive}, but the statement says {verified.statement.archive}",
            )
        self.source.keep(file)
        return verified

    @cached_property
    def _rows(self) -> dict[StarName, dict[Version, Listed | None]]:
        """Every version, by name; None where upstream's index lists no more than the name."""
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
