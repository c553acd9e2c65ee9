"""`meta.toml`: a galaxy's index (upstream's format, and our fields besides).

    format = 2                         # ours: of [[snapshot]]
    name = "core"
    description = "the base system"
    version = "2026.11.22"             # YYYY.MM.DD, for people
    seq = 7                            # ours: rises by one with every change; a lower one is a rollback

    [stars]                            # name -> newest version; upstream also writes stars = ["zlib", …]
    zlib = "1.3.1"

    [checksums]                        # name -> SHA-256 (hex) of the newest version's archive
    zlib = "9f…"

    [[snapshot]]                       # ours: every star that can be had, by name, version and architecture
    name = "zlib"
    version = "1.3.1"
    arch = "x86_64"
    statement = "sha256:…"             # of stars/zlib-1.3.1-x86_64.toml
    archive = "sha256:…"
    provides = "libz compression"      # the names that it answers to besides its own; left out if it has no others
    files = "zlib-1.3.1"               # only if its files have another name than model.file_names gives

**Formats.** An index without `format` is of format 1. Its rows have no `arch`, `provides` and `files`. The files of a
star are called NAME-VERSION for every architecture, and its statement names the architecture. Cosmos still reads format
1, and writes format 2 with the index's next change. A format above 2 is for a newer cosmos and is refused.

`meta.toml.dsse` signs these exact bytes. `snapshots/SEQ.toml` (and `.dsse`) are kept copies of every index, so that a
lock finds the one that it names after the galaxy has moved on. An index can hide or mislabel a star; it can never vouch
for one.

A galaxy without `[[snapshot]]` has upstream's format: it is unsigned, and used only if the operator wrote
`allow-unsigned`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cosmos.digest import Digest
from cosmos.limits import MAX_INDEX_BYTES
from cosmos.model.file_names import file_stem, parsed_stem
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.version import Version, read_version, version_rows
from cosmos.tables import Table

INDEX_FORMAT: Final = 2

_DATE = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One version of one star for one architecture, as the index lists it.

    `arch` is None in an index of format 1, which does not name it; `files` is None if the stem is the usual one.
    """

    name: StarName
    version: Version
    statement: Digest
    archive: Digest
    arch: Arch | None = None
    provides: tuple[StarName, ...] = ()
    files: str | None = None

    @property
    def stem(self) -> str:
        """The name of its files, without their endings."""
        return self.files or file_stem(self.name, str(self.version), self.arch or ANY_ARCH)

    @classmethod
    def read(cls, table: Table, format_number: int) -> Self:
        """Return a `[[snapshot]]` table of an index of that format."""
        has_arch = format_number > 1
        row = cls(
            name=table.read("name", StarName.parse),
            version=read_version(table),
            arch=table.read("arch", Arch.parse) if has_arch else None,
            statement=table.read("statement", Digest.parse),
            archive=table.read("archive", Digest.parse),
            provides=table.take_read("provides", _names, ()) if has_arch else (),
            files=table.take_read("files", parsed_stem) if has_arch else None,
        )
        table.end()
        return row

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {
            "name": str(self.name),
            **version_rows(self.version),
            **({"arch": str(self.arch)} if self.arch is not None else {}),
            "statement": str(self.statement),
            "archive": str(self.archive),
            **({"provides": " ".join(self.provides)} if self.provides else {}),
            **({"files": self.files} if self.files is not None else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyIndex:
    """The stars that a galaxy lists. `newest` has None for a star that upstream lists by its name alone."""

    name: GalaxyName
    format: int = 1
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
        number = table.count("format", least=1) if "format" in table else 1
        if number > INDEX_FORMAT:
            table.fail("format", f"want at most {INDEX_FORMAT}, got {number}: this galaxy is for a newer cosmos")
        snapshot = tuple(Listed.read(row, number) for row in table.tables("snapshot"))
        _demand_one_each(snapshot, table)
        listed = {(row.name, str(row.version)): row.version for row in snapshot}
        newest: Mapping[StarName, Version | None] = (
            {
                name: listed.get((name, text)) or table.table("stars").read(name, Version.guessed)
                for name, text in table.parsed_map("stars", StarName.parse, str).items()
            }
            if named
            else dict.fromkeys(table.parsed_strings("stars", StarName.parse))
        )
        return cls(
            format=number,
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
            **({"format": self.format} if self.format > 1 else {}),
            "name": str(self.name),
            "description": self.description,
            "version": self.version,
            "seq": self.seq,
            "stars": {str(name): str(version) for name, version in sorted(self.newest.items()) if version},
            "checksums": {str(name): digest.hex for name, digest in sorted(self.checksums.items())},
            "snapshot": [row.to_toml() for row in self.snapshot],
        }


def _demand_one_each(snapshot: Sequence[Listed], table: Table) -> None:
    """Refuse a star that is listed twice, and two stars whose files would have one name."""
    if len({(row.name, str(row.version), row.arch) for row in snapshot}) != len(snapshot):
        table.fail("snapshot", "lists one version of a star twice")
    stems: dict[str, Listed] = {}
    for row in snapshot:
        other = stems.setdefault(row.stem, row)
        if other is not row:
            table.fail(
                "snapshot",
                f"{other.name} {other.version} and {row.name} {row.version} have files of one name: {row.stem}",
            )


def _names(text: str) -> tuple[StarName, ...]:
    return tuple(map(StarName.parse, text.split(" ")))


def _dated(text: str) -> str:
    if not _DATE.fullmatch(text):
        raise ValueError(f"want YYYY.MM.DD, got {text[:80]!r}")
    return text
