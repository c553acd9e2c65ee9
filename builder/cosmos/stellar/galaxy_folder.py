"""A galaxy as its maintainer has it: a folder of plain files, which any web server or stick can carry.

meta.toml  meta.toml.dsse              the index, and who signed it (model.galaxy)
snapshots/SEQ.toml  SEQ.toml.dsse      copies of every index
catalogues/DIGEST.toml                 the newest stars in a few words each (model.catalogue), of the newest indexes
stars/STEM.toml  STEM.toml.dsse        statements (model.statement); STEM is NAME-VERSION-ARCH (model.file_names)
stars/NAME.toml                        a copy of the newest version's, for upstream's programs
packages/STEM.tar.zst                  archives
.publishing                            locked by the process that publishes; readers ignore it

Readers take no lock. Published files never change, and one step publishes an index: the renaming of meta.toml
(stellar.publishing).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, quoted
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES, PUBLISHING_SECONDS
from cosmos.locking import locked_in_time
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import CataloguePin, GalaxyIndex
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root

INDEX: Final = "meta.toml"
_MOST_KNOWN: Final = 4  # indexes: the published one, its copy, the one before and the one that waits


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyFolder:
    """The paths of a galaxy's files."""

    root: Path

    @property
    def index_file(self) -> Path:
        """The index."""
        return self.root / INDEX

    @property
    def packages(self) -> Path:
        """The folder of archives."""
        return self.root / "packages"

    def statement_file(self, stem: str) -> Path:
        """The statement of the star whose files are called `stem`."""
        return self.root / "stars" / f"{stem}.toml"

    def stem_of(self, name: StarName, version: Version, arch: Arch) -> str:
        """Return the stem of a star's files here: as model.file_names says, or the older form without ARCH."""
        stem, old = file_stem(name, str(version), arch), file_stem(name, str(version))
        file = self.statement_file(old)
        if stem == old or is_there(self.statement_file(stem)) or not is_there(file):
            return stem
        return old if read_statement(file).star.arch == arch else stem

    def newest_file(self, name: StarName) -> Path:
        """The copy of a star's newest statement."""
        return self.root / "stars" / f"{name}.toml"

    def snapshot_file(self, seq: int) -> Path:
        """The copy of one index."""
        return self.root / "snapshots" / f"{seq}.toml"

    def index(self) -> GalaxyIndex:
        """Return the present index; raises `Malformed` for a folder without an index."""
        if not is_there(self.index_file):
            hint = f"stellar galaxy-init {quoted(self.root)} --name NAME"
            raise Malformed(str(self.index_file), "is not there: this is not a galaxy", hint=hint)
        return parsed_index(read_bounded(self.index_file, MAX_INDEX_BYTES), str(self.index_file))

    def catalogue_file(self, pin: CataloguePin) -> Path:
        """The catalogue that an index names."""
        return self.root / pin.path

    @contextlib.contextmanager
    def publishing(self, reporter: Reporter) -> Iterator[None]:
        """Be the only process that writes into the galaxy; raises `WorldFailed` with the other process's number."""
        self.index()

        def waiting(holder: str) -> None:
            reporter.note(f"{self.root}: waits for process {holder}, which works on this galaxy")

        with locked_in_time(self.root / ".publishing", str(self.root), PUBLISHING_SECONDS, waiting):
            yield


def content_of(entries: Sequence[Entry]) -> Digest:
    """Return the digest of the manifest of the entries below files/. A statement calls it `content`."""
    return content_root(ManifestLine.of(entry) for entry in entries)


_known: dict[bytes, GalaxyIndex] = {}  # what bytes mean does not change


def parsed_index(data: bytes, source: str) -> GalaxyIndex:
    """Return the index in `data`; the last ones are not parsed again. Raises `Malformed`."""
    found = _known.pop(data, None) or GalaxyIndex.parse(data, source)
    _known[data] = found  # the last one of the dictionary is the newest
    if len(_known) > _MOST_KNOWN:
        del _known[next(iter(_known))]
    return found


def read_statement(file: Path) -> Statement:
    """Return the statement in `file`; raises `Malformed`."""
    return Statement.parse(read_bounded(file, MAX_DOCUMENT_BYTES), str(file))
