"""Make a delta: a file that holds what a new release has and an old one lacks (model.delta; docs/formats/delta.md).

Each layer of the new image that the old image lacks becomes a patch that refers to an older layer, or its whole frame
if that is smaller. A patch is only taken if its content gives the very frame again, under this version of zstd and the
level of the release. Files that the new image gives (release.delta.derived) are not carried. So a delta is never larger
than the files of the release by more than its head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cosmos.content import Content, content_digest, pieces
from cosmos.digest import Digest
from cosmos.durable import durable_file
from cosmos.errors import Differs, Malformed, Refused, WorldFailed, quoted
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import (
    MAX_DELTA_DOCUMENTS_BYTES,
    MAX_LOCK_BYTES,
    MAX_PATCHED_BYTES,
    MAX_SIGNED_BYTES,
)
from cosmos.model.delta import (
    DELTA_LENGTH_BYTES,
    DELTA_MAGIC,
    DeltaHead,
    Documents,
    KeptLayers,
    MadeEnvelope,
    NewLayer,
    ReleaseName,
)
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.release import DEFINITION_FILE, RELEASE_ENVELOPE, RELEASE_FILE, Release
from cosmos.model.reporter import Reporter
from cosmos.pack.image_file import DIRECTORIES, image_pieces
from cosmos.pack.layer import layer_of_frame
from cosmos.pack.patch import LEAST_REFERENCE_BYTES, made_patch
from cosmos.pack.zst import ZSTD_VERSION, compress, compressed
from cosmos.reading import ENVELOPE_SUFFIX, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.delta.derived import Derivation
from cosmos.release.delta.open_image import OpenImage, file_names, image_of, joined, read_release
from cosmos.release.delta.pairs import Named, Pair, paired
from cosmos.release.verify import file_differences
from cosmos.spool import Spool
from cosmos.tree.overlay import TEMPLATE
from cosmos.trust.dsse import Envelope, assemble
from cosmos.trust.roles import DELTA_TYPE

_DOCUMENTS_LEVEL: Final = 19


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a delta is made for. `whole` are stars that it carries whole; `installed`: also for a system's files."""

    whole: frozenset[str] = frozenset()
    installed: bool = False

    def is_whole(self, star: str) -> bool:
        """Return whether this star's layer is carried whole: as those that few systems leave as they were."""
        return star in self.whole or (self.installed and star in (DIRECTORIES, TEMPLATE))


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeDelta:
    """A delta that was written: its size, and the sizes of the new image and of all files of the release."""

    file: Path
    head: DeltaHead
    size_bytes: int
    image_bytes: int
    release_bytes: int


