"""Everything that the page of a release says of it, read out of the release's folder.

Each file of the release is compared with RELEASE.json first. So the page is about the files that RELEASE.json names.
Whether somebody signed RELEASE.json is another question, which `verify_release_folder` answers with a public key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cosmos.canon import Json, canonical_json
from cosmos.errors import Differs, Malformed
from cosmos.limits import MAX_DEFINITION_BYTES, MAX_LOCK_BYTES, MAX_RECEIPTS_BYTES, MAX_RELEASE_BYTES
from cosmos.model.image import Image
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.model.release import DEFINITION_FILE, RELEASE_FILE, Release
from cosmos.model.reporter import Reporter, counted
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader
from cosmos.pack.untar import read_tar
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.diff.licences import licences_of
from cosmos.release.verify import ReleaseVerdict, file_differences
from cosmos.resolve.locked import demand_right
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.tables import Table
from cosmos.tree.entry import tree_of
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

_IMAGE_TOML: Final = TreePath(b"image/image.toml")
_SET_ID: Final = 0o6000
_PROGRAMS: Final = 3  # of one script that are shown with their words
_WORDS_SHOWN: Final = 160  # characters of a program's words
_NO_DEEDS: Final = ("read", "glob", "filemap", "log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """A path of the image that does more than others: it runs with other rights, or is a device."""

    path: str
    layer: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the bill of materials says of a star besides the lock. `origins` are the packages that it was made of."""

    licence: str = ""
    text: str = ""
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A release, read. `verdict` is None if no public key was given, so that no signature was checked.

    `definition` is None if the release carries no image.toml that this Cosmos can read. `layers` are the packed and
    unpacked bytes of each layer by name, empty without a layered image. `deeds` are what the script of each star did,
    by its name, and what the finish script did, under "finish".
    """

    release: Release
    lock: Lock
    verdict: ReleaseVerdict | None
    definition: Image | None
    bill: Mapping[str, Description]
    layers: Mapping[str, tuple[int, int]]
    rights: tuple[Right, ...]
    deeds: Mapping[str, tuple[str, ...]]


def facts_of(folder: Path, verdict: ReleaseVerdict | None, reporter: Reporter) -> Facts:
    """Return the facts of the release in `folder`. Raises `Malformed`, `Differs`, `NoSolution`, `Refused`."""
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
        verdict=verdict,
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
    """Raise `Differs` unless `folder` holds the files that `release` names, each with its digest, and no other."""
    found = tuple(file_differences(folder, release, reporter))
    if found:
        problem = f"{counted(len(found), 'difference')} from {RELEASE_FILE}: {found[0]}"
        hint = "get the release again from its signer, or build it again"
        raise Differs(str(folder), problem, differences=found, hint=hint)


def _definition(folder: Path) -> Image | None:
    file = folder / DEFINITION_FILE
    if not is_there(file):
        return None
    entry = tree_of(read_tar(read_bounded(file, MAX_DEFINITION_BYTES), str(file))).get(_IMAGE_TOML)
    try:
        return None if entry is None else Image.parse(bytes(entry.content), str(file))
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
        if (what := _right(row.line))
    )
    sizes = {layer.name: (layer.seek.packed_bytes, layer.seek.unpacked_bytes) for layer in layers}
    return sizes, tuple(sorted(rights, key=lambda right: right.path))


def _right(line: ManifestLine) -> str:
    """Return what the path does more than others, in words; nothing for most."""
    if line.kind in ("char", "block"):
        return f"{line.kind} device {':'.join(map(str, line.rdev or ()))}, {line.mode:04o} {line.uid}:{line.gid}"
    if line.kind != "file":
        return ""
    said = []
    if line.mode & _SET_ID:
        said.append(f"mode {line.mode:04o}, runs with the rights of {line.uid}:{line.gid}")
    said += [f"attribute {name.decode('utf-8', 'replace')}" for name, _ in line.xattrs]
    return ", ".join(said)


def _deeds(folder: Path) -> dict[str, tuple[str, ...]]:
    file = folder / RECEIPTS_FILE
    if not is_there(file):
        return {}
    receipts = Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {name: tuple(_did(one)) for name, one in {**receipts.stars, "finish": receipts.finish}.items() if one}


def _did(receipt: Json) -> Iterator[str]:
    """Yield what a script did: how often each verb, and the words of its first programs."""
    events = receipt.get("events") if isinstance(receipt, dict) else None
    did = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    counts = Counter(str(event.get("do")) for event in did if event.get("do") not in _NO_DEEDS)
    yield ", ".join(f"{verb} {number}" for verb, number in sorted(counts.items())) or "wrote nothing"
    programs = [canonical_json(event.get("words")).decode() for event in did if event.get("do") == "run"]
    yield from (f"run {words[:_WORDS_SHOWN]}" for words in programs[:_PROGRAMS])
    if len(programs) > _PROGRAMS:
        yield f"and {counted(len(programs) - _PROGRAMS, 'more program', 'more programs')}"
    if isinstance(receipt, dict) and receipt.get("unsteady"):
        yield "its programs may give another result each time (waived)"
