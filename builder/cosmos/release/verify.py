"""Check a release with public keys alone: `cosmos verify OUT --key PUB`.

In this order:

  1. the signature is over the exact bytes of RELEASE.json (`Refused`)
  2. the folder holds the files that RELEASE.json names and no other, each with its size and digest
  3. the content root is the digest of manifest.txt
  4. the decoded image holds exactly the entries of manifest.txt, and every file has the digest of its line
  5. the lock inside answers its own wishes (`NoSolution`), if it has the fields for this check (model.lock)

All differences of points 2 to 4 are collected and named together (`Differs`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, Malformed
from cosmos.limits import MAX_LOCK_BYTES, MAX_MANIFEST_BYTES, MAX_RELEASE_BYTES, MAX_SIGNED_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.release import MANIFEST_FILE, RELEASE_ENVELOPE, RELEASE_FILE, Release, Subject
from cosmos.model.reporter import Reporter, counted
from cosmos.pack.image_check import demand_as_indexed
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader
from cosmos.reading import digest_of_size, is_there, open_plain, read_bounded, read_envelope
from cosmos.records import dataclass
from cosmos.release.missing import no_release
from cosmos.resolve.locked import demand_right
from cosmos.tables import uncollected
from cosmos.tree.manifest import ManifestLine, content_root, manifest_lines
from cosmos.treepath import TreePath
from cosmos.trust.releases import ReleaseKeys, verify_release

_BUILD_AGAIN: Final = "build the image again with this cosmos"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseVerdict:
    """A release that passed. `signers` are key ids; `entries` is the number of paths in its manifest.

    `compared` names the images whose entries were compared with the manifest. Of other outputs, such as an initramfs,
    only size and digest were compared with the signed ones.
    """

    folder: Path
    release: Release
    signers: tuple[str, ...]
    content_root: Digest
    entries: int
    compared: tuple[str, ...]


def demand_release(folder: Path) -> Path:
    """Return the document of the release in `folder`; raises `Malformed` if `folder` is no release."""
    document = folder / RELEASE_FILE
    if not is_there(document):
        raise no_release(folder)
    return document


def verify_release_folder(
    folder: Path, signers: ReleaseKeys, *, workers: int = 1, reporter: Reporter
) -> ReleaseVerdict:
    """Return the verdict on the release in `folder`; raises `Refused`, `Differs`, `NoSolution` or `Malformed`.

    So many `workers` unpack layers of an image at the same time.
    """
    document = demand_release(folder)
    data = read_bounded(document, MAX_RELEASE_BYTES)
    signed = verify_release(data, read_envelope(document, MAX_SIGNED_BYTES), signers, source=str(document))
    release = Release.parse(signed.payload, str(document))
    with uncollected():
        entries = demand_whole(folder, release, reporter, workers)
        lock = folder / LOCK_FILE
        _demand_named(release, lock)
        demand_right(Lock.parse(read_bounded(lock, MAX_LOCK_BYTES), str(lock)), lock)
    root = _content_root(release, folder)
    return ReleaseVerdict(
        folder=folder,
        release=release,
        signers=signed.signers,
        content_root=root,
        entries=entries,
        compared=tuple(subject.name for subject in _images(release)),
    )


def demand_whole(folder: Path, release: Release, reporter: Reporter, workers: int = 1) -> int:
    """Return the number of entries in the image, if `folder` holds what `release` names and nothing else.

    Raises `Differs`, with each difference, or `Malformed`.
    """
    size_bytes = sum(subject.size_bytes for subject in release.subjects)
    reporter.step(f"hash {counted(len(release.subjects), 'file')}, {size_bytes:,} bytes")
    entries, found = 0, [*file_differences(folder, release, reporter)]
    if not found:
        reporter.step("unpack the image, and compare it with its manifest")
        entries, found = _content_differences(folder, release, workers, reporter)
    if found:
        raise Differs(
            str(folder),
            f"{counted(len(found), 'difference')} from {RELEASE_FILE}: {found[0]}",
            differences=tuple(found),
            hint="get the release again from its signer, or build it again",
        )
    return entries


def file_differences(
    folder: Path, release: Release, reporter: Reporter, besides: Collection[str] = ()
) -> Iterator[str]:
    """Yield a line for each file that is missing, is not as RELEASE.json names it, or does not belong there.

    The files `besides` may lie there, too.
    """
    named = {RELEASE_FILE, RELEASE_ENVELOPE, *(subject.name for subject in release.subjects), *besides}
    for file in sorted(folder.iterdir()):
        if file.name not in named:
            yield f"{file.name}: is not part of the release"
    total = sum(subject.size_bytes for subject in release.subjects)
    done = 0
    for subject in release.subjects:
        reporter.progress(subject.name, done, total, "bytes")
        problem = _file_difference(folder / subject.name, subject)
        if problem:
            yield f"{subject.name}: {problem}"
        done += subject.size_bytes
        reporter.progress(subject.name, done, total, "bytes")


def _file_difference(file: Path, subject: Subject) -> str | None:
    if file.is_symlink() or not file.is_file():
        return "is missing" if not file.exists() else "is not a plain file"
    digest = digest_of_size(file, subject.size_bytes)
    if digest is None:
        return f"has {file.stat().st_size} bytes, but the release names {subject.size_bytes}"
    return None if digest == subject.digest else f"is {digest}, but the release names {subject.digest}"


def _content_differences(folder: Path, release: Release, workers: int, reporter: Reporter) -> tuple[int, list[str]]:
    """Return the number of entries, and the differences between the manifest, the content root and the images.

    The digests of the files cannot show these. An image whose lines have the content root has the manifest's lines, so
    the manifest is not read again. Else it is read line by line, because it may have 5 million lines.
    """
    root, file = _content_root(release, folder), folder / MANIFEST_FILE
    _demand_named(release, file)
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise Malformed(str(file), f"has {file.stat().st_size} bytes, the limit is {MAX_MANIFEST_BYTES}")
    with open_plain(file) as stream:
        digest = Digest.of_stream(stream)
    if digest != root:
        return 0, [f"{MANIFEST_FILE}: hashes to {digest}, but the release names the content root {root}"]
    entries: int | None = None
    found: list[str] = []
    for subject in _images(release):
        try:
            lines = _lines(folder / subject.name, workers, reporter)
        except CosmosError as error:
            found.append(f"{subject.name}: {error.problem}")
            continue
        if content_root(lines) == root:
            entries = len(lines)
            continue
        found += [f"{subject.name}: /{path.text} is not as {MANIFEST_FILE} lists it" for path in _unlike(lines, file)]
    if entries is None:
        with open_plain(file) as stream:
            entries = sum(1 for _ in manifest_lines(stream, MANIFEST_FILE))
    return entries, found


def _demand_named(release: Release, file: Path) -> None:
    """Raise `Malformed` unless the release names this file of its folder, as every release does."""
    if all(subject.name != file.name for subject in release.subjects):
        raise Malformed(str(file.parent / RELEASE_FILE), f"names no {file.name}", hint=_BUILD_AGAIN)


def _images(release: Release) -> list[Subject]:
    """Return the files of the release whose entries can be compared with the manifest."""
    return [subject for subject in release.subjects if subject.name.endswith(IMAGE_SUFFIX)]


def _lines(image: Path, workers: int, reporter: Reporter) -> list[ManifestLine]:
    """Return the lines of the image's entries, sorted by path, after all of it was unpacked and compared with them."""
    reader = ImageReader.open(image)
    demand_as_indexed(reader, workers, lambda done, total: reporter.progress(image.name, done, total, "bytes"))
    return reader.lines()


def _unlike(lines: Iterable[ManifestLine], manifest: Path) -> list[TreePath]:
    """Return the paths at which an image with these lines differs from the manifest."""
    held = {line.path: line for line in lines}
    with open_plain(manifest) as stream:
        unlike = [line.path for line in manifest_lines(stream, MANIFEST_FILE) if held.pop(line.path, None) != line]
    return sorted([*unlike, *held])


def _content_root(release: Release, folder: Path) -> Digest:
    text = release.internal.get("contentRoot")
    try:
        return Digest.parse(text if isinstance(text, str) else "")
    except ValueError as error:
        source = str(folder / RELEASE_FILE)
        raise Malformed(source, f"internalParameters.contentRoot: {error}", hint=_BUILD_AGAIN) from error
