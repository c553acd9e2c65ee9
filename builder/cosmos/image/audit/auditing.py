"""`cosmos audit`: the proof that the pins of one image fail closed.

Everything that a build reads is copied (as hard links) into a folder: definition, lock, galaxies, trust anchors. The
unchanged copy is built, whole. Then one input at a time is changed. What must come of it depends on the input:

    refused          the lock, and everything that somebody signed or that a signed document names by digest
    another image    what the operator writes: image.toml, template, constellations, finish script. It is refused, or
                     another image comes of it
    the same image   what the store keeps. It is refused, or noticed and made again. So are the network, made available
                     to a build that has everything, and each galaxy of the lock, taken away from it

First the first two steps of a build run with an empty store: the preflight, and the fetching and verifying of every
star. Nearly every change ends there. A change that they let through is built whole, with the layers in the store, so
that what acts later judges it as well: powers, budget, template, finish script, packing. Of the many changes of one
file of a template, only the first is built; of the others the release's own description of the definition
(definition.tar) must be another one. A change of the store, or of the network, is always built
whole: offline, unless the network was made available.

A finished release beside the image is changed in the same way, and `cosmos verify` must find it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import temporary_folder
from cosmos.errors import Malformed
from cosmos.image.audit.kept import number_of_files, one_of_each_kind
from cosmos.image.audit.mutations import Change, envelope_changes, file_changes, toml_changes
from cosmos.image.audit.outcomes import Became, Mutation, Outcome, changed, outcome_of
from cosmos.image.definition import Definition, read_definition
from cosmos.image.flow import build_image, fetched
from cosmos.image.home import Home
from cosmos.image.packed_definition import packed_definition, unpack_definition
from cosmos.image.preflight import BuildOptions, preflight
from cosmos.image.template import stand_ins
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.keyring.anchors import home_anchor
from cosmos.limits import MAX_LOCK_BYTES, MAX_RELEASE_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import GalaxyName
from cosmos.model.release import RELEASE_FILE, Builder
from cosmos.model.reporter import Silent, counted
from cosmos.reading import ENVELOPE_SUFFIX, envelope_of, read_bounded
from cosmos.records import dataclass
from cosmos.release.verify import verify_release_folder
from cosmos.staging.source import INDEX_FILE, Source
from cosmos.transport.opening import galaxy_folder, is_network
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import ReleaseKeys

_GALAXIES: Final = "galaxies"
_HOME: Final = "home"
_DEFINITION: Final = "definition"
_OUT: Final = "out"
_NETWORK: Final = "network"
_BUILDER: Final = Builder(versions=dict.fromkeys(("cosmos", "python", "zstd"), "audit"))
_OPERATOR: Final = "what the operator wrote"
_CONNECTED: Final = Change(what="made available", data=b"")
_TAKEN_AWAY: Final = Change(what="taken away", data=None)
_EXTRA: Final = Change(what="an extra file", data=b"x")
_RELEASE: Final = "release"
_PREFIX: Final = "cosmos-audit-"  # of temporary folders
# Fields of the lock that record something, and pin nothing that a build could take from elsewhere: why.
RECORDED: Final = {
    "build.cosmos": "the version that made the lock; a newer one may build it",
    "build.zstd": "another zstd packs the same contents in other bytes, and the build warns",
}
SEALED_AGAIN: Final = (
    "the store: records that somebody changed and sealed again: only the builder writes there, and `cosmos rebuild` "
    "uses none of them"
)
# Of an envelope: what nobody relies on, because every pinned key is tried on every signature.
HINTS: Final = {
    "signatures[0].keyid": "a hint, not signed (DSSE, protocol.md): every pinned key is tried",
    "signatures: the last one doubled": "distinct keys are counted",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """All outcomes. `left_alone` names inputs that were not changed, and why. `builds`: how many builds were whole."""

    outcomes: tuple[Outcome, ...]
    left_alone: tuple[str, ...]
    builds: int

    @property
    def bad(self) -> tuple[Outcome, ...]:
        """The outcomes that prove a hole."""
        return tuple(one for one in self.outcomes if not one.is_good)


def audit(definition: Definition, home: Home, release: Path | None, keys: Iterable[PublicKey], *, jobs: int) -> Audit:
    """Return what comes of every mutation of every input of `definition`, and of the files of `release`.

    `jobs`: how many stars a whole build stages at once. Raises `Malformed` if a galaxy is remote, and the errors of a
    build if the image cannot be built unchanged.
    """
    with temporary_folder(_PREFIX) as folder:
        workshop = _Inputs(definition, home, folder, jobs)
        workshop.build_unchanged()
        outcomes = []
        for place, mutation in enumerate(workshop.mutations(), start=1):  # one at a time is in memory
            outcomes.append(workshop.outcome(mutation))
            home.reporter.progress(f"changes: {mutation.kind}", place, 0)
        left = list(workshop.left_alone)
        if release is None:
            left.append("the finished release: no known key has signed one")
        else:
            outcomes += _release_outcomes(release, list(keys), folder / _RELEASE)
        return Audit(outcomes=tuple(outcomes), left_alone=tuple(left), builds=workshop.builds)


class _Inputs:
    """Copies of everything that a build of the image reads."""

    def __init__(self, definition: Definition, home: Home, folder: Path, jobs: int) -> None:
        self._folder, self._jobs, self.builds = folder, jobs, 0
        self._built: set[Path] = set()  # the files of which a change was built whole
        self.left_alone: list[str] = [
            *(f"{LOCK_FILE}: {field}: {why}" for field, why in RECORDED.items()),
            *(f"envelopes: {field.partition(': ')[0]}: {why}" for field, why in HINTS.items()),
            SEALED_AGAIN,
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

    def build_unchanged(self) -> None:
        """Build the unchanged inputs, whole. Raises the error of the build: then the audit would prove nothing.

        The home remembers what it saw, as that of an operator does who has built the image before.
        """
        self._before = self._release(offline=False)

    def mutations(self) -> Iterator[Mutation]:
        """Yield every mutation."""
        yield from self._of_the_lock()
        yield from self._of_the_galaxies()
        yield from self._of_the_anchors()
        yield from self._of_the_definition()
        yield from self._of_the_store()
        yield from self._of_the_network()

    def outcome(self, mutation: Mutation) -> Outcome:
        """Return what comes of the build with this one mutation; the inputs are as before afterwards."""
        with contextlib.ExitStack() as stack:
            for number, file in enumerate((mutation.file, *mutation.copies)):
                stack.enter_context(changed(file, mutation.change, self._folder / f"kept-{number}"))
            if mutation.wanted == "the same image":
                return outcome_of(mutation, lambda: self._whole(offline=mutation.change is not _CONNECTED))
            found = outcome_of(mutation, self._first_steps)
            if found.exit_code or not self._is_built(mutation):
                return found
            self._built.add(mutation.file)
            return outcome_of(mutation, lambda: self._whole(offline=False))

    def _is_built(self, mutation: Mutation) -> bool:
        """Return whether a change that the first two steps let through is built: the first one of a template's file."""
        return mutation.kind != _OPERATOR or mutation.file not in self._built

    def _first_steps(self) -> Became:
        """Run the preflight and the fetching with an empty store."""
        with temporary_folder(_PREFIX) as folder:
            home = folder / _HOME
            if self._anchor.exists():
                shutil.copytree(self._anchor.parent, home_anchor(home).path.parent)
            definition = read_definition(self.image)
            world, options = self._world(home, offline=False), self._options(definition, folder / _OUT)
            fetched(preflight(definition, world, options), world, options)
            packed = Digest.of(b"".join(packed_definition(definition)))
            return "the same" if packed == self._digest else "another definition"

    def _whole(self, *, offline: bool) -> Became:
        """Build the image with the layers that the store has."""
        root, described = self._release(offline=offline)
        if root != self._before[0]:
            return "another image"
        return "the same" if described == self._before[1] else "another release"

    def _release(self, *, offline: bool) -> tuple[Digest, Digest]:
        """Build the image, whole, and return its content root and the digest of RELEASE.json."""
        self.builds += 1
        with temporary_folder(_PREFIX) as folder:
            world = self._world(self._folder / _HOME, offline=offline)
            definition = read_definition(self.image)
            built = build_image(definition, world, self._options(definition, folder / _OUT))
            return built.content_root, Digest.of(read_bounded(built.folder / RELEASE_FILE, MAX_RELEASE_BYTES))

    def _world(self, home: Path, *, offline: bool) -> _AuditedHome:
        return _AuditedHome(home=home, offline=offline, reporter=Silent(), galaxies=self._folder / _GALAXIES)

    def _options(self, definition: Definition, out: Path) -> BuildOptions:
        secrets = stand_ins(definition.template)
        return BuildOptions(out=out, jobs=self._jobs, identity="audit", builder=_BUILDER, secrets=secrets)

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
                    kind = "image.toml" if file.name == IMAGE_FILE else _OPERATOR
                    yield Mutation(kind=kind, file=file, change=change, wanted="another image")
        for folder in sorted({file.parent for file in (self._folder / _DEFINITION).rglob("root/*")}):
            yield Mutation(kind=_OPERATOR, file=folder / "extra", change=_EXTRA, wanted="another image")

    def _of_the_store(self) -> Iterator[Mutation]:
        store = self._folder / _HOME / "store"
        kinds = one_of_each_kind(store)
        for kind, file in kinds.items():
            for change in file_changes(file.read_bytes()):
                yield Mutation(kind="store", file=file, change=change, wanted="the same image", shown=kind)
        others = number_of_files(store) - len(kinds)
        if others:
            self.left_alone.append(f"{counted(others, 'file')} of the store: same formats")

    def _of_the_network(self) -> Iterator[Mutation]:
        """Yield the network for a build that has everything, and the loss of each galaxy that the lock names."""
        wanted: Final = "the same image"
        there = self._folder / _NETWORK
        yield Mutation(kind="network", file=there, change=_CONNECTED, wanted=wanted, shown="the network")
        for name, folder in self._galaxies.items():
            yield Mutation(kind="network", file=folder, change=_TAKEN_AWAY, wanted=wanted, shown=f"galaxy {name}")

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
    signers = ReleaseKeys(keys=tuple(keys))
    verify_release_folder(release, signers, reporter=Silent())  # so that an error names it, and not the copy
    shutil.copytree(release, copy, copy_function=_link)

    def verified() -> Became:
        verify_release_folder(copy, signers, reporter=Silent())
        return "the same"

    for file in sorted(copy.iterdir()):
        for change in file_changes(file.read_bytes()):
            mutation = Mutation(kind="release", file=file, change=change, wanted="refused")
            with changed(file, change, copy.with_name("kept")):
                yield outcome_of(mutation, verified)
    extra = copy / "extra"
    with changed(extra, _EXTRA, copy.with_name("kept")):
        yield outcome_of(Mutation(kind="release", file=extra, change=_EXTRA, wanted="refused"), verified)


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
