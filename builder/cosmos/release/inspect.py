"""Look into an image without unpacking it: `cosmos ls` and `cosmos cat`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cosmos.errors import Malformed, WorldFailed, quoted
from cosmos.globs import checked, matches_any
from cosmos.links import TooManyLinks, followed
from cosmos.pack.image_file import IMAGE_SUFFIX, ImageReader
from cosmos.pack.seek_table import ends_with_seek_table
from cosmos.reading import is_there, open_plain
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

_SURROGATE: Final = re.compile("[\udc80-\udcff]")  # a byte that is not UTF-8, as Python reads a command line
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1


def find_image(path: Path) -> Path:
    """Return the layered image at `path`: the file itself, or the one in a release folder or in an image's `out/`.

    Raises `Malformed` if there is no image.
    """
    for folder in (path, path / "out"):
        found = sorted(folder.glob(f"*{IMAGE_SUFFIX}")) if folder.is_dir() else []
        if len(found) == 1:
            return found[0]
    if path.is_dir() or not is_there(path):
        raise _no_image(path)
    return path


def listed(image: Path, globs: Iterable[str]) -> tuple[ManifestLine, ...]:
    """Return the image's lines in byte order of path; with globs, only lines that match one. Reads only the index.

    Raises `Malformed` for an invalid glob.
    """
    wanted = [_SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", glob) for glob in globs]
    for pattern in wanted:
        try:
            checked(pattern)
        except ValueError as error:
            raise Malformed("GLOB", str(error)) from error
    lines = open_image(image).lines()
    return tuple(line for line in lines if not wanted or matches_any(line.path, wanted))


def file_pieces(image: Path, path: str) -> Iterator[bytes]:
    """Yield one file of the image; only its layer is read, and verified first. Links inside the image are followed.

    Raises `Malformed` if the path leads to no file.
    """
    try:
        wanted = TreePath.rooted(path)
    except ValueError as error:
        raise Malformed(path, str(error)) from error
    reader = open_image(image)
    found = leads_to(wanted, reader)
    if not reader.has(found):
        leads = f", the target of /{wanted.text}" if found != wanted else ""
        raise Malformed(str(image), f"has no /{found.text}{leads}", hint=f"cosmos ls {quoted(image)}")
    yield from reader.file_pieces(found)


def open_image(image: Path) -> ImageReader:
    """Return a reader of the layered image; raises `Malformed` if the file is no image, `Refused` and `WorldFailed`."""
    try:
        with open_plain(image) as stream:
            is_zstd = stream.read(len(_ZSTD_MAGIC)) == _ZSTD_MAGIC
            is_plain = not ends_with_seek_table(stream)
    except OSError as error:
        raise WorldFailed(str(image), f"cannot be read: {error.strerror}") from error
    if not is_zstd:
        raise _no_image(image)
    if is_plain:
        hint = f"an image is what cosmos build makes; to list an archive: tar --zstd -tf {quoted(image)}"
        raise Malformed(str(image), "is a plain archive, or an image that was cut off: it has no seek table", hint=hint)
    return ImageReader.open(image)


def _no_image(path: Path) -> Malformed:
    return Malformed(
        str(path),
        f"is not an image: want a {IMAGE_SUFFIX} file, or a folder that has one",
        hint="to make one: cosmos build IMAGE",
    )


def leads_to(path: TreePath, reader: ImageReader) -> TreePath:
    """Return the path in the image after following every link of `path`. No link leaves the image.

    Raises `Malformed` if there are too many links.
    """

    def target_of(here: TreePath, _rest: Sequence[bytes]) -> bytes | None:
        line = reader.owner(here)[1] if reader.has(here) else None
        return line.target if line is not None and line.kind == "symlink" else None

    try:
        return followed(path, target_of)
    except TooManyLinks as error:
        raise Malformed(path.text, "has too many links on its way: is there a circle?") from error
