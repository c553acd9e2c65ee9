"""Apply a delta: make the new release out of the old one, byte for byte as it was released.

In this order:

  1. the delta's signature and data (release.delta.delta_file)
  2. RELEASE.json and its signature, by the same keys: from here on, every file and size is known by what was signed
  3. each layer: the old image's, or a frame, or the content that a patch makes, packed again; its digest
  4. the image is written: its pack digest
  5. every other file, with its digest; manifest.txt is the content root, and lists the entries of the image's index
  6. the lock answers its own wishes, and the caller's judge agrees; then the folder takes its place in one step

A killed run leaves the finished layers in a folder beside the result, and the next run takes them. The old release is
only read. Memory: the content of the largest layer that a patch makes, twice the one that the patch refers to, what the
compressor needs at the release's level (90 MiB at level 19), and the small files of both releases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from cosmos.content import Content, content_digest, pieces
from cosmos.digest import Digest
from cosmos.errors import Differs, Malformed, Refused, WorldFailed
from cosmos.limits import MAX_DELTA_DOCUMENTS_BYTES, MAX_LOCK_BYTES, MAX_PATCHED_BYTES
from cosmos.model.delta import DeltaHead, KeptLayers, NewLayer
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.release import (
    BINARY_FILE,
    DEFINITION_FILE,
    MANIFEST_FILE,
    RELEASE_ENVELOPE,
    RELEASE_FILE,
    Release,
    Subject,
)
from cosmos.model.reporter import Reporter
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader, PackedLayer, image_pieces
from cosmos.pack.layer import layer_of_frame
from cosmos.pack.patch import patched
from cosmos.pack.zst import ZSTD_VERSION, compressed
from cosmos.reading import ENVELOPE_SUFFIX, read_bounded
from cosmos.records import dataclass
from cosmos.release.delta.delta_file import OpenDelta
from cosmos.release.delta.derived import Derivation, demand_digest
from cosmos.release.delta.open_image import image_of
from cosmos.release.delta.work import Work, work_beside
from cosmos.release.draft import FolderDraft, demand_replaceable, draft_beside
from cosmos.release.verify import ReleaseVerdict
from cosmos.resolve.locked import demand_right
from cosmos.trust.dsse import Signature, assemble
from cosmos.trust.releases import ReleaseKeys, verify_release

Judge: TypeAlias = Callable[[ReleaseVerdict], None]
"""Judges a release that is complete and verified, before it takes its place. It raises to refuse it."""


class Base(Protocol):
    """The interface of what a delta is applied to: the old release, or a system's files."""

    def layer(self, place: int) -> PackedLayer:
        """Return a layer of the old image. Raises `Refused` or `Differs`."""

    def content(self, place: int) -> bytes:
        """Return the content of a layer of the old image. Raises as `layer` does."""

    def joined(self, names: Iterable[str]) -> bytes:
        """Return the bytes of these files of the old release, one after another. Raises as `layer` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeRelease:
    """A release that was made and published. `changed` is false if it was there before."""

    verdict: ReleaseVerdict
    changed: bool


def apply_delta(
    delta: OpenDelta, base: Base, out: Path, signers: ReleaseKeys, judge: Judge, reporter: Reporter
) -> MadeRelease:
    """Make the delta's release in the folder `out`. After an error `out` is as it was.

    Raises `Malformed`, `Refused`, `Differs`, `NoSolution` and `WorldFailed`.
    """
    head = delta.head
    demand_same_zstd(head, delta.source)
    demand_replaceable(out)
    with work_beside(out) as work, draft_beside(out) as draft:
        documents = _documents(delta, base, head)
        signed = signed_release(documents, signers, delta.source)
        if Digest.of(documents[RELEASE_FILE]) != head.new.release:
            raise Refused(delta.source, f"holds another {RELEASE_FILE} than its head names")
        image = image_of(signed.release, RELEASE_FILE)
        layers = [*_layers(delta, base, work, reporter)]
        write_image(draft, image, _image(layers, signed.content_root, delta.source), signed.release)
        write_files(draft, signed, documents, work, reporter, _not_carried)
        return publish(draft, signed, out, judge, reporter)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRelease:
    """A description whose signature was verified. `signers` are key ids."""

    release: Release
    signers: tuple[str, ...]
    content_root: Digest


def signed_release(documents: Mapping[str, bytes], signers: ReleaseKeys, source: str) -> SignedRelease:
    """Return the release that `documents` describe. Raises `Refused` and `Malformed`."""
    if RELEASE_FILE not in documents:
        raise Malformed(source, f"brings no {RELEASE_FILE}")
    verified = verify_release(
        documents[RELEASE_FILE],
        documents.get(RELEASE_ENVELOPE),
        signers,
        source=f"{source}: {RELEASE_FILE}",
    )
    release = Release.parse(verified.payload, f"{source}: {RELEASE_FILE}")
    root = release.internal.get("contentRoot")
    try:
        content_root = Digest.parse(root if isinstance(root, str) else "")
    except ValueError as error:
        raise Malformed(f"{source}: {RELEASE_FILE}", f"internalParameters.contentRoot: {error}") from error
    return SignedRelease(release=release, signers=verified.signers, content_root=content_root)


def write_image(draft: FolderDraft, image: Subject, made: Iterable[bytes | memoryview], release: Release) -> None:
    """Write the image. Raises `Refused` unless it has the digest that the release names."""
    draft.write(image.name, made, mode_of(image, release))
    _demand_written(draft, image)


def write_files(
    draft: FolderDraft,
    signed: SignedRelease,
    documents: Mapping[str, Content],
    work: Work,
    reporter: Reporter,
    elsewhere: Callable[[Subject], Content],
) -> None:
    """Write all files but the image: each is in `documents`, or the image gives it, or else `elsewhere`.

    Raises `Refused`, and as `elsewhere` does.
    """
    release = signed.release
    image = image_of(release, RELEASE_FILE)
    reader = ImageReader.open(draft.folder / image.name, image.name)
    definition = bytes(documents.get(DEFINITION_FILE, b""))
    packs = release.internal.get("zstd") == ZSTD_VERSION  # another one packs an initramfs into other bytes
    derivation = Derivation(reader, definition if packs else b"", work.spool)
    for subject in release.subjects:
        if subject == image:
            continue
        content: Content | None = documents.get(subject.name)
        if content is None:
            content = _derived(derivation, subject, work, reporter)
        if content is None:
            content = elsewhere(subject)
        draft.write(subject.name, pieces(content), mode_of(subject, release))
        _demand_written(draft, subject)
    draft.write(RELEASE_FILE, pieces(documents[RELEASE_FILE]))
    draft.write(RELEASE_ENVELOPE, pieces(documents[RELEASE_ENVELOPE]))
    if MANIFEST_FILE in draft.files and draft.files[MANIFEST_FILE].digest != signed.content_root:
        raise Refused(MANIFEST_FILE, f"is not the content root {signed.content_root} that the release names")


def publish(draft: FolderDraft, signed: SignedRelease, out: Path, judge: Judge, reporter: Reporter) -> MadeRelease:
    """Judge the complete release and move it to `out` in one step. Raises as `Judge` says, and `WorldFailed`."""
    lock = Lock.parse(read_bounded(draft.folder / LOCK_FILE, MAX_LOCK_BYTES), LOCK_FILE)
    demand_right(lock, out / LOCK_FILE)
    image = image_of(signed.release, RELEASE_FILE)
    reader = ImageReader.open(draft.folder / image.name, image.name)
    verdict = ReleaseVerdict(
        folder=draft.folder,
        release=signed.release,
        signers=signed.signers,
        content_root=signed.content_root,
        entries=len(reader.lines()),
        compared=(image.name,),
    )
    judge(verdict)
    published = draft.publish(reporter)
    return MadeRelease(verdict=verdict, changed=published.changed)


def demand_same_zstd(head: DeltaHead, source: str) -> None:
    """Raise `WorldFailed` if this cosmos has another zstd than the release: its frames would have other bytes."""
    if head.zstd != ZSTD_VERSION:
        raise WorldFailed(
            source,
            f"is for a release that was packed by zstd {head.zstd}, and this cosmos has zstd {ZSTD_VERSION}",
            hint="get the release itself, which needs no packing: cosmos fetch URL --have OLD -o NEW",
        )


def mode_of(subject: Subject, release: Release) -> int:
    """Return the mode that `cosmos build` gives a file of the release."""
    if subject.name == BINARY_FILE:
        return 0o755
    return 0o600 if release.external.get("secrets") and subject.content_root is not None else 0o644


def _documents(delta: OpenDelta, base: Base, head: DeltaHead) -> dict[str, bytes]:
    """Return the files that the delta brings, by name. Raises `Differs` if the base has other files."""
    documents = head.documents
    reference = base.joined(documents.reference)
    if len(reference) > MAX_DELTA_DOCUMENTS_BYTES or Digest.of(reference) != documents.reference_digest:
        names = ", ".join(documents.reference)
        raise Differs(
            delta.source,
            f"refers to files of the old release, of which one is damaged there: {names}",
            hint="cosmos verify OLD names it; or get the release itself: cosmos fetch URL --have OLD -o NEW",
        )
    content = memoryview(patched(bytes(delta.documents()), reference, documents.size_bytes, delta.source))
    files: dict[str, bytes] = {}
    place = 0
    for name, size in documents.files:
        files[name] = bytes(content[place : place + size])
        place += size
    for made in head.envelopes:
        if made.of not in files:
            raise Malformed(delta.source, f"has signatures of {made.of}, which it does not bring")
        signatures = [Signature(keyid=keyid, raw=raw) for keyid, raw in made.signatures]
        files[f"{made.of}{ENVELOPE_SUFFIX}"] = assemble(made.payload_type, files[made.of], signatures)
    return files


def _image(layers: Sequence[PackedLayer], root: Digest, source: str) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the new image. Raises `Refused` for layers that do not form a tree."""
    try:
        yield from image_pieces(layers, {"content-root": str(root)})
    except ValueError as error:
        raise Refused(source, f"makes no image: {error}") from error