class Side:
    """One of the two releases. Raises `Malformed` and `Refused`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.release, self.document = read_release(folder)
        self.subject = image_of(self.release, str(folder / RELEASE_FILE))
        self.image = OpenImage.open(folder / self.subject.name)

    @property
    def layers(self) -> list[Named]:
        """The layers of the image, with their stars' names: the lock says which part of a layer's name is a version."""
        lock = Lock.parse(read_bounded(self.folder / LOCK_FILE, MAX_LOCK_BYTES), str(self.folder / LOCK_FILE))
        stars = {star.id: str(star.name) for star in lock.stars}
        return [Named(layer=name, star=stars.get(name, name), digest=digest) for name, digest in self.image.names]

    @property
    def name(self) -> ReleaseName:
        """The release by its digests."""
        return ReleaseName(release=Digest.of(self.document), image=self.subject.name, digest=self.subject.digest)

    def demand_whole(self, reporter: Reporter) -> None:
        """Raise `Differs` unless the folder has the files that RELEASE.json names, `Malformed` if nobody signed it."""
        found = [*file_differences(self.folder, self.release, reporter)]
        if found:
            raise Differs(
                str(self.folder),
                f"is not as {RELEASE_FILE} names it: {found[0]}",
                differences=tuple(found),
                hint="build it again",
            )
        if not is_there(self.folder / RELEASE_ENVELOPE):
            raise Malformed(
                str(self.folder / RELEASE_ENVELOPE),
                "is not there: nobody signed this release, so nobody could take the update",
                hint="sign it: cosmos build IMAGE --key RELEASE.key",
            )


def make_delta(old: Side, new: Side, key: SecretKey, file: Path, wanted: Wanted, reporter: Reporter) -> MadeDelta:
    """Write the delta from `old` to `new`, signed by `key`, to `file`.

    Raises `Differs` for a release that is damaged, `Malformed`, and `WorldFailed` if the new one was packed by another
    zstd.
    """
    key.demand_role("release")
    for side in (old, new):
        side.demand_whole(reporter)
    _demand_known(wanted, new)
    _demand_repeatable(new)
    level, spool = packed_level(new.release, str(new.folder / RELEASE_FILE)), Spool(file.absolute().parent)
    made = [*layer_parts(old, new, level, wanted, spool, reporter)]
    documents, envelopes, packed = _documents(old, new, wanted, spool, reporter)
    data = spool.add(piece for part in (*(part for _, part in made), packed) for piece in pieces(part))
    head = DeltaHead(
        old=old.name,
        new=new.name,
        zstd=ZSTD_VERSION,
        level=level,
        layers=tuple(_joined_runs(layer for layer, _ in made)),
        documents=documents,
        envelopes=envelopes,
        data_bytes=len(data),
        data_digest=content_digest(data),
        installed=old.image.names if wanted.installed else None,
    )
    envelope = key.sign(DELTA_TYPE, head.to_bytes())
    with durable_file(file) as stream:
        stream.write(DELTA_MAGIC + len(envelope).to_bytes(DELTA_LENGTH_BYTES, "little") + envelope)
        for piece in pieces(data):
            stream.write(piece)
    files = new.release.subjects
    return MadeDelta(
        file=file,
        head=head,
        size_bytes=len(DELTA_MAGIC) + DELTA_LENGTH_BYTES + len(envelope) + len(data),
        image_bytes=new.subject.size_bytes,
        release_bytes=sum(one.size_bytes for one in files) + len(new.document),
    )


def packed_level(release: Release, source: str) -> int:
    """Return the zstd level of the release's layers. Raises `WorldFailed` if another zstd packed them, `Malformed`."""
    version, level = release.internal.get("zstd"), release.internal.get("level")
    if not isinstance(level, int) or not isinstance(version, str):
        raise Malformed(source, "internalParameters: want zstd and level")
    if version != ZSTD_VERSION:
        raise WorldFailed(
            source,
            f"was packed by zstd {version}, and this cosmos has zstd {ZSTD_VERSION}, which makes other bytes",
            hint="make the delta with the cosmos that built the release",
        )
    return level


def _demand_known(wanted: Wanted, new: Side) -> None:
    """Raise `Malformed` for a star that is to be carried whole and that the new image does not have."""
    unknown = sorted(wanted.whole - {named.star for named in new.layers})
    if unknown:
        raise Malformed("--whole", f"{new.folder} has no star {unknown[0]}", hint=f"cosmos tree {quoted(new.folder)}")


def _demand_repeatable(side: Side) -> None:
    """Raise `WorldFailed` unless this cosmos puts the layers together into the very image, as `apply` will do."""
    image, hasher = side.image, hashlib.sha256()
    for piece in image_pieces(map(image.layer, range(len(image.names))), image.meta):
        hasher.update(piece)
    if hasher.hexdigest() != side.subject.digest.hex:
        raise WorldFailed(
            str(image.path),
            "was put together by another cosmos: this one makes another index",
            hint="make the delta with the cosmos that built the release",
        )


def layer_parts(
    old: Side, new: Side, level: int, wanted: Wanted, spool: Spool, reporter: Reporter
) -> Iterator[tuple[KeptLayers | NewLayer, Content]]:
    """Yield each layer of the new image as the delta names it, with its data. Raises `Refused`."""
    layers = new.layers
    pairs = paired(old.layers, layers)
    for done, (pair, named) in enumerate(zip(pairs, layers, strict=True)):
        reporter.progress(named.layer, done, len(pairs))
        is_whole = wanted.is_whole(named.star)
        if pair.same is not None and not is_whole:
            yield KeptLayers(first=pair.same, count=1), b""
        else:
            kept = Pair(place=pair.place) if is_whole else pair
            yield _new_layer(old.image, new.image, kept, level, spool)
    reporter.progress("layers", len(pairs), len(pairs))


