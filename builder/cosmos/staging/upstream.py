"""Galaxies in upstream's format: an index without `[[snapshot]]`, manifests without statements, nothing signed.

    meta.toml                          [stars] name -> version, or a list of names; [checksums] name -> archive's
    SHA-256 stars/NAME.toml                    the manifest of the one version that can be had
    packages/NAME-VERSION.tar.gz       or what the manifest's `source = "./packages/…"` says

`cosmos freeze` fetches the archive and makes a statement from it. The lock pins this statement by its digest, so that a
build makes the same statement from the same galaxy, and refuses if the manifest or the archive has changed. Such a
statement vouches for nothing: the galaxy is used only if the operator wrote `allow-unsigned = true`.

KNOWN GAP: a nebula that upstream lists without an archive cannot be frozen.
"""

from __future__ import annotations

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_STAR_ARCHIVE_BYTES
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.statement import Statement, package_path
from cosmos.model.version import Version
from cosmos.pack.star_archive import star_contents, unpacked_star
from cosmos.staging.source import SignedFile, Source, statement_path
from cosmos.tables import Table
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.tree.manifest import ManifestLine, content_root


def upstream_listing(source: Source, index: GalaxyIndex) -> dict[StarName, Version]:
    """Return the version of each star in an upstream index; from its manifest if the index names no version."""
    return {
        name: Star.read(_manifest(_reached(source, name), source, name)).version if version is None else version
        for name, version in index.newest.items()
    }


def statement_for(source: Source, index: GalaxyIndex, star: LockedStar, row: Listed | None) -> SignedFile:
    """Return the statement that the lock pins: the one in the galaxy's `row`, or for upstream's galaxies, which have no
    row, the one made from the archive.

    Raises `Refused` if the statement made now differs from the one made when the image was frozen.
    """
    if row is not None:
        return source.statement(row.stem, star.statement, by="the lock")
    try:
        stem = file_stem(star.name, str(star.version))
        return source.statement(stem, star.statement, by="the lock")  # from the store
    except NotThere:
        made = upstream_statement(source, index, star.name, star.version)
    if made.digest != star.statement:
        raise Refused(
            star.id,
            f"the lock names {star.statement}, but galaxy {source.galaxy} now gives {made.digest}",
            hint=f"its manifest or archive was changed; lock the new one with: cosmos freeze --upgrade {star.name}",
        )
    return made


def upstream_statement(source: Source, index: GalaxyIndex, name: StarName, version: Version) -> SignedFile:
    """Return a statement for `name` in an unsigned galaxy, made from its manifest and its archive.

    The archive is kept in the store. Raises `Refused` if the galaxy's own checksum differs.
    """
    carrier = _reached(source, name)
    table = _manifest(carrier, source, name)
    star = Star.read(table)
    if star.version != version:
        path = f"{source.galaxy}: stars/{name}.toml"
        raise Refused(path, f"is of version {star.version}, but {version} was asked for")
    file = _archive_path(star)
    data = carrier.read(file, max_bytes=MAX_STAR_ARCHIVE_BYTES)
    archive, where = Digest.of(data), f"{source.galaxy}: {file}"
    listed = index.checksums.get(name)
    if listed is not None and listed != archive:
        raise Refused(where, f"the index lists {listed}, but the file is {archive}")
    tar = unpacked_star(data, where, source.store.spool())
    contents = star_contents(tar, where, star.install_script)
    source.store.put(data)
    statement = Statement(
        star=star,
        galaxy=source.galaxy,
        seq=index.seq,
        archive=archive,
        file=file,
        size_bytes=len(data),
        unpacked_bytes=len(tar),
        script=Digest.of(contents.script) if contents.script else None,
        content=content_root(ManifestLine.of(entry) for entry in contents.files.values()),
    )
    unknown = {key: table.value(key) for key in star.warnings}  # kept, so that its readers can warn of them
    text = tomli_w.dumps({**unknown, **statement.to_toml()}).encode()
    return SignedFile(path=statement_path(file_stem(name, str(version))), data=text, envelope=None)


def _reached(source: Source, name: StarName) -> Carrier:
    if source.carrier is None:
        raise WorldFailed(
            name,
            f"galaxy {source.galaxy} has no statements, so it cannot be read offline",
            hint="run the same command without --offline",
        )
    return source.carrier


def _manifest(carrier: Carrier, source: Source, name: StarName) -> Table:
    path = f"stars/{name}.toml"
    table = Table.parse(carrier.read(path, max_bytes=MAX_DOCUMENT_BYTES), f"{source.galaxy}: {path}")
    if table.read("name", StarName.parse) != name:
        raise Refused(table.source, f"is not the manifest of {name}")
    return table


def _archive_path(star: Star) -> str:
    """Return the archive's path: `source` if it is a path in the galaxy, else upstream's usual name."""
    if star.source.removeprefix("./").startswith("packages/"):
        try:
            return package_path(star.source)
        except ValueError as error:
            raise Refused(star.id, f"source: {error}") from error
    return f"packages/{star.id}.tar.gz"
