"""The facts of a finished release, read out of its folder.

Each file of the release is compared with RELEASE.json first. So the page is about the files that RELEASE.json names.
Whether somebody signed RELEASE.json is another question, which `verify_release_folder` answers with a public key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.errors import Differs, Malformed
from cosmos.limits import MAX_DEFINITION_BYTES, MAX_LOCK_BYTES, MAX_RECEIPTS_BYTES, MAX_RELEASE_BYTES
from cosmos.model.image import Image
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.model.release import DEFINITION_FILE, RELEASE_FILE, Release
from cosmos.model.reporter import Reporter, counted
from cosmos.pack.image_file import END, IMAGE_SUFFIX, ImageReader
from cosmos.pack.untar import read_tar
from cosmos.reading import is_there, read_bounded
from cosmos.release.diff.licences import licences_of
from cosmos.release.report.facts import Description, Facts, Right, deeds_of, right_of
from cosmos.release.verify import ReleaseVerdict, file_differences
from cosmos.resolve.locked import demand_right
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.tables import Table
from cosmos.tree.entry import tree_of
from cosmos.trust.signing_request import REQUEST_FILE, SIGNATURE_FILE

_IMAGE_TOML: Final = b"image/image.toml"  # folders are above it if a path of the definition climbs


def facts_of(folder: Path, verdict: ReleaseVerdict | None, reporter: Reporter) -> Facts:
    """Return the facts of the release in `folder`; without a `verdict`, no signature was checked.

    Raises `Malformed`, `Differs`, `NoSolution`, `Refused`.
    """
    release = read_release(folder) if verdict is None else verdict.release
    if verdict is None:
        demand_files(folder, release, reporter)
    file = folder / LOCK_FILE
    if not is_there(file):
        raise Malformed(str(folder), f"has no {LOCK_FILE}", hint="build the image again with this cosmos")
    lock = Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file))
    demand_right(lock, file)
    layers, rights = _of_image(folder, release)
    return Facts(
        release=release,
        lock=lock,
        verdict=verdict or "unchecked",
        definition=_definition(folder),
        bill=_bill(folder),
        layers=layers,
        rights=rights,
        deeds=_deeds(folder),
    )


def read_release(folder: Path) -> Release:
    """Return RELEASE.json of `folder`. Raises `Malformed`."""
    file = folder / RELEASE_FILE
    if not is_there(file):
        raise Malformed(str(folder), f"is no release: it has no {RELEASE_FILE}", hint="to make one: cosmos build IMAGE")
    return Release.parse(read_bounded(file, MAX_RELEASE_BYTES), str(file))


def demand_files(folder: Path, release: Release, reporter: Reporter) -> None:
    """Raise `Differs` unless `folder` holds the files that `release` names, each with its digest, and no other.

    What a release has that waits for its signature may lie there.
    """
    found = tuple(file_differences(folder, release, reporter, (REQUEST_FILE, SIGNATURE_FILE)))
    if found:
        problem = f"{counted(len(found), 'difference')} from {RELEASE_FILE}: {found[0]}"
        hint = "get the release again from its signer, or build it again"
        raise Differs(str(folder), problem, differences=found, hint=hint)


def _definition(folder: Path) -> Image | None:
    file = folder / DEFINITION_FILE
    if not is_there(file):
        return None
    tree = tree_of(read_tar(read_bounded(file, MAX_DEFINITION_BYTES), str(file)))
    found = [entry for path, entry in tree.items() if b"/".join(bytes(path).split(b"/")[-2:]) == _IMAGE_TOML]
    try:
        return Image.parse(bytes(found[0].content), str(file)) if len(found) == 1 else None
    except Malformed:  # it is of another version of Cosmos; RELEASE.json says the most important of it
        return None


def _bill(folder: Path) -> dict[str, Description]:
    """Return what the bill of materials says of each star by name."""
    file = folder / CYCLONEDX_FILE
    if not is_there(file):
        return {}
    licences = licences_of(folder)
    texts: dict[str, str] = {}
    origins: dict[str, list[str]] = {}
    table = Table.from_json(read_bounded(file, MAX_RELEASE_BYTES), str(file), max_bytes=MAX_RELEASE_BYTES)
    for row in table.tables("components"):
        star, slash, origin = row.need("bom-ref", str).removeprefix("star:").partition("/")
        if slash:
            origins.setdefault(star, []).append(origin)
        else:
            texts[star] = row.take("description", str, "")
    return {
        star: Description(licence=licence, text=texts.get(star, ""), origins=tuple(sorted(origins.get(star, ()))))
        for star, licence in licences.items()
    }


def _of_image(folder: Path, release: Release) -> tuple[dict[str, tuple[int, int]], tuple[Right, ...]]:
    """Return the sizes of the image's layers by name, and its rights. A release without one layered image has none."""
    images = [subject.name for subject in release.subjects if subject.name.endswith(IMAGE_SUFFIX)]
    if len(images) != 1:
        return {}, ()
    layers = ImageReader.open(folder / images[0]).layers
    rights = (
        Right(path=row.line.path.text, layer=layer.name, what=what)
        for layer in layers
        for row in layer.lines
        if (what := right_of(row.line))
    )
    sizes = {layer.name: (layer.seek.packed_bytes, layer.seek.unpacked_bytes) for layer in layers if layer.name != END}
    return sizes, tuple(sorted(rights, key=lambda right: right.path))


def _deeds(folder: Path) -> dict[str, tuple[str, ...]]:
    file = folder / RECEIPTS_FILE
    if not is_there(file):
        return {}
    return deeds_of(Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file)))
