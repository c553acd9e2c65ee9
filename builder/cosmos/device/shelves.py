"""What was signed for the installed stars, as far as this system can read it: statements and archives.

The universe's record proves nothing, because the system wrote it itself. So the statement of a star is looked for where
it was published: in the system's store, in a galaxy in a folder, and in the folders that the caller names (a stick). An
index that was verified says which statement belongs to the installed archive; where none lists it, the statement that
the record names counts, because its own signature is judged all the same. Offline, nothing is written, and no socket is
made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.device.memory import SystemTrust
from cosmos.device.root import LiveRoot
from cosmos.device.settings import SETTINGS_PATH
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, Refused, WorldFailed
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.model.facts import Facts
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import LockedStar
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.release import RELEASE_FILE
from cosmos.model.settings import Settings
from cosmos.model.universe import Installed
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.staging.acquire import verified_index
from cosmos.staging.logs import Published
from cosmos.staging.source import INDEX_FILE, SignedFile, Source, not_stored
from cosmos.staging.vouching import VouchingJudge
from cosmos.store.blobs import StoreFolder
from cosmos.transport.local import LocalCarrier
from cosmos.transport.network import Network
from cosmos.transport.opening import local_galaxy, open_carrier
from cosmos.trust.archives import VerifiedArchive, verify_archive
from cosmos.trust.dsse import NotSigned, RevokedSigner
from cosmos.trust.galaxies import VerifiedIndex
from cosmos.trust.stars import VerifiedStatement, verify_statement

_NONE: Final[Mapping[Digest, GalaxyIndex]] = {}
_Rows: TypeAlias = dict[tuple[StarName, Digest | None], list[Listed]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedStar:
    """An installed star with its statement, which counts now, and the places that may have its archive."""

    star: LockedStar
    statement: VerifiedStatement
    stem: str
    sources: tuple[Source, ...]

    def archive(self) -> VerifiedArchive:
        """Return the first archive that has the signed digest. Raises the first refusal, or `WorldFailed`."""
        errors = list[CosmosError]()
        for source in self.sources:
            try:
                if source.carrier is None:
                    if source.store.has(self.star.archive, self.star.size_bytes):
                        data = source.store.unchecked(self.star.archive, self.star.size_bytes)
                        return verify_archive(data, self.star)
                else:
                    return _fetched(source, self.star)
            except CosmosError as error:
                errors.append(error)
        errors.sort(key=lambda error: not isinstance(error, Refused))
        raise errors[0] if errors else not_stored(self.star.id)

    def spool(self) -> Spool:
        """Return a spool for the archive's contents."""
        return self.sources[0].store.spool()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The statement of an installed star that counts now, with the name of its files; and a refusal, as in `Found`."""

    verified: VerifiedStatement | None = None
    stem: str = ""
    refused: Refused | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The signed star, or None, and the refusal of a statement that counts no more."""

    signed: SignedStar | None = None
    refused: Refused | None = None


class Shelves:
    """The shelf of each galaxy of a system."""

    def __init__(
        self,
        root: LiveRoot,
        settings: Settings,
        store: StoreFolder,
        trust: SystemTrust,
        sticks: Sequence[Source] = (),
        network: Network | None = None,
        known: Iterable[VerifiedIndex] = (),
    ) -> None:
        """`network`: how servers are reached; None: no socket is made. `known` need not be read a second time."""
        self._asked = {galaxy.name: galaxy for galaxy in settings.galaxies}
        self._root, self._store, self._trust, self._network = root, store, trust, network
        self._sticks = sticks
        self._known = {index.digest: index.index for index in known}
        self._shelves: dict[GalaxyName, Shelf] = {}

    @property
    def galaxies(self) -> tuple[GalaxyName, ...]:
        """The galaxies of the settings, and then those of the sticks alone."""
        return tuple(dict.fromkeys((*self._asked, *(source.galaxy for source in self._sticks))))

    def shelf(self, name: str) -> Shelf:
        """Return the shelf of the galaxy called `name`, which may be empty."""
        galaxy = GalaxyName(name)
        if galaxy not in self._shelves:
            asked = self._asked.get(galaxy, GalaxySource(name=galaxy, url="", allow_unsigned=False))
            sticks = [source for source in self._sticks if source.galaxy == galaxy]
            self._shelves[galaxy] = Shelf(
                self._root, asked, self._store, self._trust, sticks, self._network, self._known
            )
        return self._shelves[galaxy]

    def judge(self, name: StarName, star: Installed) -> Judged:
        """Return the statement of an installed star, if it counts now: all that a judge of signatures needs."""
        if star.galaxy is None or star.archive is None:
            return Judged()
        return self.shelf(star.galaxy).judge(name, star)

    def find(self, name: StarName, star: Installed) -> Found:
        """Return what was signed for an installed star."""
        return Found() if star.galaxy is None or star.archive is None else self.shelf(star.galaxy).find(name, star)


