"""Look into a star's archive on the disk: its manifest, script and files, and the statement beside it.

The archive is unpacked by the strict reader, in memory. Nothing of it is run or written to the disk. An archive proves
nothing by itself. What its author says of it is in a statement: `NAME.toml` beside it, or in a galaxy's `../stars/`.
The statement is verified only if the reader names the keys that they trust. Otherwise it is compared, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.content import content_digest
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_ENVELOPE_BYTES
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.reading import read_bounded, read_envelope, read_up_to
from cosmos.records import dataclass
from cosmos.stellar.archive_file import SUFFIXES, open_archive
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import TreePath
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import verify_statement

Standing: TypeAlias = Literal["verified", "not judged", "refused", "absent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """The statement beside an archive. `why` says what is wrong with it, or why it was not judged."""

    standing: Standing
    file: str = ""
    statement: Statement | None = None
    signers: Mapping[str, str] | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownArchive:
    """An archive, read strictly. `star` is None if it has no manifest, as upstream's archives may be."""

    name: str
    digest: Digest
    size_bytes: int
    unpacked_bytes: int
    star: Star | None
    script: bytes | None
    files: Mapping[TreePath, Entry]
    beside: tuple[TreePath, ...]
    stated: Stated


def show_archive(path: Path, trust: Path | None) -> ShownArchive:
    """Return what the archive at `path` is. `trust` is a document with the keys that the reader trusts.

    Raises `Malformed` or `Refused` for an archive that no installer would read.
    """
    if not path.name.endswith(SUFFIXES):
        raise Malformed(str(path), "want an archive whose name ends in .tar.zst or .tar.gz")
    archive = open_archive(path)
    manifest = archive.contents("").manifest
    star = Star.parse(manifest, f"{path.name}: star.toml") if manifest else None
    contents = archive.contents(star.install_script if star is not None else "install.lua")
    digest = content_digest(archive.data)
    content = content_root(ManifestLine.of(entry) for entry in contents.files.values())
    script = Digest.of(contents.script) if contents.script else None
    stated = _stated(path, trust)
    if stated.statement is not None and stated.standing != "refused":
        differing = _differing(stated.statement, digest, script, content, star)
        if differing:
            why = f"it is about another archive: {differing}"
            stated = Stated(standing="refused", file=stated.file, statement=stated.statement, why=why)
    return ShownArchive(
        name=path.name,
        digest=digest,
        size_bytes=len(archive.data),
        unpacked_bytes=len(archive.tar),
        star=star,
        script=contents.script,
        files=contents.files,
        beside=tuple(sorted(contents.beside)),
        stated=stated,
    )


def _stated(path: Path, trust: Path | None) -> Stated:
    stem = path.name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    for file in (path.with_name(f"{stem}.toml"), path.parent.parent / "stars" / f"{stem}.toml"):
        if file.is_file():
            return _judged(file, trust)
    return Stated(standing="absent", why=f"there is no {stem}.toml beside it, or in ../stars/")


def _judged(file: Path, trust: Path | None) -> Stated:
    data = read_up_to(file, MAX_DOCUMENT_BYTES)
    try:
        statement = Statement.parse(data, file.name)
        if trust is None:
            why = "name the keys that you trust: --trust FILE"
            return Stated(standing="not judged", file=str(file), statement=statement, why=why)
        roots = TrustRoots.parse(read_bounded(trust), str(trust))
        verified = verify_statement(
            data,
            read_envelope(file, MAX_ENVELOPE_BYTES),
            galaxy=statement.galaxy,
            name=statement.star.name,
            version=statement.star.version,
            roots=roots,
            allow_unsigned=False,
            source=file.name,
        )
    except CosmosError as error:
        return Stated(standing="refused", file=str(file), why=str(error))
    signers = {key: roots.name_of(key) for key in verified.signers}
    return Stated(standing="verified", file=str(file), statement=statement, signers=signers)


def _differing(said: Statement, archive: Digest, script: Digest | None, content: Digest, star: Star | None) -> str:
    """Return what the statement says otherwise than the archive is; empty if nothing."""
    if said.archive != archive:
        return f"it names {said.archive}, but this is {archive}"
    if said.script != script:
        return f"it names the script {said.script or 'none'}, but this one has {script or 'none'}"
    if said.content != content:
        return f"it names the contents {said.content}, but these are {content}"
    if star is not None and (star.name, star.version) != (said.star.name, said.star.version):
        return f"it is about {said.star.id}, but this is {star.id}"
    return ""
