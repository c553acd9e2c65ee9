"""`meta.toml`: a galaxy's index (upstream's format, and our fields besides).

    format = 2                         # ours: of [[snapshot]]
    name = "core"
    description = "the base system"
    version = "2026.11.22"             # YYYY.MM.DD, for people
    seq = 7                            # ours: rises by one with every change; a lower one is a rollback

    [catalogue]                        # ours: the file catalogues/DIGEST.toml (model.catalogue), for `cosmos search`
    digest = "sha256:…"
    size-bytes = 812345

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
star are called NAME-VERSION for every architecture, and its statement names the architecture. Cosmos reads both
formats. A format above 2 is for a newer cosmos and is refused. So a published galaxy keeps its format until its
maintainer moves it (`stellar index-galaxy --format`): docs/decisions/0027.

Keys that an older cosmos does not know, at the top of the document, warn and pass. So `[catalogue]` may stand in an
index of either format. Rows are strict: a new key in a row is a new format.

`meta.toml.dsse` signs these exact bytes. `snapshots/SEQ.toml` (and `.dsse`) are kept copies of every index, so that a
lock finds the one that it names after the galaxy has moved on. An index can hide or mislabel a star; it can never vouch
for one.

A galaxy without `[[snapshot]]` has upstream's format: it is unsigned, and used only if the operator wrote
`allow-unsigned`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final, Self

from cosmos.digest import Digest
from cosmos.limits import MAX_CATALOGUE_BYTES, MAX_INDEX_BYTES
from cosmos.model.file_names import file_stem, parsed_stem
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.version import Version, read_version, version_rows
from cosmos.records import dataclass
from cosmos.tables import Table

INDEX_FORMAT: Final = 2
_NEWER: Final = "update cosmos from a stick or another galaxy, or ask the galaxy's owner for its older format"

_MAX_VERSION: Final = 80  # characters of a version for people
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
class CataloguePin:
    """The catalogue that an index names, by digest and size."""

    digest: Digest
    size_bytes: int

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the pin of a catalogue with these bytes."""
        return cls(digest=Digest.of(data), size_bytes=len(data))

    @property
    def path(self) -> str:
        """The file's path in the galaxy."""
        return f"catalogues/{self.digest.hex}.toml"

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[catalogue]` table of an index."""
        pin = cls(
            digest=table.read("digest", Digest.parse),
            size_bytes=table.count("size-bytes", least=1, most=MAX_CATALOGUE_BYTES),
        )
        table.end()
        return pin

    def to_toml(self) -> dict[str, object]:
        """Return the table as `tomli_w` takes it."""
        return {"digest": str(self.digest), "size-bytes": self.size_bytes}


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyIndex:
    """The stars that a galaxy lists. `newest` has None for a star that upstream lists by its name alone.

    `catalogue` is None if the galaxy has none: upstream's, and those of an older stellar.
    """

    name: GalaxyName
    format: int = 1
    description: str = ""
    version: str = ""
    seq: int = 0
    newest: Mapping[StarName, Version | None] = field(default_factory=dict)
    checksums: Mapping[StarName, Digest] = field(default_factory=dict)
    snapshot: tuple[Listed, ...] = ()
    catalogue: CataloguePin | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the `meta.toml` in `data`; raises `Malformed`."""
        return cls.read(Table.parse(data, source, max_bytes=MAX_INDEX_BYTES))

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `meta.toml` in `table`; raises `Malformed`."""
        named = "stars" in table and isinstance(table.value("stars"), dict)
        number = table.count("format", least=1) if "format" in table else 1
        if number > INDEX_FORMAT:
            problem = f"want at most {INDEX_FORMAT}, got {number}: this galaxy is for a newer cosmos"
            table.fail("format", problem, hint=_NEWER)
        snapshot = tuple(Listed.read(row, number) for row in table.tables("snapshot"))
        _demand_one_each(snapshot, table)
        listed = {(row.name, str(row.version)): row.version for row in snapshot}
        newest: Mapping[StarName, Version | None]
        if named:
            stars = table.table("stars")
            newest = {
                name: listed.get((name, stars.need(text, str))) or stars.read(text, Version.guessed)
                for text, name in table.parsed_map_keys("stars", StarName.parse).items()
            }
        else:
            newest = dict.fromkeys(table.parsed_strings("stars", StarName.parse))
        return cls(
            format=number,
            name=table.read("name", GalaxyName.parse),
            description=table.take("description", str, ""),
            version=table.take_read("version", _dated if snapshot else _plain_line, ""),
            seq=table.count("seq") if "seq" in table else 0,
            newest=newest,
            checksums=table.parsed_map("checksums", StarName.parse, Digest.from_hex),
            snapshot=snapshot,
            catalogue=CataloguePin.read(table.table("catalogue")) if "catalogue" in table else None,
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
            **({"catalogue": self.catalogue.to_toml()} if self.catalogue is not None else {}),
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


def _plain_line(text: str) -> str:
    """Return the version of an upstream index: any text, for people."""
    if len(text) > _MAX_VERSION or not text.isprintable():
        raise ValueError(f"want one line of at most {_MAX_VERSION} characters, got {text[:80]!r}")
    return text


def _dated(text: str) -> str:
    if not _DATE.fullmatch(text):
        raise ValueError(f"want YYYY.MM.DD, got {text[:80]!r}")
    return text
