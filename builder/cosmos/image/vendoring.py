"""`cosmos vendor`: put everything that a build of a lock needs into one folder, for a stick.

    fetch and verify -> the files with their digests -> a draft beside the folder -> a build's checks on the draft
    -> the folder, in one step

The folder (model.vendored) has the lock's galaxies by name, each with the snapshot that the lock names and the locked
stars alone; the image definition with its template, scripts and lock; and the accepted trust.toml with its chain.

A draft that was cut off is taken up again: what it has with the right digest is not written twice. The draft is judged
as a build judges its galaxies before it becomes the folder. A folder that has the same files already stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cosmos.content import content_digest, pieces
from cosmos.digest import Digest
from cosmos.durable import blaming, demand_writable, durable_file, replace_folder_durably, sync_folder, temporary_folder
from cosmos.errors import CosmosError, WorldFailed
from cosmos.image.acquiring import LockPlace, acquire_lock
from cosmos.image.definition import Definition, read_definition
from cosmos.image.home import Home
from cosmos.image.packed_definition import packed_definition, unpack_definition
from cosmos.image.policy import demand_signed_lock, demand_vouched
from cosmos.image.preflight import demand_no_input, fresh_lock
from cosmos.image.rebuild.world import RebuildWorld
from cosmos.image.soundness import demand_sound
from cosmos.image.template import stand_ins
from cosmos.image.vendored_definition import DEFINITION_FOLDERS, packed_digest
from cosmos.image.vendored_parts import Part, galaxy_parts, trust_parts
from cosmos.keyring.anchors import home_anchor
from cosmos.limits import MAX_LOCK_BYTES, MAX_SIGNED_BYTES
from cosmos.locking import alone_if_free
from cosmos.model.image import Policy
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.model.reporter import Silent, counted
from cosmos.model.vendored import VENDORED_FILE, VENDORED_TRUST, Vendored, VendoredFile
from cosmos.reading import ENVELOPE_SUFFIX, envelope_of, file_content, read_bounded, read_envelope
from cosmos.records import dataclass
from cosmos.resolve.locked import demand_right
from cosmos.staging.vendored import demand_as_listed, read_vendored
from cosmos.trust.roots import TRUST_FILE

_MARK: Final = "cosmos-vendoring"
_PREFIX: Final = "cosmos-vendor-"
_PROGRAM: Final = StarName("cosmos")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockAlone:
    """A lock without an image definition, in its own file."""

    file: Path

    @property
    def folder(self) -> Path:
        """The folder of the lock."""
        return self.file.parent

    @property
    def lock_file(self) -> Path:
        """The lock."""
        return self.file


@dataclass(frozen=True, kw_only=True, slots=True)
class VendoredFolder:
    """A finished folder. `digest` is that of its list, `changed` is false if it had these files before.

    `trust` is the digest of the trust.toml that it carries, or None.
    """

    folder: Path
    vendored: Vendored
    lock: Lock
    digest: Digest
    trust: Digest | None
    changed: bool

    @property
    def size_bytes(self) -> int:
        """The size of all its files."""
        return sum(one.size_bytes for one in self.vendored.files.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What to vendor: a lock, with the image definition that it belongs to if there is one."""

    place: LockPlace
    definition: Definition | None
    lock: Lock
    files: Mapping[str, bytes]  # of the lock, by name

    @property
    def policy(self) -> Policy:
        """What the stars are judged by besides their signatures."""
        return Policy() if self.definition is None else self.definition.image.policy


def vendor_image(definition: Definition, world: Home, folder: Path, accept: frozenset[str]) -> VendoredFolder:
    """Vendor an image: its definition, its lock and its stars. Raises what a build raises up to its first script."""
    demand_no_input(definition, folder, "name another folder")
    demand_sound(definition, stand_ins(definition.template))
    data, envelope = world.lock_files(definition)
    demand_signed_lock(definition, world, data, envelope)
    lock, _ = fresh_lock(definition, data, world)
    beside = {} if envelope is None else {definition.lock_envelope.name: envelope}
    wanted = _Wanted(place=definition, definition=definition, lock=lock, files={LOCK_FILE: data, **beside})
    return _vendored(wanted, world, folder, accept)


def vendor_lock(file: Path, world: Home, folder: Path, accept: frozenset[str]) -> VendoredFolder:
    """Vendor a lock alone: its stars, without an image definition."""
    data, envelope = read_bounded(file, MAX_LOCK_BYTES), read_envelope(file, MAX_SIGNED_BYTES)
    lock = Lock.parse(data, str(file))
    demand_right(lock, file)
    beside = {} if envelope is None else {envelope_of(Path(LOCK_FILE)).name: envelope}
    wanted = _Wanted(place=LockAlone(file=file), definition=None, lock=lock, files={LOCK_FILE: data, **beside})
    return _vendored(wanted, world, folder, accept)


