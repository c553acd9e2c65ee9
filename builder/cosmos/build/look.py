"""Look into an image without unpacking it: `cosmos ls` and `cosmos cat`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cosmos.errors import Malformed
from cosmos.pack.image_file import ImageReader
from cosmos.tree.globs import matches_any
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

IMAGE_SUFFIX = ".tar.zst"


def find_image(path: Path) -> Path:
    """Return the layered image at `path`: the file itself, or the one in a release folder or in an image's `out/`."""
    for folder in (path, path / "out"):
        found = sorted(folder.glob(f"*{IMAGE_SUFFIX}")) if folder.is_dir() else []
        if len(found) == 1:
            return found[0]
    if not path.is_file():
        raise Malformed(str(path), f"is no image: want a {IMAGE_SUFFIX} file, or a folder that holds one")
    return path


def listed(image: Path, globs: Iterable[str]) -> tuple[ManifestLine, ...]:
    """Return the image's lines in byte order of path; with globs, those that one matches. Reads the index alone."""
    wanted = [pattern.lstrip("/") for pattern in globs]
    lines = ImageReader.open(image).lines()
    return tuple(line for line in lines if not wanted or matches_any(line.path, wanted))


def file_bytes(image: Path, path: str) -> bytes:
    """Return one file of the image; only its layer is read and verified."""
    try:
        wanted = TreePath.rooted(path)
    except ValueError as error:
        raise Malformed(path, str(error)) from error
    return ImageReader.open(image).read_file(wanted)
