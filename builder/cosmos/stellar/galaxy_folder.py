"""A galaxy as its maintainer has it: a folder of plain files, which any web server or stick can carry.

meta.toml  meta.toml.dsse              the index, and who signed it (model.galaxy)
snapshots/SEQ.toml  SEQ.toml.dsse      copies of every index
stars/NAME-VERSION.toml  …toml.dsse    statements (model.statement)
stars/NAME.toml                        a copy of the newest version's, for upstream's programs
packages/NAME-VERSION.tar.zst          archives
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import StarName
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.stellar.build_star import BuiltStar
from cosmos.stellar.signing import sign_file, write_document
from cosmos.stellar.source_folder import bounded_bytes
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root

INDEX: Final = "meta.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyFolder:
    """Where a galaxy's files lie."""

    root: Path

    @property
    def index_file(self) -> Path:
        """The index."""
        return self.root / INDEX

    @property
    def packages(self) -> Path:
        """The folder of archives."""
        return self.root / "packages"

    def statement_file(self, name: StarName, version: Version) -> Path:
        """The statement of one version of a star."""
        return self.root / "stars" / f"{name}-{version}.toml"

    def newest_file(self, name: StarName) -> Path:
        """The copy of a star's newest statement."""
        return self.root / "stars" / f"{name}.toml"

    def snapshot_file(self, seq: int) -> Path:
        """The copy of one index."""
        return self.root / "snapshots" / f"{seq}.toml"

    def index(self) -> GalaxyIndex:
        """Return the index as it is; raises `Malformed` where there is none."""
        if not self.index_file.is_file():
            hint = f"stellar galaxy-init {self.root} --name NAME"
            raise Malformed(str(self.index_file), "is not there: this is no galaxy", hint=hint)
        return GalaxyIndex.parse(bounded_bytes(self.index_file, MAX_INDEX_BYTES), str(self.index_file))


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A star in a galaxy. `is_new` is False where the same bytes stood there already."""

    statement: Statement
    archive: Path
    statement_file: Path
    is_new: bool
    replaced: Digest | None


def add_star(galaxy: GalaxyFolder, built: BuiltStar, keys: Sequence[SecretKey]) -> Added:
    """Put a built star into the galaxy: archive, statement, and the author keys' signatures on it.

    What stands there under the same version is replaced, and `replaced` is its digest. The index is not touched.
    """
    index = galaxy.index()
    star, digest = built.manifest, built.digest
    file = galaxy.statement_file(star.name, star.version)
    old = read_statement(file) if file.is_file() else None
    statement = Statement(
        star=star,
        galaxy=index.name,
        seq=old.seq if old is not None and old.archive == digest else index.seq + 1,
        archive=digest,
        file=f"packages/{built.file_name}",
        size_bytes=len(built.packed.data),
        unpacked_bytes=built.packed.unpacked_bytes,
        script=Digest.of(built.script) if built.script is not None else None,
        content=content_of(built.entries),
    )
    archive = built.write(galaxy.packages)
    is_new = write_document(file, tomli_w.dumps(statement.to_toml()).encode())
    for key in keys:
        sign_file(file, key)
    replaced = old.archive if old is not None and old.archive != digest else None
    return Added(statement=statement, archive=archive, statement_file=file, is_new=is_new, replaced=replaced)


def content_of(entries: Sequence[Entry]) -> Digest:
    """Return the digest of the manifest of what lies below files/: what a statement calls `content`."""
    return content_root(ManifestLine.of(entry) for entry in entries)


def read_statement(file: Path) -> Statement:
    """Return the statement in `file`; raises `Malformed`."""
    return Statement.parse(bounded_bytes(file, MAX_DOCUMENT_BYTES), str(file))
