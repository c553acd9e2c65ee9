"""A star's archive on the maintainer's disk, unpacked strictly. Its unpacked size is not known yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES, unpack_limit
from cosmos.pack.star_archive import StarContents, star_contents, unpacked_star
from cosmos.reading import file_content, open_plain
from cosmos.records import dataclass
from cosmos.spool import Spool

SUFFIXES: Final = (".tar.zst", ".tar.gz")
DEFAULT_LEVEL: Final = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveFile:
    """An archive: its own bytes, and the tar archive inside. Large ones stay on the disk."""

    name: str
    data: Content
    tar: Content

    def contents(self, script_name: str) -> StarContents:
        """Return what it holds; an empty `script_name` means that there is no script. Raises `Refused`."""
        contents = star_contents(self.tar, self.name, script_name)
        return replace(contents, copied_bytes=unpack_limit(len(self.data)))


def open_archive(path: Path) -> ArchiveFile:
    """Return the archive at `path`, whose name ends in one of `SUFFIXES`; raises `Malformed` or `Refused`."""
    data = file_content(path, MAX_STAR_ARCHIVE_BYTES)
    return ArchiveFile(name=path.name, data=data, tar=unpacked_star(data, str(path), Spool()))


def archive_digest(path: Path) -> Digest:
    """Return the digest of the archive at `path`, from its bytes. Raises `Malformed` and `OSError`."""
    with open_plain(path) as stream:
        return Digest.of_stream(stream)


def archive_suffix(file_name: str) -> str:
    """Return the suffix of an archive's name: the part after the stem that all files of a star share.

    >>> archive_suffix("zlib-1.3.1-x86_64.tar.zst")
    '.tar.zst'
    """
    stem = file_name.removesuffix(".tar.zst").removesuffix(".tar.gz")
    return file_name[len(stem) :]
