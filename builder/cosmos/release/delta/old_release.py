"""The old release as the base of a delta, and the choice among several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs
from cosmos.limits import MAX_DELTA_DOCUMENTS_BYTES, MAX_RELEASE_BYTES
from cosmos.model.delta import ReleaseName
from cosmos.model.release import RELEASE_FILE
from cosmos.pack.image_file import PackedLayer
from cosmos.reading import is_there, open_plain, read_bounded
from cosmos.records import dataclass
from cosmos.release.delta.open_image import OpenImage, image_of, joined, read_release

_OTHER_WAYS: Final = "get the release itself: cosmos fetch URL --have OLD -o NEW"


@dataclass(frozen=True, kw_only=True, slots=True)
class OldRelease:
    """The release folder that a delta was made from. It is only read."""

    folder: Path
    image: OpenImage

    @classmethod
    def open(cls, folder: Path, wanted: ReleaseName) -> OldRelease:
        """Return the release in `folder`. Raises `Differs` unless it is the wanted one with an undamaged image."""
        document = folder / RELEASE_FILE
        found = Digest.of(read_bounded(document, MAX_RELEASE_BYTES)) if is_there(document) else None
        if found != wanted.release:
            shown = "nothing" if found is None else str(found)
            raise Differs(
                str(folder),
                f"is not the release that the delta is for: want {RELEASE_FILE} {wanted.release}, got {shown}",
                hint="among several releases, the right one is found by: --from-any DIR",
            )
        path = folder / wanted.image
        size_bytes = image_of(read_release(folder)[0], str(document)).size_bytes
        if not is_there(path):
            raise Differs(str(path), "is missing, and the delta is made from it", hint=_OTHER_WAYS)
        with open_plain(path) as stream:
            held_bytes = os.fstat(stream.fileno()).st_size
            if held_bytes != size_bytes:  # a file that is far too large is not read to its end
                raise Differs(str(path), f"is damaged: want {size_bytes} bytes, got {held_bytes}", hint=_OTHER_WAYS)
            digest = Digest.of_stream(stream)
        if digest != wanted.digest:
            raise Differs(str(path), f"is damaged: want {wanted.digest}, got {digest}", hint=_OTHER_WAYS)
        return cls(folder=folder, image=OpenImage.open(path))

    def layer(self, place: int) -> PackedLayer:
        """Return a layer of the image. Raises `Refused` and `Differs`."""
        return self.image.layer(self._known(place))

    def content(self, place: int) -> bytes:
        """Return the content of a layer. Raises `Refused` and `Differs`."""
        return self.image.content(self._known(place))

    def joined(self, names: Iterable[str]) -> bytes:
        """Return the bytes of these files, one after another. Raises `Differs`."""
        asked = tuple(names)
        missing = [name for name in asked if not is_there(self.folder / name)]
        if missing:
            raise Differs(str(self.folder / missing[0]), "is missing, and the delta refers to it")
        return joined(self.folder, asked, MAX_DELTA_DOCUMENTS_BYTES)

    def _known(self, place: int) -> int:
        if place >= len(self.image.names):
            raise Differs(
                str(self.image.path), f"has {len(self.image.names)} layers, the delta refers to number {place}"
            )
        return place


def right_base(folders: Iterable[Path], wanted: ReleaseName) -> OldRelease:
    """Return the first of `folders`, or of the folders in them, that is the wanted release. Raises `Differs`."""
    tried: list[str] = []
    for folder in (place for named in folders for place in (named, *_folders_in(named))):
        try:
            if is_there(folder / RELEASE_FILE):
                return OldRelease.open(folder, wanted)
        except CosmosError as error:
            tried.append(str(error))
        except OSError as error:  # a disk that fails, or a folder of another user
            tried.append(f"{error.filename or folder}: {(error.strerror or 'cannot be read').lower()}")
    raise Differs(
        "--from-any",
        f"no release there is the one that the delta is for, {wanted.image} ({wanted.release})",
        differences=tuple(tried),
        hint="get the release itself: cosmos fetch URL -o NEW",
    )


def _folders_in(folder: Path) -> list[Path]:
    with suppress(OSError):  # nothing in it can be read
        inside = sorted(place for place in folder.iterdir() if _is_folder(place))
        return [*inside, *(place / "out" for place in inside if _is_folder(place / "out"))]
    return []


def _is_folder(place: Path) -> bool:
    with suppress(OSError):  # `is_dir` raises if it may not look
        return place.is_dir()
    return False
