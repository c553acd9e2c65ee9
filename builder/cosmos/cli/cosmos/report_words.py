"""What is new in a release, in the words of `cosmos diff`, for the page of `cosmos report`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cosmos.cli.cosmos.diff_words import NOBODY, PACKED, changed_fields, gains_rights, path_words, summary
from cosmos.model.release import Release
from cosmos.pack.image_file import IMAGE_SUFFIX
from cosmos.release.diff.compare import Difference
from cosmos.release.diff.comparison import Comparison
from cosmos.release.report.changes import Changes, Row

_MOST_PATHS: Final = 300  # that the page names; `cosmos diff` names all
_MOST_OTHERS: Final = 200
_MOST_LINES: Final = 6  # of the inside of one file, and of one document
_NONE: Final = "-"


def changes_of(found: Comparison, before: Release, after: Release) -> Changes:
    """Return the comparison of two releases, worded."""
    tree = found.tree
    differences = () if tree is None else tree.differences
    said = summary(found)
    return Changes(
        against=f"{before.external.get('image')} {before.external.get('version')}",
        summary=f"{said[:1].upper()}{said[1:]}",
        stars=tuple(_stars(found)),
        rights=tuple(_path_row(replace(one, inside=())) for one in differences if gains_rights(one))[:_MOST_PATHS],
        layers=tuple(
            Row(name=one.name, place="", what=(f"{one.before_bytes:,} → {one.after_bytes:,}",))
            for one in (() if tree is None else tree.layers)
        )[:_MOST_OTHERS],
        paths=tuple(_path_row(one) for one in differences[:_MOST_PATHS]),
        all_paths=len(differences),
        others=tuple(_others(found))[:_MOST_OTHERS],
        bytes_before=_image_bytes(before),
        bytes_after=_image_bytes(after),
    )


def _stars(found: Comparison) -> Iterator[Row]:
    """Yield the stars with another version, and those with another licence of the same version."""
    licences = {one.star: _then_now(one.before, one.after) for one in found.licences}
    changed = {one.name: one for one in (() if found.tree is None else found.tree.stars)}
    for name, change in changed.items():
        yield Row(name=name, place=_then_now(change.before, change.after), what=(licences.get(name, _NONE),))
    yield from (
        Row(name=name, place="the same version", what=(what,)) for name, what in licences.items() if name not in changed
    )


def _then_now(before: str, after: str) -> str:
    return before if before == after else f"{before or _NONE} → {after or _NONE}"


def _path_row(one: Difference) -> Row:
    inside = one.inside[:_MOST_LINES]
    fields = changed_fields(one).strip()
    said = f"{', '.join(one.causes)}: {fields}" if fields else ", ".join(one.causes)
    return Row(name=path_words(one), place=one.star or NOBODY, what=(said, *inside))


def _others(found: Comparison) -> Iterator[Row]:
    """Yield the other files of the release, its documents, what scripts do, and what was packed in another way."""
    for line in found.files:
        name, _, what = line.partition(": ")
        yield Row(name=name, place="", what=(what,))
    for document in found.documents:
        more = len(document.lines) - _MOST_LINES
        cut = (f"and {more} more values",) if more > 0 else ()
        yield Row(name=document.name, place="", what=(*document.lines[:_MOST_LINES], *cut))
    for deed in found.deeds:
        does = "now does" if deed.now else "no longer does"
        yield Row(name=f"the script of {deed.star}", place="", what=(f"{does} {deed.what}",))
    if found.tree is not None:
        yield from (Row(name=f"layer {one.layer}", place="", what=(PACKED[one.why],)) for one in found.tree.repacked)


def _image_bytes(release: Release) -> int:
    """Return the bytes of the release's layered image; 0 without one."""
    return sum(subject.size_bytes for subject in release.subjects if subject.name.endswith(IMAGE_SUFFIX))
