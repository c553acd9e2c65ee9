"""Fetch a release by plain HTTP: of its image, only the frames that no release at hand has.

In this order:

  1. RELEASE.json and its signature: from here on, every file and size is known by what was signed
  2. the end of the image: its seek table and its index, by range requests
  3. the frames that are lacking, those that follow one another by one request; each is kept when it has the digest that
     the index names, and one that was cut off is continued
  4. the image is put together: its pack digest
  5. the other files: from a release at hand, from the image (release.delta.derived), else from the server
  6. the rest as for a delta (release.delta.applying)

The index is believed no further than to choose frames: the pack digest in the signed description decides. A server
without ranges sends the whole image. No program of ours runs on the server: any one that serves files will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cosmos.content import Content, content_digest, pieces
from cosmos.digest import Digest
from cosmos.durable import blaming
from cosmos.errors import CosmosError, WorldFailed
from cosmos.limits import MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.model.release import DEFINITION_FILE, RELEASE_ENVELOPE, RELEASE_FILE, Subject
from cosmos.model.reporter import Reporter
from cosmos.pack.image_file import ImageLayer, ImageReader
from cosmos.reading import file_content, is_there
from cosmos.records import dataclass
from cosmos.release.delta.applying import (
    Judge,
    MadeRelease,
    publish,
    signed_release,
    write_files,
    write_image,
)
from cosmos.release.delta.open_image import OpenImage, image_of, read_release
from cosmos.release.delta.remote_image import NoRanges, RemoteFile, fetch_frames
from cosmos.release.delta.work import Work, work_beside
from cosmos.release.draft import demand_replaceable, draft_beside
from cosmos.transport.carrier import NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.network import Network
from cosmos.trust.releases import ReleaseKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A release that was fetched. `image_bytes` were downloaded of its image, `other_bytes` of other files."""

    made: MadeRelease
    image_bytes: int
    other_bytes: int


class AtHand:
    """Releases on the disk. Nothing of them is believed: a frame or a file counts if it has the wanted digest."""

    def __init__(self, folders: Iterable[Path], reporter: Reporter) -> None:
        self._folders = tuple(folders)
        self._frames: dict[Digest, tuple[OpenImage, int]] = {}
        for folder in self._folders:
            try:
                with blaming(folder / RELEASE_FILE):
                    self._open(folder)
            except CosmosError as error:
                if not os.path.lexists(folder / RELEASE_FILE):
                    raise  # it is no release at all: another folder was meant
                reporter.warn(f"--have {folder}: {error}; more is downloaded for it")

    def _open(self, folder: Path) -> None:
        release, _ = read_release(folder)
        image = OpenImage.open(folder / image_of(release, str(folder / RELEASE_FILE)).name)
        self._frames |= {layer.digest: (image, place) for place, layer in enumerate(image.reader.layers)}

    def frame(self, digest: Digest) -> Content | None:
        """Return the frame with this digest, or None if no image here has it undamaged."""
        if digest not in self._frames:
            return None
        image, place = self._frames[digest]
        with suppress(CosmosError):
            return image.layer(place).frame
        return None

    def file(self, subject: Subject) -> Content | None:
        """Return this file of a release, or None if no release here has it."""
        for folder in self._folders:
            place = folder / subject.name
            with suppress(CosmosError, OSError):  # a pipe, or a disk that fails: then it comes from elsewhere
                if is_there(place) and place.stat().st_size == subject.size_bytes:
                    content = file_content(place, subject.size_bytes)
                    if content_digest(content) == subject.digest:
                        return content
        return None