def _vendored(wanted: _Wanted, world: Home, folder: Path, accept: frozenset[str]) -> VendoredFolder:
    _demand_place(folder)
    world.store.sweep()
    acquired = acquire_lock(wanted.lock, wanted.place, world, accept)
    parts = {**galaxy_parts(wanted.lock, wanted.policy, acquired, world), **trust_parts(world)}
    with _draft(folder) as draft:
        image = _laid_definition(wanted, draft)
        parts |= _of_definition(draft, image)
        vendored = Vendored(
            lock=f"{image}/{LOCK_FILE}" if image else LOCK_FILE,
            image=image or None,
            definition=None if wanted.definition is None else packed_digest(wanted.definition),
            files={path: VendoredFile(size_bytes=part.size_bytes, digest=part.digest) for path, part in parts.items()},
            not_carried=tuple(_not_carried(wanted, world)),
        )
        changed = not _has(folder, vendored)
        if changed:
            _write(draft, parts, vendored, world)
            _demand_buildable(draft, wanted, vendored, world, accept)
            _finish(draft)
            replace_folder_durably(draft, folder)
    anchor = home_anchor(world.home)
    trust = parts.get(f"{VENDORED_TRUST}/{TRUST_FILE}") if anchor.exists() else None
    return VendoredFolder(
        folder=folder,
        vendored=vendored,
        lock=wanted.lock,
        digest=Digest.of(vendored.to_bytes()),
        trust=None if trust is None else trust.digest,
        changed=changed,
    )


def _demand_place(folder: Path) -> None:
    """Raise `WorldFailed` if the folder cannot be made, or holds something that a vendored folder does not."""
    demand_writable(folder)
    if not folder.is_symlink() and not folder.exists():
        return
    stranger = _stranger(folder)
    if stranger is not None:
        raise WorldFailed(
            str(folder / stranger),
            "is not part of a vendored folder, and cosmos replaces only what it made",
            hint="move it away, or name a new folder",
        )


def _stranger(folder: Path) -> str | None:
    """Return the path of something in `folder` that no run of `cosmos vendor` put there; None if there is nothing."""
    if folder.is_symlink() or not folder.is_dir():
        return ""
    found = [place.relative_to(folder).as_posix() for place in sorted(folder.rglob("*")) if _is_file(place)]
    own = set(read_vendored(folder).files) | {VENDORED_FILE} if VENDORED_FILE in found else set[str]()
    return next((path for path in found if path not in own), None)


def _is_file(place: Path) -> bool:
    """Return whether `place` is neither a folder nor a link: a template may have links, which no list names."""
    return not place.is_symlink() and not place.is_dir()


def _laid_definition(wanted: _Wanted, draft: Path) -> str:
    """Write the image definition and the lock into the draft, and return the path of the image's folder, or nothing."""
    for name in DEFINITION_FOLDERS:
        shutil.rmtree(draft / name, ignore_errors=True)
    image = draft
    if wanted.definition is not None:
        packed = b"".join(map(bytes, packed_definition(wanted.definition)))
        with blaming(draft):
            image = unpack_definition(packed, draft, str(wanted.definition.file))
        if packed_digest(read_definition(image)) != Digest.of(packed):
            raise WorldFailed(
                str(draft),
                "this file system does not keep the links and modes of the image definition",
                hint="vendor to another one, and carry the folder as an archive: tar",
            )
    for name, data in wanted.files.items():
        with durable_file(image / name) as stream:
            stream.write(data)
    return "" if image == draft else image.relative_to(draft).as_posix()


def _of_definition(draft: Path, image: str) -> dict[str, Part]:
    """Return the files of the definition and of the lock, which lie in the draft."""
    tops = [draft / name for name in DEFINITION_FOLDERS] if image else []
    files = [file for top in tops for file in sorted(top.rglob("*")) if file.is_file() and not file.is_symlink()]
    if not image:
        files += [draft / name for name in (LOCK_FILE, LOCK_FILE + ENVELOPE_SUFFIX) if (draft / name).is_file()]
    return {file.relative_to(draft).as_posix(): Part.of(read_bounded(file, MAX_LOCK_BYTES)) for file in files}


