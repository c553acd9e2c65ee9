"""Read an image's folder: its definition, its constellations and its lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cosmos.errors import Malformed, NoSolution
from cosmos.limits import MAX_LOCK_BYTES
from cosmos.model.constellation import Constellation
from cosmos.model.constraint import Constraint
from cosmos.model.image import Image
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.reading import read_bounded

IMAGE_FILE = "image.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """An image definition with everything beside it that it names. `folder` is where its relative paths start."""

    folder: Path
    image: Image
    data: bytes
    constellations: Mapping[str, Mapping[StarName, Constraint]]

    @property
    def lock_file(self) -> Path:
        """Where the image's lock lies."""
        return self.folder / LOCK_FILE


def read_definition(path: Path) -> Definition:
    """Return the image at `path`: its folder, or its image.toml. Raises `Malformed`."""
    file = path / IMAGE_FILE if path.is_dir() else path
    if not file.is_file():
        raise Malformed(str(file), "is not there", hint="cosmos new NAME makes a new image definition")
    data = read_bounded(file)
    image = Image.parse(data, str(file))
    return Definition(
        folder=file.parent,
        image=image,
        data=data,
        constellations={name: _members(file.parent / name) for name in image.constellations},
    )


def read_lock(definition: Definition) -> tuple[Lock, bytes]:
    """Return the image's lock and its exact bytes; raises `NoSolution` where there is none."""
    file = definition.lock_file
    if not file.is_file():
        raise NoSolution(str(file), "is not there", hint=f"cosmos freeze {definition.folder}")
    data = read_bounded(file, MAX_LOCK_BYTES)
    return Lock.parse(data, str(file)), data


def _members(file: Path) -> Mapping[StarName, Constraint]:
    if not file.is_file():
        raise Malformed(str(file), "is not there, but image.toml names it as a constellation")
    return Constellation.parse(read_bounded(file), str(file)).members