def _layers(delta: OpenDelta, base: Base, work: Work, reporter: Reporter) -> Iterator[PackedLayer]:
    """Yield the layers of the new image, without the end layer. Raises `Refused`."""
    total = len(delta.head.layers)
    for done, (layer, data) in enumerate(delta.layers()):
        if isinstance(layer, KeptLayers):
            yield from (base.layer(place) for place in range(layer.first, layer.first + layer.count))
            continue
        reporter.progress(layer.name, done, total)
        yield _new_layer(layer, data, delta, base, work)
    reporter.progress("layers", total, total)


def _new_layer(layer: NewLayer, data: Content, delta: OpenDelta, base: Base, work: Work) -> PackedLayer:
    """Return a layer that the delta brings: whole, or made by a patch and packed. `work` has those of a killed run."""
    where = f"{delta.source}: layer {layer.name}"
    content: Content | None = None
    frame = data if layer.reference is None else work.kept(layer.digest, layer.packed_bytes)
    if frame is None and layer.reference is not None:
        content = work.spool.add([_patched(layer, data, base, where)])
        frame = compressed(content, delta.head.level, work.spool)
        demand_digest(frame, layer.digest, where)
        work.keep(layer.digest, pieces(frame))
    if frame is None or len(frame) != layer.packed_bytes or content_digest(frame) != layer.digest:
        raise Refused(where, f"is not the frame of {layer.packed_bytes} bytes with {layer.digest}")
    made = layer_of_frame(layer.name, frame, layer.unpacked_bytes, content)
    return PackedLayer(
        name=made.name,
        frame=work.spool.add(pieces(frame)) if layer.reference is not None else frame,
        digest=made.digest,
        unpacked_bytes=made.unpacked_bytes,
        rows=made.rows,
    )


