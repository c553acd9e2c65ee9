"""The facts of a release that a build is about to describe, from what the build has in memory."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.model.image import Image
from cosmos.model.lock import Lock
from cosmos.model.receipts import Receipts
from cosmos.model.release import Release
from cosmos.pack.image_file import IMAGE_SUFFIX
from cosmos.release.report.facts import Description, Facts, Right, deeds_of, right_of
from cosmos.sbom.bill import Bill, Component
from cosmos.tree.overlay import Overlaid


def facts_of_build(
    release: Release,
    *,
    image: Image,
    lock: Lock,
    bill: Bill,
    receipts: Receipts,
    tree: Overlaid,
    layers: Mapping[str, tuple[int, int]],
) -> Facts:
    """Return the facts. `release` describes the files written so far; `layers` are the packed and unpacked bytes."""
    is_layered = sum(subject.name.endswith(IMAGE_SUFFIX) for subject in release.subjects) == 1
    return Facts(
        release=release,
        lock=lock,
        verdict="unfinished",
        definition=image,
        bill={component.name: _described(component) for component in bill.components},
        layers=layers if is_layered else {},
        rights=_rights(tree, lock) if is_layered else (),
        deeds=deeds_of(receipts),
    )


def _described(component: Component) -> Description:
    origins = sorted(f"{origin.ecosystem}:{origin.name}@{origin.version}" for origin in component.origins)
    return Description(licence=component.license, text=component.description, origins=tuple(origins))


def _rights(tree: Overlaid, lock: Lock) -> tuple[Right, ...]:
    layers = {str(star.name): star.id for star in lock.stars}
    found = ((path, what) for path, line in tree.lines.items() if (what := right_of(line)))
    rights = [
        Right(path=path.text, layer=layers.get(tree.owners[path], tree.owners[path]), what=what) for path, what in found
    ]
    return tuple(sorted(rights, key=lambda right: right.path))
