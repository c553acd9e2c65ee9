"""`vendored.json`: what a vendored folder holds. `cosmos vendor` writes it, and everything that takes one reads it.

    {
      "format": 1,
      "lock": "image/universe.lock.toml",     the lock that the folder answers
      "image": "image",                       the image definition's folder; missing if only a lock was vendored
      "definition": "sha256:…",               of its files, packed as a release carries them; only with an image
      "files": [["image/image.toml", 312, "sha256:…"], …],     every other file, by path: its size and its digest
      "not-carried": ["galaxy core: …", …]    sentences for a person
    }

The folder:

    galaxies/NAME/meta.toml                   the lock's snapshot of the galaxy, as it was signed, also in snapshots/
    galaxies/NAME/stars/, packages/           the locked stars: statements, envelopes, archives
    image/, rootfs-templates/, up/            the image definition, as it lies in a release (image.packed_definition)
    trust/                                    the accepted trust.toml, and its versions as a galaxy carries them

Nobody signs this file. It finds a damaged or missing file and names it. Stars and indexes are judged by their own
signatures and by the lock; a digest of this file that came another way vouches for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Self

from cosmos.canon import Json, readable_json
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_VENDORED_BYTES
from cosmos.records import dataclass
from cosmos.tables import Table

VENDORED_FILE: Final = "vendored.json"
VENDORED_GALAXIES: Final = "galaxies"
VENDORED_TRUST: Final = "trust"
VENDORED_FORMAT: Final = 1
_ROW_FIELDS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class VendoredFile:
    """One file of the folder: its size and its digest."""

    size_bytes: int
    digest: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendored:
    """What a vendored folder holds. `image` and `definition` are None if it holds a lock without an image."""

    lock: str
    image: str | None
    definition: Digest | None
    files: Mapping[str, VendoredFile]
    not_carried: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the document in `data`. Raises `Malformed`, also for a format that this cosmos does not know."""
        table = Table.from_json(data, source, max_bytes=MAX_VENDORED_BYTES)
        number = table.count("format", least=1)
        if number != VENDORED_FORMAT:
            hint = "vendor it again with this cosmos, or read it with a newer one"
            raise Malformed(source, f"is of format {number}, but this cosmos reads {VENDORED_FORMAT}", hint=hint)
        rows = [_file(row, source) for row in table.need("files", list)]
        if len(dict(rows)) != len(rows):
            raise Malformed(source, "files: names one file twice")
        found = cls(
            lock=table.read("lock", _path),
            image=table.take_read("image", _path),
            definition=table.take_read("definition", Digest.parse),
            files=dict(rows),
            not_carried=table.strings("not-carried"),
        )
        table.end()
        return found

    def to_bytes(self) -> bytes:
        """Return the document."""
        rows: list[Json] = [[path, one.size_bytes, str(one.digest)] for path, one in sorted(self.files.items())]
        return readable_json(
            {
                "format": VENDORED_FORMAT,
                "lock": self.lock,
                **({} if self.image is None else {"image": self.image}),
                **({} if self.definition is None else {"definition": str(self.definition)}),
                "files": rows,
                "not-carried": list(self.not_carried),
            }
        )


def _path(text: str) -> str:
    if not text or any(part in ("", ".", "..") for part in text.split("/")) or "\0" in text or "\\" in text:
        raise ValueError("want a path that stays inside the folder")
    return str(PurePosixPath(text))


def _file(row: object, source: str) -> tuple[str, VendoredFile]:
    try:
        if not isinstance(row, list) or len(row) != _ROW_FIELDS:
            raise ValueError("want a path, a size and a digest")
        path, size, digest = row
        if not isinstance(path, str) or not isinstance(digest, str) or type(size) is not int or size < 0:
            raise ValueError("want a path, a size and a digest")
        return _path(path), VendoredFile(size_bytes=size, digest=Digest.parse(digest))
    except ValueError as error:
        raise Malformed(source, f"files: {error}") from error