class Shelf:
    """The statements and archives of one galaxy that can be read here."""

    def __init__(
        self,
        root: LiveRoot,
        asked: GalaxySource,
        store: StoreFolder,
        trust: SystemTrust,
        sticks: Iterable[Source] = (),
        network: Network | None = None,
        known: Mapping[Digest, GalaxyIndex] = _NONE,
    ) -> None:
        self._asked = asked
        self._known = known
        self._trust = trust
        self._kept = Source(galaxy=asked.name, carrier=None, store=store)
        self._sticks = tuple(sticks)
        self._own = tuple[Source, ...]()
        if asked.url:
            with suppress(CosmosError):
                here = root.below(SETTINGS_PATH.parent)
                local = local_galaxy(asked.url, here)
                if local is not None:
                    self._own = (replace(self._kept, carrier=local),)
                elif network is not None:
                    carrier = open_carrier(asked.url, here, store.partial_dir, network)
                    self._own = (replace(self._kept, carrier=carrier),)

    @property
    def _others(self) -> tuple[Source, ...]:
        return (*self._sticks, *self._own)

    @property
    def _sources(self) -> tuple[Source, ...]:
        return (self._kept, *self._others)

    def demand_vouched(self, star: LockedStar, stem: str, judge: VouchingJudge) -> None:
        """Raise what `judge` raises for a star without the log proof or the badges that the system's policy demands.

        The galaxy itself is asked, and its refusal stands. If it cannot be reached, the proofs count that this system
        kept, and then those on the sticks.
        """
        errors = list[CosmosError]()
        for source in (*self._own, self._kept, *self._sticks):
            item = Published(star=star, source=source, stem=stem)
            try:
                judge.demand_logged(item)
                judge.demand_badges(item)
            except WorldFailed as error:
                errors.append(error)
            except Refused as error:
                errors.append(error)
                if source in self._own and _is_there(source):
                    break
            else:
                return
        errors.sort(key=lambda error: not isinstance(error, Refused))
        raise errors[0]

    def find(self, name: StarName, star: Installed) -> Found:
        """Return what was signed for the installed star, as `judge` says."""
        one = self.judge(name, star)
        signed = None if one.verified is None else self.signed(one.verified, one.stem, star.dependencies)
        return Found(signed=signed, refused=one.refused)

    def judge(self, name: StarName, star: Installed) -> Judged:
        """Return the statement of the installed star that counts now.

        A statement that is missing or damaged says nothing, and so does a strange signature in a local galaxy: whoever
        can write there could have put it there.
        """
        floor = self._trust.roots.floors.stars.get(name)
        if floor is not None and star.version.is_below(floor):
            return Judged(refused=Refused(name, f"lies below the floor of {floor} that trust.toml sets"))
        refused: Refused | None = None
        for stem, digest in self._named(name, star):
            for source in self._sources:
                try:
                    file = source.statement(stem, digest)
                    verified = self._verified(file, name, star.version)
                except NotSigned as error:  # it may have been signed again since it was kept
                    is_ours = source is self._kept or isinstance(error, RevokedSigner)
                    refused = refused or (error if is_ours else None)
                    continue
                except CosmosError:
                    continue
                if source.carrier is not None and not source.carrier.is_local:
                    source.keep(file)
                if verified.statement.archive == star.archive:
                    return Judged(verified=verified, stem=stem, refused=refused)
        return Judged(refused=refused)

    def otherwise(self, name: StarName, star: Installed) -> Digest | None:
        """Return the archive that was signed as this version of the star, if a verified index lists only another."""
        found = [
            row.archive
            for (listed, _), rows in {**self._kept_rows, **self._other_rows}.items()
            for row in rows
            if listed == name and row.version == star.version and row.arch in (None, star.arch)
        ]
        return None if not found or star.archive in found else found[0]

    def listed(self) -> list[Listed]:
        """Return every row of the verified indexes at hand."""
        every = (row for rows in (self._kept_rows, self._other_rows) for held in rows.values() for row in held)
        return list({row.statement: row for row in every}.values())

    def of_row(self, row: Listed) -> SignedStar | None:
        """Return the star of a row with its statement, which counts now; None if no place here has it."""
        for source in self._sources:
            with suppress(CosmosError):
                verified = self._verified(source.statement(row.stem, row.statement), row.name, row.version)
                return self.signed(verified, row.stem, ())
        return None

    def signed(self, verified: VerifiedStatement, stem: str, dependencies: tuple[StarName, ...]) -> SignedStar:
        """Return the star of a verified statement, as a lock pins it."""
        said = verified.statement
        star = LockedStar(
            name=said.star.name,
            version=said.star.version,
            arch=said.star.arch,
            type=said.star.type,
            galaxy=self._asked.name,
            file=said.file,
            archive=said.archive,
            size_bytes=said.size_bytes,
            unpacked_bytes=said.unpacked_bytes,
            statement=verified.digest,
            script=said.script,
            signers=verified.signers,
            dependencies=dependencies,
            wanted_by=(),
            facts=Facts.of(said.star),
        )
        return SignedStar(star=star, statement=verified, stem=stem, sources=self._sources)

    def _named(self, name: StarName, star: Installed) -> list[tuple[str, Digest]]:
        """Return the statements that may be the star's, each as the name of its files and its digest."""
        wanted = (name, star.archive)
        rows = self._kept_rows.get(wanted) or self._other_rows.get(wanted, [])
        if rows:
            return [(row.stem, row.statement) for row in rows]
        if star.published is None:
            return []
        return [(file_stem(name, str(star.version)), star.published.statement)]

    def _verified(self, file: SignedFile, name: StarName, version: Version) -> VerifiedStatement:
        return verify_statement(
            file.data,
            file.envelope,
            galaxy=self._asked.name,
            name=name,
            version=version,
            roots=self._trust.roots,
            allow_unsigned=self._asked.allow_unsigned,
            source=f"{name}-{version}",
        )

    @cached_property
    def _kept_rows(self) -> _Rows:
        """The rows of the index that this system remembers, from its store. It was verified then."""
        seen = None if self._trust.memory is None else self._trust.memory.galaxies.get(self._asked.name)
        if seen is None:
            return {}
        if seen.digest in self._known:
            return _by_archive(self._known[seen.digest])
        try:
            file = self._kept.kept_index(seen.number, seen.digest)
            return _by_archive(GalaxyIndex.parse(file.data, f"{self._asked.name}: {INDEX_FILE}"))
        except CosmosError:
            return {}

    @cached_property
    def _other_rows(self) -> _Rows:
        """The rows of the indexes of local galaxies and sticks, as far as they are verified."""
        found: _Rows = {}
        for source in self._others:
            with suppress(CosmosError):
                now, unsigned = source.newest_index(), self._asked.allow_unsigned
                index = verified_index(now, source, self._trust.roots, allow_unsigned=unsigned).index
                for key, rows in _by_archive(index).items():
                    found.setdefault(key, []).extend(rows)
        return found


