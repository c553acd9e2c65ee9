"""Try a star that nobody has published: `cosmos dev`. Galaxy, keys, lock and definition are throw-away copies.

The star's galaxy is seen through a copy that lives in memory: its index of today with this star as the only one of its
name, one seq further. Throw-away keys sign the star's statement and this index, and throw-away trust anchors list these
keys beside the pinned ones. Every other star is verified as always, by the pinned keys. The home's store is used, so
finished layers are used again; its trust anchors, its memory, its galaxies and the image's folder are only read.

The lock begins with the image's own: the other stars keep their versions. What only published stars can have is not
asked for: badges, a place in the galaxy's log, a signed lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from cosmos.canon import Json
from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution
from cosmos.image.definition import Definition
from cosmos.image.editing import with_wishes
from cosmos.image.freeze import freeze
from cosmos.image.home import Home
from cosmos.image.newer_trust import demand_newest_trust
from cosmos.keyring.secret_key import SecretKey
from cosmos.keyring.state import home_state
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.facts import Facts
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import NO_TRUST, Lock, LockedTrust
from cosmos.model.names import GalaxyName, KeyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.vouching import Vouching
from cosmos.plain_toml import plain_text
from cosmos.reading import ENVELOPE_SUFFIX, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.draft import Draft
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy, naming_address
from cosmos.staging.source import INDEX_FILE, Source, statement_path
from cosmos.store.interface import Store
from cosmos.transport.carrier import Carrier, Expected, NotThere, Progress, too_long, wrong_size
from cosmos.trust.dsse import assemble
from cosmos.trust.memory import Memory
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE, Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots

_TRIAL_KEY = "throw-away"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStar:
    """A star that was just built. `statement` says what it is in the galaxy of that name, with that seq."""

    manifest: Star
    archive: Content
    statement: Callable[[GalaxyName, int], Statement]


class Overlaid:
    """A galaxy's carrier with some files in front of its own."""

    def __init__(self, under: Carrier, files: Mapping[str, Content]) -> None:
        self._under = under
        self._files = files

    @property
    def is_local(self) -> bool:
        """Whether the galaxy below is."""
        return self._under.is_local

    @property
    def address(self) -> str:
        """The address of the galaxy below."""
        return self._under.address

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path`; raises as `Carrier` says."""
        data = self._files.get(path)
        if data is None:
            if path.removesuffix(ENVELOPE_SUFFIX) in self._files:
                raise NotThere(f"{self.address}/{path}", "is not there")
            return self._under.read(path, max_bytes=max_bytes)
        if len(data) > max_bytes:
            raise too_long(path, max_bytes)
        return bytes(data)

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path`; raises as `Carrier` says."""
        data = self._files.get(path)
        if data is None:
            return self._under.read_exactly(path, size_bytes=size_bytes, progress=progress, digest=digest)
        if len(data) != size_bytes:
            raise wrong_size(path, size_bytes, str(len(data)))
        return data

    @contextmanager
    def expecting(self, files: Sequence[Expected]) -> Iterator[None]:
        """Give a block in which `files` are going to be asked for."""
        with self._under.expecting([file for file in files if file.path not in self._files]):
            yield


class TrialWorld:
    """The world of a trial: the home's, with one galaxy, the keys and the lock exchanged. Nothing of it is kept."""

    offline = False

    def __init__(self, home: Home, roots: TrustRoots, overlaid: GalaxyName, files: Mapping[str, Content]) -> None:
        self._home = home
        self._overlaid = overlaid
        self._files = files
        self._memory = home_state(home.home).read() or Memory()
        self._lock: bytes | None = None
        self.pinned = roots

    @property
    def reporter(self) -> Reporter:
        """The home's."""
        return self._home.reporter

    @property
    def store(self) -> Store:
        """The home's: what lies in it is found by its digest."""
        return self._home.store

    @property
    def made(self) -> Store:
        """The home's."""
        return self._home.made

    @property
    def locked_trust(self) -> LockedTrust:
        """None: nobody accepted these anchors."""
        return NO_TRUST

    def roots(self, *, signed: bool) -> TrustRoots:  # noqa: ARG002 - they are the same for both
        """Return the throw-away anchors."""
        return self.pinned

    def roots_when_locked(self, lock: Lock) -> None:
        """Return None."""

    def remember(self, change: Callable[[Memory], Memory]) -> None:
        """Change the copy of the home's memory. Raises `RolledBack`."""
        self._memory = change(self._memory)

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:
        """Return the galaxy, or its copy. Raises `Malformed`."""
        source = self._home.source(name, url, folder)
        if name != self._overlaid or source.carrier is None:
            return source
        return replace(source, carrier=Overlaid(source.carrier, self._files))

    def begin_with(self, lock: Lock) -> None:
        """Let the next freeze keep the versions of this lock."""
        self._lock = plain_text(lock.to_toml()).encode()

    def lock_files(self, definition: Definition) -> tuple[bytes, None]:
        """Return the throw-away lock; raises `NoSolution` before the first freeze."""
        if self._lock is None:
            raise NoSolution(str(definition.lock_file), "is not there")
        return self._lock, None

    def write_lock(self, definition: Definition, data: bytes) -> bool:  # noqa: ARG002 - it has no file
        """Keep the lock until the trial ends."""
        was, self._lock = self._lock, data
        return was != data

    def sandbox(self) -> Mapping[str, Json]:
        """Return the result of the live probe of Nova's sandbox. Raises `WorldFailed`."""
        return self._home.sandbox()

    def sweep(self, out: Path) -> None:
        """Remove the leftovers of killed builds beside `out`."""
        self._home.sweep(out)

    def draft(self, out: Path) -> AbstractContextManager[Draft]:
        """Give an empty release in a folder beside `out`."""
        return self._home.draft(out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A frozen trial, ready to be built. `added`: the image did not need the star, and wishes for it in the trial."""

    definition: Definition
    world: TrialWorld
    galaxy: GalaxyName
    added: bool


def begin_trial(definition: Definition, home: Home, star: TrialStar) -> Trial:
    """Return the trial of `star` in the image. Raises the errors of `cosmos.errors`, as a freeze does."""
    name = star.manifest.name
    sources = {one.name: home.source(one.name, one.url, definition.folder) for one in definition.image.galaxies}
    demand_newest_trust(home, sources.values())
    pinned = home.roots(signed=any(not asked.allow_unsigned for asked in definition.image.galaxies))
    asked, index = _galaxy_for(name, definition, sources, pinned)
    keys = _Keys(pinned, asked.name, name)
    world = TrialWorld(home, keys.roots, asked.name, _files(star, index, asked.name, keys))
    tried = _undemanding(definition)
    old = _lock_without(name, definition)
    if old is not None:
        world.begin_with(old)
    frozen = freeze(tried, world)
    if any(one.name == name for one in frozen.lock.stars):
        return Trial(definition=tried, world=world, galaxy=asked.name, added=False)
    wishing = _undemanding(with_wishes(definition, {name: ANY_VERSION}))
    freeze(wishing, world)
    return Trial(definition=wishing, world=world, galaxy=asked.name, added=True)


class _Keys:
    """Throw-away keys, as many as the pinned thresholds ask for, and the trust anchors that list them too."""

    def __init__(self, pinned: TrustRoots, galaxy: GalaxyName, star: StarName) -> None:
        self.galaxy = _new_keys("galaxy", pinned.threshold("galaxy"))
        self.author = _new_keys("author", pinned.threshold("author"))
        listed = pinned.roles["galaxy"].keys if "galaxy" in pinned.roles else ()
        publics = tuple(key.public for key in self.galaxy)
        role = RoleKeys(threshold=pinned.threshold("galaxy"), keys=(*listed, *publics))
        authors = (AuthorKey(key=key.public, galaxies=(galaxy,), stars=(star,)) for key in self.author)
        self.roots = replace(pinned, roles={**pinned.roles, "galaxy": role}, authors=(*pinned.authors, *authors))


def _new_keys(role: Role, count: int) -> tuple[SecretKey, ...]:
    return tuple(SecretKey.generate(KeyName.parse(f"{_TRIAL_KEY}-{number}"), role) for number in range(1, count + 1))


def _galaxy_for(
    name: StarName, definition: Definition, sources: Mapping[GalaxyName, Source], roots: TrustRoots
) -> tuple[GalaxySource, GalaxyIndex]:
    """Return the galaxy that answers for `name`, or else the first one that an index of ours describes.

    Raises `Malformed` if that galaxy has upstream's format: its index has no row that a star could replace.
    """
    first: tuple[GalaxySource, GalaxyIndex] | None = None
    for asked in definition.image.galaxies:
        with naming_address(str(definition.file), asked.name):
            source = sources[asked.name]
            index = verified_index(source.newest_index(), source, roots, allow_unsigned=asked.allow_unsigned)
            owns = OpenGalaxy(asked, source, index, roots).claims(name)
        if first is None and index.index.seq:
            first = asked, index.index
        if owns and not index.index.seq:
            problem = f"is in galaxy {asked.name}, whose index has upstream's format"
            raise Malformed(str(name), problem, hint=f"try it in a galaxy of yours: stellar galaxy-init {asked.name}")
        if owns:
            return asked, index.index
    if first is None:
        raise Malformed(
            str(definition.file),
            "no galaxy of it has an index with a seq, in which a star could be tried",
            hint="stellar galaxy-init FOLDER makes a galaxy; stellar index-galaxy gives it an index",
        )
    return first


def _files(star: TrialStar, index: GalaxyIndex, galaxy: GalaxyName, keys: _Keys) -> dict[str, Content]:
    """Return the files of the galaxy's copy that differ from its own."""
    statement = star.statement(galaxy, index.seq + 1)
    said = plain_text(statement.to_toml()).encode()
    row = _row(statement, said, index)
    snapshot = (*(one for one in index.snapshot if one.name != row.name), row)
    listing = replace(
        index,
        seq=index.seq + 1,
        newest={**index.newest, row.name: row.version},
        checksums={**index.checksums, row.name: row.archive},
        snapshot=tuple(sorted(snapshot, key=lambda one: (one.name, one.version, one.arch or ""))),
        catalogue=None,
    )
    data = plain_text(listing.to_toml()).encode()
    path = statement_path(row.stem)
    return {
        INDEX_FILE: data,
        INDEX_FILE + ENVELOPE_SUFFIX: _envelope(GALAXY_TYPE, data, keys.galaxy),
        path: said,
        path + ENVELOPE_SUFFIX: _envelope(STAR_TYPE, said, keys.author),
        statement.file: star.archive,
    }


def _envelope(payload_type: str, data: bytes, keys: Sequence[SecretKey]) -> bytes:
    return assemble(payload_type, data, (key.signature(payload_type, data) for key in keys))


def _row(statement: Statement, said: bytes, index: GalaxyIndex) -> Listed:
    star, has_arch = statement.star, index.format > 1
    return Listed(
        name=star.name,
        version=star.version,
        statement=Digest.of(said),
        archive=statement.archive,
        arch=star.arch if has_arch else None,
        provides=tuple(Facts.of(star).provides) if has_arch else (),
    )


def _undemanding(definition: Definition) -> Definition:
    """Return the definition without the demands that only published stars and signed locks can meet."""
    policy = replace(definition.image.policy, vouching=Vouching(), signed_lock=False)
    return replace(definition, image=replace(definition.image, policy=policy))


def _lock_without(name: StarName, definition: Definition) -> Lock | None:
    """Return the image's lock without the star, or None if there is no lock that can be read."""
    file = definition.lock_file
    if not is_there(file):
        return None
    try:
        lock = Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file))
    except Malformed:
        return None
    lowered = {star: version for star, version in lock.downgraded.items() if star != name}
    return replace(lock, stars=tuple(star for star in lock.stars if star.name != name), downgraded=lowered)
