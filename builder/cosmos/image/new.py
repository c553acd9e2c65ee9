"""`cosmos new NAME`: an image definition to begin from, in a new folder. `scaffolds` has the texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import Malformed, WorldFailed, quoted
from cosmos.image.scaffolds import SCAFFOLDS, Scaffold
from cosmos.image.template_folder import IMAGE_FILE, template_folder
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.links import real
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.image import Image
from cosmos.model.names import ImageName
from cosmos.plain_toml import plain_text
from cosmos.reading import is_there, read_bounded

_HOME_GALAXY: Final = "galaxy"  # in the builder's home: `make image` makes it there
_INDEX_FILE: Final = "meta.toml"  # as staging.source has it, which takes long to import


def galaxy_of_home(home: Path, folder: Path) -> tuple[str, str]:
    """Return the name of the galaxy in the builder's home, and its path from `folder`.

    Raises `WorldFailed` if the home has no galaxy.
    """
    galaxy = home / _HOME_GALAXY
    index = galaxy / _INDEX_FILE
    if not is_there(index):
        raise WorldFailed(
            str(folder),
            f"there is no galaxy to take a kernel and tools from: {galaxy} is missing",
            hint="in a clone of the repository, make image makes one; or name another: "
            f"cosmos new {quoted(folder)} --galaxy NAME PATH-OR-URL",
        )
    name = GalaxyIndex.parse(read_bounded(index, MAX_INDEX_BYTES), str(index)).name
    return str(name), os.path.relpath(real(galaxy), real(folder))


def new_image(
    folder: Path, scaffold: Scaffold = SCAFFOLDS["empty"], *, arch: str, galaxy: str, url: str, epoch: int
) -> tuple[Path, ...]:
    """Make an image definition in the new folder `folder`, and return its files.

    Raises `Malformed` for what cannot stand in a definition, before anything is written.
    """
    if folder.exists() or folder.is_symlink():
        raise Malformed(str(folder), "is there already", hint="choose another name")
    try:
        name = ImageName.parse(folder.name)
    except ValueError as error:
        raise Malformed(folder.name, str(error), hint="choose another name") from error
    text = scaffold.image.format(
        name=_quoted(name),
        description=_quoted(f"{name}, made with cosmos"),
        arch=_quoted(arch),
        template=_quoted(scaffold.template),
        epoch=epoch,
        galaxy=_key(galaxy),
        url=_quoted(url),
    )
    Image.parse(text.encode("utf-8", "surrogateescape"), str(folder / IMAGE_FILE))
    if not scaffold.files:
        template_folder(folder, scaffold.template)
    files = {folder / IMAGE_FILE: text}
    files |= {folder / "template" / path: content for path, content in scaffold.files.items()}
    for file, content in files.items():
        write_durably(file, content.encode())
    return tuple(files)


def _quoted(text: str) -> str:
    """Return `text` as a value of TOML."""
    return plain_text({"x": text}).removeprefix("x = ").removesuffix("\n")


def _key(text: str) -> str:
    """Return `text` as a key of TOML."""
    return plain_text({text: 0}).removesuffix(" = 0\n")