def _fetched(source: Source, star: LockedStar) -> VerifiedArchive:
    """Return the archive from a galaxy; one that came over the network stays in the store."""
    archive = source.archive(star, lambda _done: None)
    if source.carrier is None or source.carrier.is_local:
        return archive
    source.store.put_hashed(star.archive, archive.data)
    return source.stored_archive(star)


def _is_there(source: Source) -> bool:
    """Return whether the galaxy can be read now: a folder may be the mount point of a stick that is away."""
    try:
        source.newest_index()
    except WorldFailed:
        return False
    return True


def galaxies_on(folders: Sequence[Path], store: StoreFolder) -> tuple[Source, ...]:
    """Return the galaxies in these folders, such as those of a stick. Nothing is verified yet.

    Raises `Malformed` if there are folders, but no galaxy.
    """
    found = [source for folder in folders if (source := _galaxy_in(folder, store)) is not None]
    if folders and not found:
        problem = f"holds no galaxy and no release: neither it nor a folder in it has a {INDEX_FILE} or {RELEASE_FILE}"
        raise Malformed(str(folders[0]), problem)
    return tuple(found)


def _galaxy_in(folder: Path, store: StoreFolder) -> Source | None:
    carrier = LocalCarrier(folder)
    try:
        data = carrier.read(INDEX_FILE, max_bytes=MAX_INDEX_BYTES)
        name = GalaxyIndex.parse(data, str(folder / INDEX_FILE)).name
    except CosmosError:
        return None
    return Source(galaxy=name, carrier=carrier, store=store)


def _by_archive(index: GalaxyIndex) -> _Rows:
    rows: _Rows = {}
    for row in index.snapshot:
        rows.setdefault((row.name, row.archive), []).append(row)
    return rows
