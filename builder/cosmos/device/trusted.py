"""Judge the installed stars by the keys that are trusted now: a key may have been revoked since the installation.

The universe's record proves nothing, because the system wrote it itself. So the judge reads what the author signed: the
star's statement, from the system's store or from a galaxy in a folder. An index that was verified says which statement
belongs to the installed archive. No socket is made, and nothing is written.

A star whose statement is neither in the store nor in a local galaxy is not judged, and is named. A star that upstream
recorded without its galaxy, and a star of an unsigned galaxy, has no signature that could be judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeAlias

from cosmos.device.memory import SystemTrust, system_trust
from cosmos.device.root import LiveRoot
from cosmos.device.settings import SETTINGS_PATH, read_settings
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Refused
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.staging.acquire import verified_index
from cosmos.staging.source import INDEX_FILE, SignedFile, Source
from cosmos.store.blobs import StoreFolder
from cosmos.transport.opening import local_galaxy
from cosmos.trust.dsse import NotSigned, RevokedSigner
from cosmos.trust.stars import verify_statement

_Rows: TypeAlias = dict[tuple[StarName, Digest | None], list[Listed]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Untrusted:
    """An installed star that is not trusted now, with the reason."""

    name: StarName
    version: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}: is not trusted now: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledTrust:
    """The installed stars that are not trusted now, and those that cannot be judged.

    `renewed` are stars whose kept signature counts no more, but whose statement a trusted key has signed since.
    `problem` says why no star was judged, if the trust anchors could not be read.
    """

    untrusted: tuple[Untrusted, ...] = ()
    renewed: tuple[Untrusted, ...] = ()
    unjudged: tuple[StarName, ...] = ()
    problem: str = ""


NOT_ASKED: Final = InstalledTrust()


def judge_installed(root: LiveRoot, universe: Universe) -> InstalledTrust:
    """Return how the installed stars stand under the system's trust anchors. Without anchors, no star is judged."""
    try:
        trust = system_trust(root)
        settings = read_settings(root)
        if trust.locked is None:
            return NOT_ASKED
        store = StoreFolder(root.below(settings.cache_dir))
    except CosmosError as error:
        return InstalledTrust(problem=str(error))
    asked = {galaxy.name: galaxy for galaxy in settings.galaxies}
    untrusted, renewed, unjudged = list[Untrusted](), list[Untrusted](), list[StarName]()
    by_galaxy: dict[str, list[StarName]] = {}
    for name, star in sorted(universe.installed.items()):
        if star.galaxy is not None and star.archive is not None:
            by_galaxy.setdefault(star.galaxy, []).append(name)
    for galaxy, names in sorted(by_galaxy.items()):
        source = GalaxySource(name=GalaxyName(galaxy), url="", allow_unsigned=False)
        shelf = _Shelf(root, asked.get(source.name, source), store, trust)
        for name in names:
            star = universe.installed[name]
            is_good, refused = shelf.judge(name, star)
            if refused is not None:
                row = Untrusted(name=name, version=str(star.version), why=refused.problem)
                (renewed if is_good else untrusted).append(row)
            elif not is_good:
                unjudged.append(name)
    return InstalledTrust(untrusted=tuple(untrusted), renewed=tuple(renewed), unjudged=tuple(unjudged))


def rests_on(
    stars: Mapping[StarName, Iterable[StarName]], universe: Universe, untrusted: Iterable[Untrusted]
) -> Iterator[tuple[StarName, Untrusted]]:
    """Yield each of `stars` (with its dependencies) with each of `untrusted` that it needs, directly or not."""
    bad = {one.name: one for one in untrusted}
    for name, dependencies in stars.items():
        waiting, seen = list(dependencies), set[StarName]()
        while waiting:
            needed = waiting.pop()
            if needed in seen:
                continue
            seen.add(needed)
            installed = universe.installed.get(needed)
            waiting += installed.dependencies if installed is not None else stars.get(needed, ())
        yield from ((name, bad[needed]) for needed in sorted(seen & bad.keys()))


class _Shelf:
    """The statements of one galaxy that this system can read without a socket."""

    def __init__(self, root: LiveRoot, asked: GalaxySource, store: StoreFolder, trust: SystemTrust) -> None:
        self._asked = asked
        self._trust = trust
        self._kept = Source(galaxy=asked.name, carrier=None, store=store)
        self._local: Source | None = None
        if asked.url:
            with suppress(CosmosError):
                carrier = local_galaxy(asked.url, root.below(SETTINGS_PATH.parent))
                self._local = None if carrier is None else replace(self._kept, carrier=carrier)

    def judge(self, name: StarName, star: Installed) -> tuple[bool, Refused | None]:
        """Return whether a statement of the star is good now, and the refusal of one that is not.

        A statement that is missing or damaged says nothing, and so does a strange signature in a local galaxy: whoever
        can write there could have put it there.
        """
        floor = self._trust.roots.floors.stars.get(name)
        if floor is not None and star.version.is_below(floor):
            return False, Refused(name, f"lies below the floor of {floor} that trust.toml sets")
        wanted = (name, star.archive)
        rows = self._kept_rows.get(wanted) or self._local_rows.get(wanted, [])
        refused: Refused | None = None
        for source, row in ((source, row) for row in rows for source in (self._kept, self._local) if source):
            try:
                file = source.statement(row.stem, row.statement)
            except CosmosError:
                continue
            try:
                self._verify(file, name, star)
            except NotSigned as error:  # it may have been signed again since it was kept
                refused = refused or (error if source is self._kept or isinstance(error, RevokedSigner) else None)
                continue
            except CosmosError:
                continue
            return True, refused
        return False, refused

    def _verify(self, file: SignedFile, name: StarName, star: Installed) -> None:
        verify_statement(
            file.data,
            file.envelope,
            galaxy=self._asked.name,
            name=name,
            version=star.version,
            roots=self._trust.roots,
            allow_unsigned=self._asked.allow_unsigned,
            source=f"{name}-{star.version}",
        )

    @cached_property
    def _kept_rows(self) -> _Rows:
        """The rows of the index that this system remembers, from its store. It was verified then."""
        seen = None if self._trust.memory is None else self._trust.memory.galaxies.get(self._asked.name)
        if seen is None:
            return {}
        try:
            file = self._kept.kept_index(seen.number, seen.digest)
            return _by_archive(GalaxyIndex.parse(file.data, f"{self._asked.name}: {INDEX_FILE}"))
        except CosmosError:
            return {}

    @cached_property
    def _local_rows(self) -> _Rows:
        """The rows of the index of a local galaxy, if it is verified."""
        if self._local is None:
            return {}
        try:
            now, unsigned = self._local.newest_index(), self._asked.allow_unsigned
            return _by_archive(verified_index(now, self._local, self._trust.roots, allow_unsigned=unsigned).index)
        except CosmosError:
            return {}


def _by_archive(index: GalaxyIndex) -> _Rows:
    rows: _Rows = {}
    for row in index.snapshot:
        rows.setdefault((row.name, row.archive), []).append(row)
    return rows
