"""`stars/NAME-VERSION.toml`: the statement that an author signs about one star (TRUST.md section 4).

It is the star's manifest (model.star) with one more table. Its exact bytes are the payload of
`stars/NAME-VERSION.toml.dsse`:

    name = "zlib"
    version = "1.3.1"
    …
    [statement]
    format = 1                         # 2 if readers of format 1 would not understand the manifest
    galaxy = "core"                    # the one galaxy that may hold it
    seq = 7                            # the galaxy's sequence number when it was made
    archive = "sha256:…"
    file = "packages/zlib-1.3.1.tar.zst"   # relative to the galaxy
    size-bytes = 61234
    unpacked-bytes = 153600            # of the decompressed archive, exactly
    script = "sha256:…"                # of the install script's bytes; absent if the star has no script
    content = "sha256:…"               # of the star's own manifest of its files (tree.manifest)

Format 2 allows in the manifest: `version-scheme = "debian"`, `any-of`, `replaces`, names provided without a version,
several ranges or versions of one name, and `<<` and `>>`. An older cosmos, which reads format 1 alone, refuses such a
statement. So a statement has format 2 only if it needs it.

A nebula has an archive as well, which holds `star.toml` alone. In a galaxy of upstream's format it has none: `file`
then names its manifest, `stars/NAME.toml`, `archive` is the digest of these bytes, and `unpacked-bytes` is 0.
"""

from __future__ import annotations

from typing import Self

from cosmos.digest import Digest
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES, MAX_STAR_UNPACKED_BYTES
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.star import Star
from cosmos.records import dataclass
from cosmos.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One star's manifest, bound to its bytes and to its galaxy."""

    star: Star
    galaxy: GalaxyName
    seq: int
    archive: Digest
    file: str
    size_bytes: int
    unpacked_bytes: int
    script: Digest | None
    content: Digest

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the statement in `data`; raises `Malformed`."""
        whole = Table.parse(data, source)
        table = whole.table("statement")
        form = table.count("format")
        if form not in (1, 2):
            table.fail("format", "want 1 or 2: this statement is for a newer cosmos")
        star = Star.read(whole)
        if form == 1 and not star.is_plain:
            table.fail("format", "want 2 for what this manifest says")
        statement = cls(
            star=star,
            galaxy=table.read("galaxy", GalaxyName.parse),
            seq=table.count("seq"),
            archive=table.read("archive", Digest.parse),
            file=table.read("file", package_path),
            size_bytes=table.count("size-bytes", most=MAX_STAR_ARCHIVE_BYTES),
            unpacked_bytes=table.count("unpacked-bytes", most=MAX_STAR_UNPACKED_BYTES),
            script=table.take_read("script", Digest.parse),
            content=table.read("content", Digest.parse),
        )
        table.end()
        return statement

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        rows: dict[str, object] = {
            "format": 1 if self.star.is_plain else 2,
            "galaxy": str(self.galaxy),
            "seq": self.seq,
            "archive": str(self.archive),
            "file": self.file,
            "size-bytes": self.size_bytes,
            "unpacked-bytes": self.unpacked_bytes,
        }
        if self.script is not None:
            rows["script"] = str(self.script)
        return {**self.star.to_toml(), "statement": {**rows, "content": str(self.content)}}


def manifest_path(name: StarName) -> str:
    """Return the path of a star's manifest in a galaxy of upstream's format."""
    return f"stars/{name}.toml"


def package_path(text: str) -> str:
    """Return `text` if it is a relative path inside a galaxy, or raise `ValueError`."""
    parts = text.removeprefix("./").split("/")
    if not text or "\\" in text or "\0" in text or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"want a path inside the galaxy such as packages/zlib-1.3.1.tar.zst, got {text[:80]!r}")
    return "/".join(parts)