def _new_layer(old: OpenImage, new: OpenImage, pair: Pair, level: int, spool: Spool) -> tuple[NewLayer, Content]:
    """Return a layer as a patch, or whole if that is smaller."""
    layer = new.layer(pair.place)
    if layer_of_frame(layer.name, layer.frame, layer.unpacked_bytes).rows != layer.rows:
        raise Refused(f"{new.path}: layer {layer.name}", "its members are not what the index says")
    whole = NewLayer(
        name=layer.name,
        digest=layer.digest,
        packed_bytes=len(layer.frame),
        unpacked_bytes=layer.unpacked_bytes,
        data_bytes=len(layer.frame),
    )
    reference = pair.reference
    if reference is None:
        return whole, layer.frame
    if not LEAST_REFERENCE_BYTES <= old.unpacked_bytes(reference) <= MAX_PATCHED_BYTES >= layer.unpacked_bytes:
        return whole, layer.frame
    content = new.content(pair.place)
    patch = made_patch(old.content(reference), content)
    if len(patch) >= len(layer.frame) or content_digest(compressed(content, level, spool)) != layer.digest:
        return whole, layer.frame
    return (
        NewLayer(
            name=layer.name,
            digest=layer.digest,
            packed_bytes=len(layer.frame),
            unpacked_bytes=layer.unpacked_bytes,
            data_bytes=len(patch),
            reference=reference,
        ),
        spool.add([patch]),
    )


def _joined_runs(layers: Iterable[KeptLayers | NewLayer]) -> Iterator[KeptLayers | NewLayer]:
    """Yield the layers, with those that follow one another in both images as one run."""
    run: KeptLayers | None = None
    for layer in layers:
        if run is not None and isinstance(layer, KeptLayers) and layer.first == run.first + run.count:
            run = KeptLayers(first=run.first, count=run.count + layer.count)
            continue
        if run is not None:
            yield run
        run = layer if isinstance(layer, KeptLayers) else None
        if run is None:
            yield layer
    if run is not None:
        yield run


def _documents(
    old: Side, new: Side, wanted: Wanted, spool: Spool, reporter: Reporter
) -> tuple[Documents, tuple[MadeEnvelope, ...], bytes]:
    """Return the files that nothing else gives, the envelopes that are made again, and the packed files."""
    envelopes = {name: made for name in file_names(new.release) if (made := _made_envelope(new.folder, name))}
    given = frozenset(_given(new, spool, reporter))
    names = [name for name in file_names(new.release) if name not in envelopes and name not in given]
    old_names = (
        [] if wanted.installed or _is_too_much(old, names) else [name for name in names if is_there(old.folder / name)]
    )
    content = joined(new.folder, names, MAX_DELTA_DOCUMENTS_BYTES)
    reference = joined(old.folder, old_names, MAX_DELTA_DOCUMENTS_BYTES)
    packed = compress([content], _DOCUMENTS_LEVEL)
    if len(reference) >= LEAST_REFERENCE_BYTES and len(patch := made_patch(reference, content)) < len(packed):
        packed = patch
    else:
        old_names, reference = [], b""
    documents = Documents(
        files=tuple((name, (new.folder / name).stat().st_size) for name in names),
        data_bytes=len(packed),
        reference=tuple(old_names),
        reference_digest=Digest.of(reference),
    )
    return documents, tuple(envelopes.values()), packed


def _is_too_much(old: Side, names: Iterable[str]) -> bool:
    sizes = {subject.name: subject.size_bytes for subject in old.release.subjects}
    return sum(sizes.get(name, 0) for name in names) + len(old.document) > MAX_DELTA_DOCUMENTS_BYTES


def _given(new: Side, spool: Spool, reporter: Reporter) -> Iterator[str]:
    """Yield the name of each file that the image gives."""
    definition = read_bounded(new.folder / DEFINITION_FILE) if is_there(new.folder / DEFINITION_FILE) else b""
    derivation = Derivation(new.image.reader, definition, spool)
    for subject in new.release.subjects:
        if subject == new.subject:
            continue
        if derivation.is_initramfs(subject):
            reporter.step(f"see whether the image gives {subject.name}")
        if derivation.content(subject) is not None:
            yield subject.name


def _made_envelope(folder: Path, name: str) -> MadeEnvelope | None:
    """Return how the envelope `name` is made of its file, or None if it is no envelope that cosmos wrote."""
    of = name.removesuffix(ENVELOPE_SUFFIX)
    if of == name or not is_there(folder / of):
        return None
    data = read_bounded(folder / name, MAX_SIGNED_BYTES)
    parsed = Envelope.parse(data, name, max_bytes=MAX_SIGNED_BYTES)
    payload = read_bounded(folder / of, MAX_SIGNED_BYTES)
    if parsed.payload != payload or assemble(parsed.payload_type, payload, parsed.signatures) != data:
        return None
    signatures = tuple((one.keyid, one.raw) for one in parsed.signatures)
    return MadeEnvelope(of=of, payload_type=parsed.payload_type, signatures=signatures)
