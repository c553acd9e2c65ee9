"""Files of a release that its image gives: they need not be carried, nor downloaded.

    manifest.txt       the lines of the image's index
    an initramfs       the image's entries as a cpio archive, by the [[output]] table of the release's own image.toml
    any other file     a file in the image with the same digest: the binary, a kernel

Every one is checked by the digest that RELEASE.json names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from cosmos.content import Content, content_digest, pieces
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Refused
from cosmos.globs import checked, matches_any
from cosmos.model.image import DEFAULT_LEVEL, Image
from cosmos.model.release import DEFINITION_FILE, MANIFEST_FILE, Subject
from cosmos.pack.cpio import cpio_pieces
from cosmos.pack.image_file import ImageReader
from cosmos.pack.untar import read_tar
from cosmos.pack.zst import compressed
from cosmos.spool import Spool
from cosmos.tables import Table
from cosmos.tree.manifest import bounded_manifest

_CPIO_SUFFIX: Final = ".cpio.zst"
_IMAGE_FILE: Final = b"image/image.toml"


class Derivation:
    """What the image gives. `definition` are the bytes of the release's definition.tar, `spool` takes large files."""

    def __init__(self, reader: ImageReader, definition: bytes, spool: Spool) -> None:
        self._reader = reader
        self._definition = definition
        self._spool = spool
        self._files = {line.digest: line.path for line in reader.lines() if line.kind == "file"}

    def is_cheap(self, subject: Subject) -> bool:
        """Return whether the image gives this file without compressing anything."""
        return subject.name == MANIFEST_FILE or subject.digest in self._files

    def is_initramfs(self, subject: Subject) -> bool:
        """Return whether it is an initramfs, which the image may give."""
        return subject.name.endswith(_CPIO_SUFFIX)

    def content(self, subject: Subject) -> Content | None:
        """Return the file with its digest, or None if the image does not give it. Raises `Refused`, `WorldFailed`."""
        made: Content | None = None
        if subject.name == MANIFEST_FILE:
            made = bounded_manifest(self._reader.lines(), MANIFEST_FILE)
        elif subject.digest in self._files:
            made = self._spool.add(self._reader.file_pieces(self._files[subject.digest]))
        elif self.is_initramfs(subject):
            made = self._initramfs(subject.name)
        return made if made is not None and content_digest(made) == subject.digest else None

    def _initramfs(self, name: str) -> Content | None:
        """Return the initramfs by the first `[[output]]` of its format; None if image.toml has none."""
        with suppress(CosmosError):
            output = next(iter(self._initramfs_tables()), None)
            if output is None or not name.endswith(_CPIO_SUFFIX):
                return None
            exclude = output.parsed_strings("exclude", checked)
            level = output.count("level", least=1, most=22) if "level" in output else DEFAULT_LEVEL
            meanwhile = self._spool.another()  # twice the image: if this fails, the download needs the room
            entries = [  # all of them before the archive is begun, which lies behind them in the spool
                replace(entry, content=meanwhile.add(pieces(entry.content))) if entry.kind == "file" else entry
                for entry in self._reader.entries()
                if not matches_any(entry.path, exclude)
            ]
            archive = meanwhile.add(piece for part in cpio_pieces(entries) for piece in pieces(part))
            return compressed(archive, level, self._spool)
        return None

    def _initramfs_tables(self) -> Iterator[Table]:
        """Yield the `[[output]]` tables of an initramfs in the release's image.toml. Raises `Malformed`, `Refused`."""
        for entry in read_tar(self._definition, DEFINITION_FILE):
            if bytes(entry.path).endswith(_IMAGE_FILE) and entry.kind == "file":
                image = Image.parse(bytes(entry.content), f"{DEFINITION_FILE}: {entry.path.text}")
                for row in image.outputs:
                    table = Table(row, DEFINITION_FILE, "output")
                    if table.need("format", str) == _CPIO_SUFFIX.removeprefix("."):
                        yield table


def demand_digest(content: Content, wanted: Digest, source: str) -> None:
    """Raise `Refused` unless the content has this digest."""
    found = content_digest(content)
    if found != wanted:
        raise Refused(source, f"is {found}, but the release names {wanted}")
