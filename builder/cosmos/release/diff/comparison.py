"""`cosmos diff A B`: compare two images, releases, documents, folders or tar archives.

    image       NAME.tar.zst, or a folder with one; the lock beside it names its stars
    release     a folder with RELEASE.json, or an image's folder with one in out/: its image, and its other files
    document    a .toml or .json file, most often a lock: every dotted path that differs
    tar         an archive of another tool, also compressed, or a star
    folder      a tree on a disk: a system's root, an unpacked archive; its universe names the owners of its paths

Nothing is trusted: signatures are the work of `cosmos verify`. What is read is checked against its own index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.errors import Malformed, quoted
from cosmos.limits import MAX_LOCK_BYTES, MAX_RECEIPTS_BYTES, MAX_RELEASE_BYTES, MIB
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.model.release import MANIFEST_FILE, RELEASE_ENVELOPE, RELEASE_FILE, REPORT_FILE, Release
from cosmos.pack.image_file import IMAGE_SUFFIX
from cosmos.pack.packed_tar import PACKED_TAR_SUFFIXES, begins_as_packed
from cosmos.pack.seek_table import read_seek_table
from cosmos.pack.tar import BLOCK
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.release.diff.compare import Cause, Difference, TreeComparison, compare_trees
from cosmos.release.diff.documents import document, document_differences
from cosmos.release.diff.folder_side import FolderSide
from cosmos.release.diff.image_side import ImageSide
from cosmos.release.diff.inside import MOST_LINES, inside
from cosmos.release.diff.licences import licences_of
from cosmos.release.diff.side import Side
from cosmos.release.diff.tar_side import TarSide
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.sbom.spdx import SPDX_FILE
from cosmos.treepath import TreePath

_DOCUMENTS: Final = (".toml", ".json")
_OPENED_FILES: Final = 200  # that are looked into; a person reads no more
_OPENED_BYTES: Final = 32 * MIB  # of one side's files that are looked into: they are in memory together
# Compared in another way; the bills say of the stars what the lock and their licences say, and the page says it all.
_READ_ELSEWHERE: Final = (
    *(RELEASE_FILE, RELEASE_ENVELOPE, MANIFEST_FILE, RECEIPTS_FILE, LOCK_FILE),
    *(SPDX_FILE, CYCLONEDX_FILE, REPORT_FILE),
)
_NAME_ONE: Final = "name two things of one kind, such as: cosmos diff OLD/out NEW/out"
_WANTED: Final = "want an image, a release, a lock or another .toml or .json file, a tar archive, or a folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentComparison:
    """The lines that say in which values a document differs."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """What the script of a star does on one side alone: `now` does it, or no longer does. `what` is canonical JSON."""

    star: str
    now: bool
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenceChange:
    """A star with another version or licence, and its licences on both sides; "" if none is known."""

    star: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Everything in which two things differ. `files` are the release's files that differ as a whole.

    `licences` are no difference of their own: the star or the bill of materials differs as well.
    """

    before: str
    after: str
    tree: TreeComparison | None
    documents: tuple[DocumentComparison, ...] = ()
    files: tuple[str, ...] = ()
    deeds: tuple[Deed, ...] = ()
    licences: tuple[LicenceChange, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether everything but the packing is the same."""
        return not (self.documents or self.files or self.deeds or (self.tree and self.tree.differences))


@dataclass(frozen=True, kw_only=True, slots=True)
class _ReleaseFolder:
    folder: Path
    image: Path | None


_Opened: TypeAlias = "Side | _ReleaseFolder | Path"  # a path is a document


def compare(before: Path, after: Path, ignored: frozenset[Cause] = frozenset()) -> Comparison:
    """Return in what the two things differ, without the causes in `ignored`.

    Raises `Malformed` if one of them cannot be compared, or not with the other, `Refused` for damaged data and
    `WorldFailed`.
    """
    old, new = _opened(before), _opened(after)
    if isinstance(old, Path) or isinstance(new, Path):
        if not (isinstance(old, Path) and isinstance(new, Path)):
            raise Malformed(str(after), f"is of another kind than {before}", hint="compare two documents, or two trees")
        documents = _documents((old.name, old, new))
        return Comparison(before=str(before), after=str(after), tree=None, documents=documents)
    old_side, new_side = _side(old, before), _side(new, after)
    tree = _looked_into(compare_trees(old_side, new_side, ignored), old_side, new_side)
    if isinstance(old, _ReleaseFolder) and isinstance(new, _ReleaseFolder):
        return Comparison(
            before=str(before),
            after=str(after),
            tree=tree,
            documents=_documents(
                *((name, old.folder / name, new.folder / name) for name in (LOCK_FILE, RELEASE_FILE)),
            ),
            files=tuple(_unlike_files(old.folder, new.folder)),
            deeds=tuple(_deeds(old.folder, new.folder)),
            licences=tuple(_licences(old.folder, new.folder, {change.name for change in tree.stars})),
        )
    return Comparison(before=str(before), after=str(after), tree=tree)


def _opened(path: Path) -> _Opened:
    for folder in (path, path / "out"):
        if (folder / RELEASE_FILE).is_file():
            images = sorted(folder.glob(f"*{IMAGE_SUFFIX}"))
            return _ReleaseFolder(folder=folder, image=images[0] if len(images) == 1 else None)
    if path.is_dir():
        return FolderSide(path, str(path))
    if not path.is_file():
        raise Malformed(str(path), "is not there" if not path.exists() else _WANTED, hint=_NAME_ONE)
    if path.name.endswith(_DOCUMENTS):
        return path
    if path.name.endswith(IMAGE_SUFFIX) and _is_image(path):
        return ImageSide(path, str(path), _lock_beside(path.parent))
    if path.name.endswith(tuple(PACKED_TAR_SUFFIXES)):
        _demand_archive(path)
        return TarSide(path, str(path))
    raise Malformed(str(path), _WANTED, hint=_NAME_ONE)


def _demand_archive(path: Path) -> None:
    """Raise `Malformed` if the file does not begin as its name says: it is no damaged archive, but none at all."""
    ending = next(ending for ending in PACKED_TAR_SUFFIXES if path.name.endswith(ending))
    with path.open("rb") as stream:
        head = stream.read(BLOCK)
    if not begins_as_packed(head, PACKED_TAR_SUFFIXES[ending]):
        found = "is empty" if not head else f"does not begin as a {ending} file does"
        raise Malformed(str(path), f"is not an archive: it {found}", hint=_NAME_ONE)


def _side(opened: Side | _ReleaseFolder, label: Path) -> Side:
    if not isinstance(opened, _ReleaseFolder):
        return opened
    if opened.image is None:
        raise Malformed(
            str(opened.folder),
            f"has no image, or several: want one {IMAGE_SUFFIX} file",
            hint=f"name the image itself: cosmos diff {quoted(f'{opened.folder}/NAME{IMAGE_SUFFIX}')} OTHER",
        )
    return ImageSide(opened.image, str(label), _lock_beside(opened.folder))


def _is_image(path: Path) -> bool:
    with path.open("rb") as stream:
        try:
            return bool(read_seek_table(stream))
        except ValueError:
            return False


def _lock_beside(folder: Path) -> Lock | None:
    file = folder / LOCK_FILE
    return Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file)) if file.is_file() else None


def _looked_into(tree: TreeComparison, before: Side, after: Side) -> TreeComparison:
    """Return the comparison with lines about the inside of the files that differ, within `_OPENED_BYTES`."""
    unlike = _within_memory(one for one in tree.differences if "content" in one.causes)
    old = dict(before.contents(one.path for one in unlike))
    lines: dict[TreePath, tuple[str, ...]] = {}
    for path, data in after.contents(one.path for one in unlike):
        if path in old:
            lines[path] = inside(old[path], data, path.name.decode("utf-8", "replace"))
    found = tuple(replace(one, inside=lines[one.path]) if one.path in lines else one for one in tree.differences)
    return replace(tree, differences=found)


def _within_memory(differences: Iterable[Difference]) -> list[Difference]:
    """Return the smallest of the files that differ: at most `_OPENED_FILES`, and `_OPENED_BYTES` of them together."""
    sizes = ((max(one.before.size, one.after.size), one) for one in differences if one.before and one.after)
    by_size = sorted(sizes, key=lambda row: row[0])
    totals = accumulate(size for size, _ in by_size)
    return [one for (_, one), total in zip(by_size[:_OPENED_FILES], totals, strict=False) if total <= _OPENED_BYTES]


def _documents(*pairs: tuple[str, Path, Path]) -> tuple[DocumentComparison, ...]:
    found = []
    for name, old, new in pairs:
        if not (old.is_file() and new.is_file()):
            continue
        texts = [read_bounded(file, MAX_RELEASE_BYTES) for file in (old, new)]
        if texts[0] == texts[1]:
            continue
        here, there = (
            document(data, str(file), is_json=file.suffix == ".json")
            for data, file in zip(texts, (old, new), strict=True)
        )
        lines = tuple(document_differences(here, there)) or ("the same values, written differently",)
        found.append(DocumentComparison(name=name, lines=lines))
    return tuple(found)


def _unlike_files(before: Path, after: Path) -> Iterator[str]:
    """Yield a line for each file of the release that differs and is not compared in another way."""
    old, new = (_subjects(folder) for folder in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name in _READ_ELSEWHERE or name.endswith(IMAGE_SUFFIX):
            continue
        if name not in old or name not in new:
            yield f"{name}: {'added' if name in new else 'removed'}"
        elif old[name] != new[name]:
            yield f"{name}: {old[name][0]:,} -> {new[name][0]:,} bytes"


def _subjects(folder: Path) -> dict[str, tuple[int, Digest]]:
    file = folder / RELEASE_FILE
    release = Release.parse(read_bounded(file, MAX_RELEASE_BYTES), str(file))
    return {subject.name: (subject.size_bytes, subject.digest) for subject in release.subjects}


def _licences(before: Path, after: Path, changed: Collection[str]) -> Iterator[LicenceChange]:
    """Yield the licences of the stars in `changed`, and of those that have another licence now."""
    old, new = licences_of(before), licences_of(after)
    for star in sorted(old.keys() | new.keys()):
        here, there = old.get(star, ""), new.get(star, "")
        if star in changed or (star in old and star in new and here != there):
            yield LicenceChange(star=star, before=here, after=there)


def _deeds(before: Path, after: Path) -> Iterator[Deed]:
    """Yield what scripts do on one side alone, at most `MOST_LINES` for each star and side."""
    old, new = (_receipts(folder) for folder in (before, after))
    for star in sorted(old.keys() & new.keys()):
        here, there = _events(old[star]), _events(new[star])
        yield from (Deed(star=star, now=False, what=what) for what in _first(here - there))
        yield from (Deed(star=star, now=True, what=what) for what in _first(there - here))


def _first(events: Iterable[str]) -> list[str]:
    return sorted(events)[:MOST_LINES]


def _receipts(folder: Path) -> Mapping[str, Json]:
    file = folder / RECEIPTS_FILE
    if not file.is_file():
        return {}
    receipts = Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {**receipts.stars, "finish": receipts.finish}


def _events(receipt: Json) -> set[str]:
    events = receipt.get("events") if isinstance(receipt, dict) else None
    if not isinstance(events, list):
        return set()
    done = (event for event in events if isinstance(event, dict) and event.get("do") != "read")
    return {canonical_json({name: fact for name, fact in event.items() if name != "line"}).decode() for event in done}
