"""Put a built star into a galaxy: its archive, its statement, and signatures by author keys. The index stays as it is.

    the same bytes are there      nothing is written but signatures that are missing
    other bytes, published        refused: what an index has listed never changes (stellar.published)
    other bytes, not published    refused, or replaced where the maintainer says so
    another architecture          lies beside

The statement is written last. If the program is cut off before, the star has no statement, and the next run adds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import tomli_w

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_DOCUMENT_BYTES, demand_within
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Reporter, Silent
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.reading import envelope_of, is_there
from cosmos.records import dataclass
from cosmos.stellar.archive_file import archive_suffix
from cosmos.stellar.build_star import BuiltStar, put_archive
from cosmos.stellar.galaxy_folder import GalaxyFolder, content_of, read_statement
from cosmos.stellar.published import AlreadyThere, Once, Published
from cosmos.stellar.signing import sign_file
from cosmos.trust.dsse import assemble
from cosmos.trust.roles import STAR_TYPE

Unpublished: TypeAlias = Literal["refuse", "replace"]
_REPLACE: Final = "--replace puts this one in its place: no index has listed it yet"


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A star in a galaxy. `is_new` is False if the same bytes were there before."""

    statement: Statement
    archive: Path
    statement_file: Path
    is_new: bool
    replaced: Digest | None


def add_star(
    galaxy: GalaxyFolder,
    built: BuiltStar,
    keys: Sequence[SecretKey],
    *,
    unpublished: Unpublished = "refuse",
    published: Published | None = None,
    reporter: Reporter | None = None,
) -> Added:
    """Put `built` into the galaxy. `published` may hold the galaxy's indexes, read once for several stars.

    Raises `AlreadyThere` if the galaxy has other bytes under this version that an index has listed, or if `unpublished`
    says "refuse".
    """
    with galaxy.publishing(reporter or Silent()):
        star, digest, index = built.manifest, built.digest, galaxy.index()
        stem = galaxy.stem_of(star.name, star.version, star.arch)
        listed = (published or Published(galaxy)).demand_same(star, digest, index.seq, stem)
        file = galaxy.statement_file(stem)
        old = read_statement(file) if is_there(file) else None
        if old is not None and old.archive == digest:
            return _kept(galaxy, built, old, file, keys)
        if old is not None and (unpublished == "refuse" or not _is_same(old.star, star)):
            raise AlreadyThere(
                str(file),
                f"it names {_named(old.star)} with {old.archive}, but this is {_named(star)} with {digest}",
                stem=stem,
                hint=_REPLACE if _is_same(old.star, star) else "give the star another version",
            )
        statement = _statement(galaxy, built, digest, stem, listed, index.seq + 1)
        archive = _written(galaxy, statement, built, file, keys)
        replaced = None if old is None else old.archive
        return Added(statement=statement, archive=archive, statement_file=file, is_new=True, replaced=replaced)


def _statement(
    galaxy: GalaxyFolder, built: BuiltStar, archive: Digest, stem: str, listed: Sequence[Once], next_seq: int
) -> Statement:
    """Return the star's statement. A star that was withdrawn before gets the `seq` of its old statement."""
    seq = min((one.seq for one in listed), default=next_seq)
    return statement_of(built, archive, galaxy.index().name, f"packages/{stem}{archive_suffix(built.file_name)}", seq)


def statement_of(built: BuiltStar, archive: Digest, galaxy: GalaxyName, file: str, seq: int) -> Statement:
    """Return the statement of a built star whose archive is `file` in `galaxy`, with this digest."""
    return Statement(
        star=built.manifest,
        galaxy=galaxy,
        seq=seq,
        archive=archive,
        file=file,
        size_bytes=len(built.packed.data),
        unpacked_bytes=built.packed.unpacked_bytes,
        script=Digest.of(built.script) if built.script is not None else None,
        content=content_of(built.entries),
    )


def _written(
    galaxy: GalaxyFolder, statement: Statement, built: BuiltStar, file: Path, keys: Sequence[SecretKey]
) -> Path:
    """Write archive, envelope and statement, in this order, and return the archive's path."""
    data = tomli_w.dumps(statement.to_toml()).encode()
    demand_within(len(data), MAX_DOCUMENT_BYTES, str(file))
    signatures = {key.public.raw: key.signature(STAR_TYPE, data) for key in keys}
    envelope = assemble(STAR_TYPE, data, signatures.values()) if signatures else None
    file.unlink(missing_ok=True)
    envelope_of(file).unlink(missing_ok=True)
    archive = galaxy.root / statement.file
    put_archive(archive, built)
    if envelope is not None:
        write_durably(envelope_of(file), envelope)
    write_durably(file, data)
    return archive


def _kept(galaxy: GalaxyFolder, built: BuiltStar, statement: Statement, file: Path, keys: Sequence[SecretKey]) -> Added:
    """Return the star of the galaxy, after restoring a missing archive and adding missing signatures."""
    archive = galaxy.root / statement.file
    put_archive(archive, built)
    for key in keys:
        sign_file(file, key)
    return Added(statement=statement, archive=archive, statement_file=file, is_new=False, replaced=None)


def _is_same(one: Star, other: Star) -> bool:
    return (one.name, one.version, one.arch) == (other.name, other.version, other.arch)


def _named(star: Star) -> str:
    return f"{star.name} {star.version} for {star.arch}"
