"""`OpenGalaxy`: a verified index as the resolver's library. It fetches a star's statement only when it is needed.

The index is verified before the galaxy is opened. A star's statement is fetched and verified when the resolver first
asks for its facts. Then it is kept in the store, so that a later run finds it offline. A statement from the store is
verified again under the newest trust anchors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.model.facts import Facts
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedGalaxy, LockedStar
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate
from cosmos.staging.acquire import verified_statement
from cosmos.staging.ahead import manifest_files, statement_files
from cosmos.staging.logs import Published
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.staging.upstream import made_archives, upstream_listing, upstream_statement
from cosmos.transport.carrier import Expected
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import VerifiedStatement


@contextmanager
def naming_address(file: str, galaxy: GalaxyName) -> Iterator[None]:
    """Add to the hint of a galaxy that cannot be read where its address is written. Raises `WorldFailed`."""
    try:
        yield
    except WorldFailed as error:
        said = f"its address is galaxies.{galaxy} in {file}"
        error.hint = f"{said}; {error.hint}" if error.hint else said
        raise


def tell_unknown_keys(galaxies: Iterable[OpenGalaxy], stars: Iterable[Star], reporter: Reporter) -> None:
    """Warn of each key that this cosmos does not know, in the indexes of `galaxies` and in the manifests of `stars`."""
    for galaxy in galaxies:
        for key in galaxy.index.index.warnings:
            reporter.warn(f"galaxy {galaxy.name}: its index has the unknown key {key}")
    for star in stars:
        for key in star.warnings:
            reporter.warn(f"{star.name} {star.version}: its manifest has the unknown key {key}")


def tell_shell_scripts(stars: Iterable[Star], reporter: Reporter, verb: str) -> None:
    """Warn of each star that `verb` will refuse, because its install script is one for a shell, as its name says."""
    for star in stars:
        if star.has_shell_script:
            said = f"its {star.install_script.removeprefix('./')} is a shell script, and cosmos runs only Nova scripts"
            reporter.warn(f"{star.name} {star.version}: {verb} will refuse it: {said}")


class OpenGalaxy:
    """A galaxy whose index was verified: a `Library` of its stars. `asked` is how the operator named it."""

    def __init__(self, asked: GalaxySource, source: Source, index: VerifiedIndex, roots: TrustRoots) -> None:
        self.asked = asked
        self.index = index
        self.source = source
        self._roots = roots
        self._statements: dict[Candidate, VerifiedStatement] = {}
        self._facts: dict[Candidate, Facts] = {}

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
        """Return every version of `name` in the index that the operator's floor allows."""
        return tuple(self._rows.get(name, ()))

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name` according to the index; their statements decide whether they do."""
        return tuple(
            candidate for candidate in self._provided.get(name, ()) if candidate in self._rows.get(candidate.name, ())
        )

    def claims(self, name: StarName) -> bool:
        """Return whether the index lists a star of that name or one that provides it, also below the floor."""
        return name in self._named or name in self._provided

    def lists(self, name: StarName) -> bool:
        """Return whether the index itself says that `name` is claimed here, also below the floor. Nothing is read.

        An index of format 1 does not list what its stars provide.
        """
        return name in self._named or (self.index.index.format > 1 and name in self._provided)

    def listed_files(self) -> frozenset[Digest]:
        """Return the digests of all files that the index lists: archives, statements, and its catalogue.

        Upstream's index may list no archive: then those count that the store's statements name.
        """
        index = self.index.index
        catalogue = () if index.catalogue is None else (index.catalogue.digest,)
        if not index.snapshot:
            made = made_archives(self.source, index)
            return frozenset((*catalogue, *index.checksums.values(), *made.values()))
        rows = (digest for row in index.snapshot for digest in (row.statement, row.archive))
        return frozenset((*catalogue, *rows))

    def archives_to_fetch(self, held: Collection[Digest]) -> int:
        """Return how many archives of the index are not among the files `held`."""
        index = self.index.index
        if index.snapshot:
            return len({row.archive for row in index.snapshot}.difference(held))
        made = made_archives(self.source, index)
        return sum(made.get(name) not in held for name in index.newest)

    def facts(self, candidate: Candidate) -> Facts:
        """Return the facts in the candidate's verified statement."""
        facts = self._facts.get(candidate)
        if facts is None:
            facts = self._facts[candidate] = Facts.of(self.statement(candidate).statement.star)
        return facts

    def statement(self, candidate: Candidate) -> VerifiedStatement:
        """Return the candidate's statement, fetched and verified once; raises `Refused`."""
        verified = self._statements.get(candidate)
        if verified is None:
            verified = self._statements[candidate] = self._verified(candidate)
        return verified

    def statements_read(self) -> Mapping[str, Digest]:
        """Return the digest of each statement that was read, by the stem of its files; of an index of format 1, all."""
        every = self.index.index.snapshot if self.index.index.format == 1 else ()
        read = {self.stem(candidate): verified.digest for candidate, verified in self._statements.items()}
        return {**{row.stem: row.statement for row in every}, **read}

    def statement_files(self, candidate: Candidate) -> list[Expected]:
        """Return what is to be fetched for the candidate's statement, or for upstream's manifest."""
        row = self._rows[candidate.name][candidate]
        if candidate in self._statements:
            return []
        if row is None:
            return manifest_files(self.source, candidate.name)
        return statement_files(self.source, row.stem, row.statement)

    def stem(self, candidate: Candidate) -> str:
        """Return the name of the candidate's files in the galaxy, without their endings."""
        row = self._rows[candidate.name][candidate]
        return file_stem(candidate.name, str(candidate.version)) if row is None else row.stem

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
            facts=self.facts(star),
        )

    def published(self, star: LockedStar) -> Published:
        """Return `star`, which this galaxy pinned, for the judge of log proofs and badges."""
        row = self.index.rows.get(star.statement)
        stem = file_stem(star.name, str(star.version)) if row is None else row.stem
        return Published(star=star, source=self.source, stem=stem)

    def _verified(self, candidate: Candidate) -> VerifiedStatement:
        name, version = candidate.name, candidate.version
        row = self._rows[name][candidate]
        if row is None:
            file = upstream_statement(self.source, self.index.index, name, version)
        else:
            file = self.source.statement(row.stem, row.statement)
        file, verified = verified_statement(
            file,
            row,
            self.source,
            name=name,
            version=version,
            roots=self._roots,
            allow_unsigned=self.asked.allow_unsigned,
        )
        self.source.keep(file)
        return verified

    @cached_property
    def _rows(self) -> dict[StarName, dict[Candidate, Listed | None]]:
        """Every star that the floor allows, by name; None if upstream's index lists only the name."""
        index, floors = self.index.index, self._roots.floors.stars
        found: list[tuple[Candidate, Listed | None]] = [
            (self._candidate(row.name, row.version, row.arch or ANY_ARCH), row) for row in index.snapshot
        ]
        if not index.snapshot:
            listing = upstream_listing(self.source, index).items()
            found = [(self._candidate(name, version, ANY_ARCH), None) for name, version in listing]
        rows: dict[StarName, dict[Candidate, Listed | None]] = {}
        for candidate, row in found:
            if candidate.name not in floors or not candidate.version.is_below(floors[candidate.name]):
                rows.setdefault(candidate.name, {})[candidate] = row
        return rows

    @cached_property
    def _named(self) -> frozenset[StarName]:
        """Every name that the index lists, also below the floor."""
        return frozenset((*self.index.index.newest, *(row.name for row in self.index.index.snapshot)))

    @cached_property
    def _provided(self) -> dict[StarName, list[Candidate]]:
        """For each provided name, the stars that provide it according to the index, also below the floor.

        An index of format 1 does not list them: all its statements are read once. Upstream's stars provide nothing:
        their manifests lie beside their archives alone.
        """
        found: dict[StarName, list[Candidate]] = {}
        for row in self.index.index.snapshot:
            candidate = self._candidate(row.name, row.version, row.arch or ANY_ARCH)
            names = self._provides_of(row) if self.index.index.format == 1 else row.provides
            for name in names:
                found.setdefault(name, []).append(candidate)
        return found

    def _provides_of(self, row: Listed) -> Iterable[StarName]:
        """Return the names that a star of an index of format 1 provides, from its statement.

        The signed index names the statement's digest, and that is enough to say which names the galaxy answers for:
        the star itself is used only after its author's signature was verified. A statement that is missing or changed
        is an error. Otherwise somebody could take it away, and the next galaxy would answer for the name.
        """
        file = self.source.statement(row.stem, row.statement)
        self.source.keep(file)
        return Facts.of(Statement.parse(file.data, f"{self.name}: {file.path}").star).provides

    def _candidate(self, name: StarName, version: Version, arch: Arch) -> Candidate:
        return Candidate(name=name, version=version, galaxy=self.asked.name, arch=arch)