def _not_carried(wanted: _Wanted, world: Home) -> Iterator[str]:
    """Yield a sentence for each thing that a person may look for in the folder, and that it does not hold."""
    used: dict[str, set[Digest]] = {}
    for star in wanted.lock.stars:
        used.setdefault(star.galaxy, set()).add(star.statement)
    for galaxy in wanted.lock.galaxies:
        number = len(used.get(galaxy.name, ()))
        yield (
            f"galaxy {galaxy.name}: only snapshot {galaxy.seq} and the {counted(number, 'star')} of the lock; "
            "its other stars, its catalogue and later snapshots are not here"
        )
    if not any(star.name == _PROGRAM for star in wanted.lock.stars):
        yield "the program cosmos: no star of the lock is called so; bring the single-file binary, or the builder"
    if wanted.definition is None:
        yield "an image definition: this is a lock alone; cosmos freeze --image makes one from a system"
    elif secrets := stand_ins(wanted.definition.template):
        yield f"the values of the secret variables {', '.join(sorted(secrets))}: give them to the build again"
    if not home_anchor(world.home).exists():
        yield "trust anchors: this home has accepted none"


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Give the draft beside `folder`, as an earlier run left it. Raises `WorldFailed` if another run is at work."""
    folder = folder.absolute()
    place = folder.with_name(f".{folder.name}-vendoring")
    for one in (place, place / "folder"):
        if one.is_symlink():
            raise WorldFailed(str(one), "is a link; cosmos keeps unfinished work there", hint=f"remove {place}")
    with blaming(place):
        (place / "folder").mkdir(parents=True, exist_ok=True)
    with alone_if_free(place / _MARK) as is_ours:
        if not is_ours:
            raise WorldFailed(str(folder), "another cosmos vendors to this folder", hint="wait until it is done")
        yield place / "folder"
        shutil.rmtree(place, ignore_errors=True)  # only when it is done: a failed run goes on where it was


def _has(folder: Path, vendored: Vendored) -> bool:
    """Return whether `folder` holds exactly the files of `vendored`, each as listed."""
    if not folder.is_dir():
        return False
    try:
        if read_vendored(folder) != vendored:
            return False
        demand_as_listed(folder, vendored.files, vendored)
        if vendored.image is not None:
            return packed_digest(read_definition(folder / vendored.image)) == vendored.definition
    except CosmosError:
        return False
    return True


def _write(draft: Path, parts: Mapping[str, Part], vendored: Vendored, world: Home) -> None:
    """Write what the draft does not have yet, and remove what does not belong into it."""
    world.reporter.step(f"write {counted(len(parts), 'file')}")
    for place in sorted(draft.rglob("*"), reverse=True):
        path = place.relative_to(draft).as_posix()
        is_definition = path.split("/")[0] in DEFINITION_FOLDERS
        if place.is_symlink() or not place.is_dir():
            if path not in parts and not is_definition:
                place.unlink()
        elif not is_definition and not any(one.startswith(f"{path}/") for one in parts):
            shutil.rmtree(place)
    total, done = sum(part.size_bytes for part in parts.values()), 0
    for path, part in sorted(parts.items()):
        place = draft / path
        if not _is_there(place, part):
            with durable_file(place) as stream:
                stream.writelines(pieces(part.read()))
        done += part.size_bytes
        world.reporter.progress(path, done, total, "bytes")
    with durable_file(draft / VENDORED_FILE) as stream:
        stream.write(vendored.to_bytes())


def _is_there(place: Path, part: Part) -> bool:
    if place.is_symlink() or not place.is_file() or place.stat().st_size != part.size_bytes:
        return False
    return content_digest(file_content(place, part.size_bytes)) == part.digest


def _demand_buildable(draft: Path, wanted: _Wanted, vendored: Vendored, world: Home, accept: frozenset[str]) -> None:
    """Judge the draft as a build with it will: from its own files, not from the store's."""
    world.reporter.step("check the copy")
    demand_as_listed(draft, vendored.files, vendored)
    with temporary_folder(_PREFIX) as folder:
        copy = RebuildWorld(
            home=world.home,
            offline=False,
            reporter=Silent(),
            origin=draft,
            upper=folder / "store",
            lower=world.home / "store",
        )
        demand_vouched(wanted.policy, acquire_lock(wanted.lock, wanted.place, copy, accept).stars, copy)


def _finish(draft: Path) -> None:
    """Write the definition's files and all folders to the disk."""
    with blaming(draft):
        for place in sorted(draft.rglob("*")):
            if place.is_symlink():
                continue
            if place.is_dir():
                sync_folder(place)
            elif place.relative_to(draft).parts[0] in DEFINITION_FOLDERS:
                with place.open("rb") as stream:
                    os.fsync(stream.fileno())
        sync_folder(draft)
