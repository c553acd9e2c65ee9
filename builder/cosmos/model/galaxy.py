"""`meta.toml`: a galaxy's index (upstream's format, and our fields besides).

    name = "core"
    description = "the base system"
    version = "2026.11.22"             # YYYY.MM.DD, for people
    seq = 7                            # ours: rises by one with every change; what rollback is judged by

    [stars]                            # name -> newest version; upstream also writes stars = ["zlib", …]
    zlib = "1.3.1"

    [checksums]                        # name -> SHA-256 (hex) of the newest version's archive
    zlib = "9f…"

    [[snapshot]]                       # ours: every version that can be had, by name and version
    name = "zlib"
    version = "1.3.1"
    statement = "sha256:…"             # of stars/zlib-1.3.1.toml
    archive = "sha256:…"
    provides = ["libz"]                # names that it answers to besides; left out where there are none

`meta.toml.dsse` signs these exact bytes. `snapshots/SEQ.toml` (and `.dsse`) are kept copies of every index, so that a
lock finds the one that it names after the galaxy has moved on. An index can hide or mislabel a star; it can never vouch
for one.

A galaxy without `[[snapshot]]` is upstream's: unsigned, and used only where the operator says `allow-unsigned`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cosmos.digest import Digest
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.tables import Table

_DATE = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One version of one star, as the index lists it."""

    name: StarName
    version: Version
    statement: Digest
    archive: Digest
    provides: tuple[StarName, ...] = ()

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[snapshot]]` table."""
        row = cls(
            name=table.read("name", StarName.parse),
            version=table.read("version", Version.parse),
            statement=table.read("statement", Digest.parse),
            archive=table.read("archive", Digest.parse),
            provides=table.parsed_strings("provides", StarName.parse) if "provides" in table else (),
        )
        table.end()
        return row

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            "version": str(self.version),
            "statement": str(self.statement),
            "archive": str(self.archive),
            **({"provides": [str(name) for name in self.provides]} if self.provides else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyIndex:
    """What a galaxy says that it holds. `newest` has None where upstream lists names alone."""

    name: GalaxyName
    description: str = ""
    version: str = ""
    seq: int = 0
    newest: Mapping[StarName, Version | None] = field(default_factory=dict)
    checksums: Mapping[StarName, Digest] = field(default_factory=dict)
    snapshot: tuple[Listed, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the `meta.toml` in `data`; raises `Malformed`."""
        table = Table.parse(data, source, max_bytes=MAX_INDEX_BYTES)
        named = "stars" in table and isinstance(table.value("stars"), dict)
        newest: Mapping[StarName, Version | None] = (
            table.parsed_map("stars", StarName.parse, Version.parse)
            if named
            else dict.fromkeys(table.parsed_strings("stars", StarName.parse))
        )
        snapshot = tuple(Listed.read(row) for row in table.tables("snapshot"))
        if len({(row.name, str(row.version)) for row in snapshot}) != len(snapshot):
            table.fail("snapshot", "lists one version of a star twice")
        return cls(
            name=table.read("name", GalaxyName.parse),
            description=table.take("description", str, ""),
            version=table.take_read("version", _dated, ""),
            seq=table.count("seq") if "seq" in table else 0,
            newest=newest,
            checksums=table.parsed_map("checksums", StarName.parse, Digest.from_hex),
            snapshot=snapshot,
            warnings=table.unknown(),
        )

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            "description": self.description,
            "version": self.version,
            "seq": self.seq,
            "stars": {str(name): str(version) for name, version in sorted(self.newest.items()) if version},
            "checksums": {str(name): digest.hex for name, digest in sorted(self.checksums.items())},
            "snapshot": [row.to_toml() for row in self.snapshot],
        }


def _dated(text: str) -> str:
    if not _DATE.fullmatch(text):
        raise ValueError(f"want YYYY.MM.DD, got {text[:80]!r}")
    return text