def fetch_release(
    url: str, have: Iterable[Path], out: Path, signers: ReleaseKeys, judge: Judge, network: Network, reporter: Reporter
) -> Fetched:
    """Make the release at `url` in the folder `out`; after an error it is as it was. Raises as `apply_delta` does."""
    demand_replaceable(out)
    at_hand = AtHand(have, reporter)
    with work_beside(out) as work, draft_beside(out) as draft:
        carrier = HttpCarrier(url, work.folder / "downloads", network)
        described = _description(carrier)
        signed = signed_release(described, signers, carrier.address)
        documents: dict[str, Content] = {**described}
        release = signed.release
        image = image_of(release, RELEASE_FILE)
        source = _Source(carrier, at_hand, work, reporter)
        write_image(draft, image, source.image(image), release)
        for subject in release.subjects:
            found = None if subject == image else at_hand.file(subject)
            if found is None and subject.name == DEFINITION_FILE:
                found = source.file(subject)
            if found is not None:
                documents[subject.name] = found
        write_files(draft, signed, documents, work, reporter, source.file)
        made = publish(draft, signed, out, judge, reporter)
    return Fetched(made=made, image_bytes=source.image_bytes, other_bytes=source.other_bytes)


class _Source:
    """The release's server, and what is at hand."""

    def __init__(self, carrier: HttpCarrier, at_hand: AtHand, work: Work, reporter: Reporter) -> None:
        self._carrier = carrier
        self._at_hand = at_hand
        self._work = work
        self._reporter = reporter
        self.image_bytes = 0
        self.other_bytes = 0

    def file(self, subject: Subject) -> Content:
        """Return a file of the release, from a release at hand or from the server. Raises as `Carrier` says."""
        found = self._at_hand.file(subject)
        if found is None:
            found = self._downloaded(subject)
            self.other_bytes += subject.size_bytes
        return found

    def image(self, image: Subject) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the image. Raises `Refused` and `WorldFailed`."""
        whole = self._at_hand.file(image)
        if whole is not None:
            yield from pieces(whole)
            return
        remote = RemoteFile(self._carrier, image.name, image.size_bytes)
        try:
            layers = ImageReader.of_stream(remote.stream(), f"{self._carrier.address}/{image.name}").layers
            lacking = [*self._lacking(layers)]
            total = sum(layer.seek.packed_bytes for layer in lacking)
            begun = remote.given_bytes
            fetch_frames(
                remote,
                lacking,
                self._work,
                lambda done: self._reporter.progress(image.name, done - begun, total, "bytes"),
            )
        except NoRanges as error:
            self._reporter.note(f"{image.name}: {error.problem}; all of it is downloaded")
            self.image_bytes += image.size_bytes
            yield from pieces(self._downloaded(image))
            return
        finally:
            self.image_bytes += remote.downloaded_bytes
        for layer in layers:
            yield from pieces(self._frame(layer))
        yield remote.end_from(sum(layer.seek.packed_bytes for layer in layers))

    def _lacking(self, layers: Sequence[ImageLayer]) -> Iterator[ImageLayer]:
        """Yield the layers whose frames are not here, each frame once."""
        seen: set[Digest] = set()
        for layer in layers:
            is_new = layer.digest not in seen
            seen.add(layer.digest)
            if is_new and self._held(layer) is None:
                yield layer

    def _frame(self, layer: ImageLayer) -> Content:
        found = self._held(layer)
        if found is None:
            raise WorldFailed(layer.name, "was changed while the image was put together", hint="run it again")
        return found

    def _held(self, layer: ImageLayer) -> Content | None:
        found = self._at_hand.frame(layer.digest)
        return self._work.kept(layer.digest, layer.seek.packed_bytes) if found is None else found

    def _downloaded(self, subject: Subject) -> Content:
        return self._carrier.read_exactly(
            subject.name,
            size_bytes=subject.size_bytes,
            progress=lambda done: self._reporter.progress(subject.name, done, subject.size_bytes, "bytes"),
            digest=subject.digest,
        )


def _description(carrier: HttpCarrier) -> dict[str, bytes]:
    """Return RELEASE.json and its envelope. Raises `WorldFailed` and `Refused`."""
    try:
        return {
            RELEASE_FILE: carrier.read(RELEASE_FILE, max_bytes=MAX_RELEASE_BYTES),
            RELEASE_ENVELOPE: carrier.read(RELEASE_ENVELOPE, max_bytes=MAX_SIGNED_BYTES),
        }
    except NotThere as error:
        raise WorldFailed(
            carrier.address,
            f"has no {RELEASE_FILE} with {RELEASE_ENVELOPE}",
            hint="name the address of a folder that `cosmos build` made",
        ) from error
