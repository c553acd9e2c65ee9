"""What a build would refuse and can be known before anything is fetched, for `freeze` as for `build`."""

from __future__ import annotations

from pathlib import Path

from cosmos.build.definition import IMAGE_FILE, Definition
from cosmos.build.image import BuildOptions, rendered
from cosmos.build.keep_root import demand_empty
from cosmos.build.outputs import unique_names
from cosmos.errors import Malformed


def demand_ready(definition: Definition) -> None:
    """Raise `Malformed` where the definition names what is not there, or its template does not render."""
    image = definition.image
    unique_names(image)
    rendered(definition)
    for name, key in ((image.finish, "finish"), (image.trust, "trust")):
        if name and not (definition.folder / name).is_file():
            raise Malformed(str(definition.folder / name), f"is not there, but {IMAGE_FILE} names it as `{key}`")


def demand_room(options: BuildOptions) -> None:
    """Raise `Malformed` where --keep-root may not be written: it holds something, or the release would replace it."""
    if options.keep_root is None:
        return
    demand_empty(options.keep_root)
    if _inside(options.keep_root, options.out):
        raise Malformed(
            str(options.keep_root), "is where the release goes", hint="choose another folder for --keep-root"
        )


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
