"""Where the template of an image lies. It is asked before an image definition is read, too (image.kept_release)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.errors import Malformed

IMAGE_FILE: Final = "image.toml"
TEMPLATES_FOLDER: Final = "rootfs-templates"


def template_folder(folder: Path, named: str) -> Path:
    """Return the folder of the template `named` by the image in `folder`: a path beside image.toml, or a folder's name
    in the nearest `rootfs-templates/`.

    Raises `Malformed` if the folder is missing.
    """
    if named.startswith(("./", "../")):
        return folder / named
    start = folder.resolve()
    for above in (start, *start.parents):
        if (above / TEMPLATES_FOLDER / named).is_dir():
            return above / TEMPLATES_FOLDER / named
    raise Malformed(
        str(folder / IMAGE_FILE),
        f"template: no {TEMPLATES_FOLDER}/{named} in this folder or above it",
        hint=f'for a folder beside image.toml, write in {IMAGE_FILE}: template = "./{named}"',
    )
