"""Where an image and its template lie. It is asked before an image definition is read, too (image.kept_release)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cosmos.errors import Malformed, quoted
from cosmos.nearest import nearest
from cosmos.plain_toml import basic_string

IMAGE_FILE: Final = "image.toml"
TEMPLATES_FOLDER: Final = "rootfs-templates"
DECLARATIONS_FILE: Final = "template.toml"  # in a template's folder; it may be a link
ROOT_FOLDER: Final = "root"  # beside it, with all that a template lays; it may be a link, too


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
        hint=f"for a folder beside image.toml, write in {IMAGE_FILE}: template = {basic_string(f'./{named}')}",
    )


def way_to_an_image(path: Path) -> str:
    """Return the hint for a path that is no image: the images that lie near it, or how to make one."""
    folder = path if path.is_dir() else path.parent
    near = [str(file.parent) for below in ("*", "images/*") for file in sorted(folder.glob(f"{below}/{IMAGE_FILE}"))]
    if not near:
        return "cosmos new NAME makes a new image definition"
    return f"did you mean {' or '.join(map(quoted, nearest(str(path), near) or near[:3]))}?"
