"""Why a star or a path is in an image: `cosmos why IMAGE STAR|PATH` and `cosmos tree IMAGE`.

A star's reasons are in the lock: each chain from a wish of the image to the star. For a path of a built image, the
image's index says whose layer has it, and the receipts say which line of the script made it. Signatures are not
checked here: `cosmos verify` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution, quoted
from cosmos.image.rebuild.culprit import Makers, TemplateText, receipts_of
from cosmos.image.template_folder import IMAGE_FILE, way_to_an_image
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.lock import LOCK_FILE, Lock, LockedStar
from cosmos.model.names import StarName
from cosmos.model.receipts import RECEIPTS_FILE
from cosmos.nearest import nearest
from cosmos.pack.image_file import DIRECTORIES, ImageReader
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.diff.compare import Difference
from cosmos.release.inspect import find_image, leads_to, open_image
from cosmos.resolve.chains import Chain, Wants, chains_to
from cosmos.resolve.dependency_tree import Branch, dependency_tree, wants_of
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

_NEAR: Final = 3  # names that were perhaps meant


@dataclass(frozen=True, kw_only=True, slots=True)
class StarReasons:
    """Why a star is in the lock. `has_more`: there are more chains than these."""

    star: LockedStar
    chains: tuple[Chain, ...]
    has_more: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PathReasons:
    """Whose a path of an image is. `line` is its line in the manifest.

    `star` is None for the image's own files, and for folders, which may belong to several stars. `made_by` says what
    made it, "" if there are no receipts. `layer` is the name of the layer that has it, with the layer's digest.
    """

    line: ManifestLine
    star: StarReasons | None
    made_by: str
    layer: str
    digest: Digest


class Explained:
    """The image in `place`: its folder, its release, or a file of the release. It needs a lock there."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @cached_property
    def lock(self) -> Lock:
        """The lock of the image, or the one that its release carries. Raises `Malformed`."""
        folders = (self.place, self.place.parent) if self.place.is_dir() else (self.place.parent,)
        for folder in folders:
            if is_there(folder / LOCK_FILE):
                file = folder / LOCK_FILE
                return Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file))
        hint = (
            f"cosmos freeze {quoted(self.place)}" if is_there(folders[0] / IMAGE_FILE) else way_to_an_image(self.place)
        )
        raise Malformed(str(self.place), f"has no {LOCK_FILE}", hint=hint)

    @cached_property
    def stars(self) -> Mapping[StarName, LockedStar]:
        """The lock's stars, by name."""
        return {star.name: star for star in self.lock.stars}

    @cached_property
    def _wants(self) -> Wants:
        return wants_of(self.lock)

    def star(self, name: StarName) -> StarReasons:
        """Return why the star `name` is in the lock. Raises `NoSolution`."""
        star = self.stars.get(name)
        if star is None:
            near = nearest(name, sorted(map(str, self.stars)), _NEAR)
            hint = f"did you mean {' or '.join(near)}?" if near else f"cosmos tree {quoted(self.place)}"
            raise NoSolution(name, f"is not in the lock of {self.place}", hint=hint)
        chains, has_more = chains_to(name, self._wants)
        return StarReasons(star=star, chains=chains, has_more=has_more)

    def path(self, text: str) -> tuple[PathReasons, ...]:
        """Return whose the path is; first the link, if it is one, and then the file behind it.

        Raises `Malformed` if the image is not built, or has no such path.
        """
        try:
            wanted = TreePath.rooted(text)
        except ValueError as error:
            raise Malformed(text, str(error), hint=f"cosmos ls {quoted(self.place)}") from error
        image = find_image(self.place)
        reader = open_image(image)
        found = [wanted] if reader.has(wanted) else []
        behind = leads_to(wanted, reader)
        if behind not in found and reader.has(behind):
            found.append(behind)
        if not found:
            raise Malformed(str(image), f"has no /{wanted.text}", hint=f"cosmos ls {quoted(self.place)}")
        return tuple(self._owned(path, reader, image.parent) for path in found)

    def _owned(self, path: TreePath, reader: ImageReader, release: Path) -> PathReasons:
        layer, line = reader.owner(path)
        star = next((star for star in self.lock.stars if star.id == layer.name), None)
        made_by = ""
        if layer.name != DIRECTORIES and is_there(release / RECEIPTS_FILE):
            makers = Makers(receipts_of(release), TemplateText.of(release))
            owner = layer.name if star is None else star.name
            made_by = makers.of(Difference(path=path, causes=(), before=None, after=None, star=owner))
        return PathReasons(
            line=line,
            star=None if star is None else self.star(star.name),
            made_by=made_by,
            layer=layer.name,
            digest=layer.digest,
        )

    def tree(self) -> Iterator[tuple[str, tuple[Branch, ...]]]:
        """Yield each wish with the trees below it. What a star needs is shown once, where it comes first."""
        yield from dependency_tree(self.lock, self._wants)
