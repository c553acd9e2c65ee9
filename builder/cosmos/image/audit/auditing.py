"""`cosmos audit`: the proof that the pins of one image fail closed.

Everything that a build reads is copied (as hard links) into a folder: definition, lock, galaxies, trust anchors. Then
one input at a time is changed, and the first two steps of a build run on it with an empty store: the preflight, and the
fetching and verifying of every star. What must come of it depends on the input:

    refused         the lock, and everything that somebody signed or that a signed document names by digest
    another image   what the operator writes: image.toml, template, constellations, finish script. It is refused, or the
                    release's own description of it (definition.tar) is another one

A finished release beside the image is changed in the same way, and `cosmos verify` must find it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.digest import Digest
from cosmos.durable import temporary_folder
from cosmos.errors import CosmosError, Malformed
from cosmos.image.audit.mutations import Change, envelope_changes, file_changes, toml_changes
from cosmos.image.definition import IMAGE_FILE, Definition, read_definition
from cosmos.image.flow import fetched
from cosmos.image.home import Home
from cosmos.image.packed_definition import packed_definition, unpack_definition
from cosmos.image.preflight import BuildOptions, preflight
from cosmos.image.template import stand_ins
from cosmos.keyring.anchors import home_anchor
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import GalaxyName
from cosmos.model.release import Builder
from cosmos.model.reporter import Reporter, Silent, counted
from cosmos.reading import ENVELOPE_SUFFIX, envelope_of, read_bounded
from cosmos.release.verify import verify_release_folder
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.transport.opening import galaxy_folder, is_network
from cosmos.trust.keys import PublicKey

Wanted: TypeAlias = Literal["refused", "another image"]
_GALAXIES: Final = "galaxies"
_HOME: Final = "home"
_DEFINITION: Final = "definition"
_RELEASE: Final = "release"
_PREFIX: Final = "cosmos-audit-"  # of temporary folders
# Fields of the lock that record something, and pin nothing that a build could take from elsewhere: why.
RECORDED: Final = {
    "build.cosmos": "the version that made the lock; a newer one may build it",
    "build.zstd": "another zstd packs the same contents in other bytes, and the build warns",
}
# Of an envelope: what nobody relies on, because every pinned key is tried on every signature.
HINTS: Final = {
    "signatures[0].keyid": "a hint, not signed (DSSE, protocol.md): every pinned key is tried",
    "signatures: the last one doubled": "distinct keys are counted",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One input with one change. `file` is its path in the folder of the audit; `kind` is its class, for the table.

    `copies` are other files with the same bytes, such as the snapshot of an index: they are changed in the same way,
    because a build may take either.
    """

    kind: str
    file: Path
    change: Change
    wanted: Wanted
    copies: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one mutation. `exit_code` is 0 if nothing refused it; `said` is the error's sentence.

    It names the mutation and does not hold it: of an archive, that would be a copy of the archive.
    """

    kind: str
    file: str
    what: str
    wanted: Wanted
    exit_code: int
    said: str
    is_another: bool

    @property
    def name(self) -> str:
        """Its file and what was changed."""
        return f"{self.file}: {self.what}"

    @property
    def is_good(self) -> bool:
        """Whether it ended as it must: with an error of one of the families, or as another image."""
        refused = 2 <= self.exit_code <= 7
        return refused or (self.wanted == "another image" and self.is_another)


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """All outcomes. `left_alone` names inputs that were not changed, and why."""

    outcomes: tuple[Outcome, ...]
    left_alone: tuple[str, ...]

    @property
    def bad(self) -> tuple[Outcome, ...]:
        """The outcomes that prove a hole."""
        return tuple(one for one in self.outcomes if not one.is_good)


def audit(
    definition: Definition, home: Home, release: Path | None, keys: Iterable[PublicKey], reporter: Reporter
) -> Audit:
    """Return what comes of every mutation of every input of `definition`, and of the files of `release`.

    Raises `Malformed` if a galaxy is remote, and the errors of a build if the image cannot be built unchanged.
    """
    with temporary_folder(_PREFIX) as folder:
        workshop = _Inputs(definition, home, folder)
        workshop.demand_good()
        outcomes = []
        for place, mutation in enumerate(workshop.mutations(), start=1):  # one at a time is in memory
            outcomes.append(workshop.outcome(mutation))
            reporter.progress(f"changes: {mutation.kind}", place, 0)
        left = list(workshop.left_alone)
        if release is None:
            left.append("the finished release: no known key has signed one")
        else:
            outcomes += _release_outcomes(release, list(keys), folder / _RELEASE)
        return Audit(outcomes=tuple(outcomes), left_alone=tuple(left))


class _Inputs:
    """Copies of everything that a build of the image reads."""

    def __init__(self, definition: Definition, home: Home, folder: Path) -> None:
        self._folder = folder
        self.left_alone: list[str] = [
            *(f"{LOCK_FILE}: {field}: {why}" for field, why in RECORDED.items()),
            *(f"envelopes: {field.partition(': ')[0]}: {why}" for field, why in HINTS.items()),
        ]
        packed = b"".join(packed_definition(definition))
        self.image = unpack_definition(packed, folder / _DEFINITION, str(definition.file))
        self._digest = Digest.of(packed)
        for file in (definition.lock_file, definition.lock_envelope):
            if file.is_file():
                (self.image / file.name).write_bytes(read_bounded(file, MAX_LOCK_BYTES))
        self._lock = Lock.parse(read_bounded(definition.lock_file, MAX_LOCK_BYTES), str(definition.lock_file))
        self._galaxies = {galaxy.name: folder / _GALAXIES / galaxy.name for galaxy in self._lock.galaxies}
        for galaxy in self._lock.galaxies:
            if is_network(galaxy.url):
                raise Malformed(
                    str(definition.file),
                    f"galaxy {galaxy.name} is at {galaxy.url}, and only a folder can be changed",
                    hint="copy the galaxy into a folder, and name it in [galaxies]",
                )
            _linked(galaxy_folder(galaxy.url, definition.folder), self._galaxies[galaxy.name])
        self._anchor = home_anchor(folder / _HOME).path
        if home_anchor(home.home).exists():
            shutil.copytree(home_anchor(home.home).path.parent, self._anchor.parent)

    def demand_good(self) -> None:
        """Raise the error of the build if the unchanged inputs are refused: then the audit would prove nothing.

        The home remembers what it saw, as that of an operator does who has built the image before.
        """
        self._fetched(self._folder / _HOME, self._folder)

    def mutations(self) -> Iterator[Mutation]:
        """Yield every mutation."""
        yield from self._of_the_lock()
        yield from self._of_the_galaxies()
        yield from self._of_the_anchors()
        yield from self._of_the_definition()

    def outcome(self, mutation: Mutation) -> Outcome:
        """Return what comes of the build with this one mutation; the inputs are as before afterwards."""
        with contextlib.ExitStack() as changed:
            for number, file in enumerate((mutation.file, *mutation.copies)):
                changed.enter_context(_changed(file, mutation.change, self._folder / f"kept-{number}"))
            return _outcome(mutation, self._built, self._digest)

    def _built(self) -> Digest:
        """Run the preflight and the fetching with an empty store, and return the digest of the definition."""
        with temporary_folder(_PREFIX) as folder:
            home = folder / _HOME
            if self._anchor.exists():
                shutil.copytree(self._anchor.parent, home_anchor(home).path.parent)
            return self._fetched(home, folder)

    def _fetched(self, home: Path, folder: Path) -> Digest:
        world = _AuditedHome(home=home, offline=False, reporter=Silent(), galaxies=self._folder / _GALAXIES)
        definition = read_definition(self.image)
        secrets = stand_ins(definition.template)
        builder = Builder(versions={})
        options = BuildOptions(out=folder / "out", jobs=1, identity="audit", builder=builder, secrets=secrets)
        fetched(preflight(definition, world, options), world, options)
        return Digest.of(b"".join(packed_definition(definition)))

    def _of_the_lock(self) -> Iterator[Mutation]:
        file = self.image / LOCK_FILE
        for change in toml_changes(file.read_bytes(), LOCK_FILE):
            is_nothing = not self._lock.stars and change.what == "star: left out"  # an empty list
            if not (is_nothing or _is_recorded(change) or _is_blank(change, file.read_bytes())):
                yield Mutation(kind="lock", file=file, change=change, wanted="refused")
        if envelope_of(file).is_file():
            yield from self._of_envelope("lock's signature", envelope_of(file))

    def _of_the_galaxies(self) -> Iterator[Mutation]:
        stars = (*self._lock.stars[:1], *self._lock.stars[1:][-1:])
        if len(self._lock.stars) > len(stars):
            between = counted(len(self._lock.stars) - len(stars), "star")
            self.left_alone.append(
                f"archives and statements of {between} between the lock's first and last: same formats"
            )
        for star in stars:
            galaxy = self._galaxies[star.galaxy]
            archive = galaxy / star.file
            for change in file_changes(archive.read_bytes()):
                yield Mutation(kind="archive", file=archive, change=change, wanted="refused")
            stem = Path(star.file).name.removesuffix(".tar.zst")
            yield from self._signed("statement", galaxy / "stars" / f"{stem}.toml")
        for galaxy in self._galaxies.values():
            yield from self._signed("index", galaxy / INDEX_FILE)

    def _of_the_anchors(self) -> Iterator[Mutation]:
        if self._anchor.exists():
            for change in toml_changes(self._anchor.read_bytes(), self._anchor.name):
                yield Mutation(kind="trust anchors", file=self._anchor, change=change, wanted="refused")

    def _of_the_definition(self) -> Iterator[Mutation]:
        for file in sorted((self._folder / _DEFINITION).rglob("*")):
            if not file.is_file() or file.is_symlink() or file.name.startswith(LOCK_FILE):
                continue
            data = file.read_bytes()
            for change in _changes_of(file, data):
                if change.data != data:
                    kind = "image.toml" if file.name == IMAGE_FILE else "what the operator wrote"
                    yield Mutation(kind=kind, file=file, change=change, wanted="another image")

    def _signed(self, kind: str, file: Path) -> Iterator[Mutation]:
        data, copies = file.read_bytes(), self._copies(file)
        for change in toml_changes(data, file.name):
            if change.data != data:
                yield Mutation(kind=kind, file=file, change=change, wanted="refused", copies=copies)
        if envelope_of(file).is_file():
            yield from self._of_envelope(f"{kind}'s envelope", envelope_of(file))
        else:
            self.left_alone.append(f"{file.name}{ENVELOPE_SUFFIX}: the galaxy has unsigned files")

    def _copies(self, file: Path) -> tuple[Path, ...]:
        """Return the other files of the galaxy with the same bytes."""
        if not file.is_relative_to(self._folder / _GALAXIES):
            return ()
        size, data = file.stat().st_size, file.read_bytes()
        near = (one for one in sorted(self._galaxy_of(file).rglob(f"*{file.suffix}")) if one != file)
        return tuple(one for one in near if one.stat().st_size == size and one.read_bytes() == data)

    def _galaxy_of(self, file: Path) -> Path:
        return next(folder for folder in self._galaxies.values() if file.is_relative_to(folder))

    def _of_envelope(self, kind: str, file: Path) -> Iterator[Mutation]:
        data, copies = file.read_bytes(), self._copies(file)
        for change in envelope_changes(data, file.name):
            if not _is_blank(change, data) and not change.what.startswith(tuple(HINTS)):
                yield Mutation(kind=kind, file=file, change=change, wanted="refused", copies=copies)


@dataclass(frozen=True, kw_only=True)
class _AuditedHome(Home):
    """A home whose galaxies are copies in the folder `galaxies`."""

    galaxies: Path

    def source(self, name: GalaxyName, url: str, folder: Path) -> Source:  # noqa: ARG002 the copies lie elsewhere
        """Return the copy of the galaxy called `name`."""
        return super().source(name, str(self.galaxies / name), folder)


def _changes_of(file: Path, data: bytes) -> list[Change]:
    """Return the changes of a file that the operator wrote. A template may hold a `.toml` that is not TOML."""
    if file.suffix == ".toml":
        with contextlib.suppress(Malformed):
            return [*toml_changes(data, file.name)]
    return [*file_changes(data)]


def _release_outcomes(release: Path, keys: list[PublicKey], copy: Path) -> Iterator[Outcome]:
    """Yield what `cosmos verify` finds when a file of the release is changed, left out or added."""
    verify_release_folder(release, keys, reporter=Silent())  # so that an error names it, and not the copy
    shutil.copytree(release, copy, copy_function=_link)

    def verified() -> Digest:
        return verify_release_folder(copy, keys, reporter=Silent()).content_root

    root = verified()
    for file in sorted(copy.iterdir()):
        for change in file_changes(file.read_bytes()):
            mutation = Mutation(kind="release", file=file, change=change, wanted="refused")
            with _changed(file, change, copy.with_name("kept")):
                yield _outcome(mutation, verified, root)
    extra, added = copy / "extra", Change(what="an extra file", data=b"x")
    extra.write_bytes(b"x")
    yield _outcome(Mutation(kind="release", file=extra, change=added, wanted="refused"), verified, root)


@contextlib.contextmanager
def _changed(file: Path, change: Change, kept: Path) -> Iterator[None]:
    """Change a file within the block. It is replaced, not written to: other names of its bytes stay as they are.

    Meanwhile the file itself is at `kept`, on the same file system.
    """
    mode = file.stat().st_mode
    file.rename(kept)
    try:
        if change.data is not None:
            file.write_bytes(change.data)
            file.chmod(mode)
        yield
    finally:
        kept.replace(file)


def _outcome(mutation: Mutation, tried: Callable[[], Digest], before: Digest) -> Outcome:
    """Return what comes of `tried`, which returns an identity; `before` is that of the unchanged inputs."""
    try:
        identity = tried()
    except CosmosError as error:
        return _named(mutation, error.exit_code, str(error))
    except Exception as error:
        return _named(mutation, 1, f"a bug: {error!r}")
    return _named(mutation, 0, "went through", is_another=identity != before)


def _named(mutation: Mutation, exit_code: int, said: str, *, is_another: bool = False) -> Outcome:
    return Outcome(
        kind=mutation.kind,
        file=mutation.file.name,
        what=mutation.change.what,
        wanted=mutation.wanted,
        exit_code=exit_code,
        said=said,
        is_another=is_another,
    )


def _is_recorded(change: Change) -> bool:
    return change.what.partition(": ")[0] in RECORDED and not change.what.endswith("left out")


def _is_blank(change: Change, before: bytes) -> bool:
    """Return whether only blanks at the end differ: the same document, and the release names its exact bytes."""
    return change.data is not None and change.data.rstrip(b"\n") == before.rstrip(b"\n")


def _linked(galaxy: Path, copy: Path) -> None:
    """Copy a galaxy as hard links, or as files where its file system is another one."""
    shutil.copytree(galaxy, copy, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