def _patched(layer: NewLayer, data: Content, base: Base, where: str) -> bytes:
    if len(data) > MAX_PATCHED_BYTES:
        raise Refused(where, f"its patch has {len(data)} bytes, the limit is {MAX_PATCHED_BYTES}")
    return patched(bytes(data), base.content(layer.reference or 0), layer.unpacked_bytes, where)


def _not_carried(subject: Subject) -> Content:
    """Refuse a delta that brings too little. Raises `Refused`."""
    raise Refused(subject.name, "is neither in the delta nor made from the image as the release names it")


def _derived(derivation: Derivation, subject: Subject, work: Work, reporter: Reporter) -> Content | None:
    """Return a file that the image gives, or None. An initramfs takes long to make, and waits in `work`."""
    is_long = derivation.is_initramfs(subject) and not derivation.is_cheap(subject)
    content = work.kept(subject.digest, subject.size_bytes) if is_long else None
    if content is None:
        if is_long:
            reporter.step(f"pack {subject.name}")
        content = derivation.content(subject)
        if content is not None and is_long:
            work.keep(subject.digest, pieces(content))
    return content


def _demand_written(draft: FolderDraft, subject: Subject) -> None:
    written = draft.files[subject.name]
    if (written.digest, written.size_bytes) != (subject.digest, subject.size_bytes):
        what = "pack digest" if subject.name.endswith(IMAGE_SUFFIX) else "digest"
        raise Refused(
            subject.name,
            f"has the {what} {written.digest}, but the release names {subject.digest}",
            hint="get the release again from its signer",
        )
