"""Galaxies in upstream's format: an index without `[[snapshot]]`, manifests without statements, nothing signed.

    meta.toml                      [stars] name -> version, or a list of names; [checksums] name -> archive's SHA-256
    stars/NAME.toml                the manifest of the one version that can be had
    packages/NAME-VERSION.tar.gz   or what the manifest's `source = "./packages/…"` says; a nebula has no archive

`cosmos freeze` fetches the archive and makes a statement from it. The lock pins this statement by its digest, so that a
build makes the same statement from the same galaxy, and refuses if the manifest or the archive has changed. Such a
statement vouches for nothing: the galaxy is used only if the operator wrote `allow-unsigned = true`.

A nebula is its manifest. Neither upstream's program nor this one looks for an archive of it, or runs a script. The
statement of a nebula names `stars/NAME.toml` as its archive, so that the lock pins the digest of exactly these bytes.

The store keeps the statement that was made last for each star, for use offline: nobody can make it without the galaxy.
"""

from __future__ import annotations

from dataclasses import replace

import tomli_w

from cosmos.canon import canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_STAR_ARCHIVE_BYTES
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.statement import Statement, manifest_path, package_path
from cosmos.model.version import Version
from cosmos.pack.star_archive import star_contents, unpacked_star
from cosmos.staging.ahead import fetching_ahead, manifest_files
from cosmos.staging.source import SignedFile, Source, not_stored, statement_path
from cosmos.tables import Table
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.tree.manifest import ManifestLine, content_root


def upstream_listing(source: Source, index: GalaxyIndex) -> dict[StarName, Version]:
    """Return the version of each star in an upstream index; from its manifest if the index names no version.

    Offline, a star without a version in the index and without a statement in the store is left out.
    """
    unknown = [name for name, version in index.newest.items() if version is None]
    with fetching_ahead((source, manifest_files(source, name)) for name in unknown):
        found = {name: version or _version(source, name) for name, version in index.newest.items()}
    return {name: version for name, version in found.items() if version is not None}


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
        carrier = _reached(source, star.name)
    data, table, said = _manifest(carrier, source, star.name, star.version)
    if star.is_manifest_alone:
        made = _rendered(table, _of_manifest(source, index, said, data))
    else:  # also a nebula with an archive: an older cosmos locked it by its archive
        made = _rendered(table, _of_archive(carrier, source, index, said))
    if made.digest != star.statement:
        raise Refused(
            star.id,
            f"the lock names {star.statement}, but galaxy {source.galaxy} now gives {made.digest}",
            hint=f"its manifest or archive was changed; lock the new one with: cosmos freeze --upgrade {star.name}",
        )
    return made


def upstream_statement(source: Source, index: GalaxyIndex, name: StarName, version: Version) -> SignedFile:
    """Return a statement for `name` in an unsigned galaxy, made from its manifest and its archive.

    The archive is kept in the store, and the statement for use offline. Raises `Refused` if the galaxy's own checksum
    differs. Offline, it is the statement that was made last; raises `WorldFailed` if that is of another version.
    """
    if source.carrier is None:
        kept = _kept(source, name)
        if kept is None or kept[1].star.version != version:
            raise not_stored(f"{name} {version}")
        return kept[0]
    data, table, star = _manifest(source.carrier, source, name, version)
    if star.type == "nebula":
        statement = _of_manifest(source, index, star, data)
    else:
        statement = _as_before(source, index, star) or _of_archive(source.carrier, source, index, star)
    made = _rendered(table, statement)
    record = canonical_json({"stem": file_stem(name, str(version)), "statement": str(made.digest)})
    source.store.put_result_soon(_key(source, name), record)
    return made


def made_archives(source: Source, index: GalaxyIndex) -> dict[StarName, Digest]:
    """Return the archive of each star of an upstream index whose statement the store has, in the index's version."""
    found = {name: (version, _kept(source, name)) for name, version in index.newest.items()}
    return {
        name: kept[1].archive
        for name, (version, kept) in found.items()
        if kept is not None and version in (None, kept[1].star.version)
    }


def _of_manifest(source: Source, index: GalaxyIndex, star: Star, data: bytes) -> Statement:
    """Return the statement of a nebula: its manifest takes the place of the archive."""
    return Statement(
        star=star,
        galaxy=source.galaxy,
        seq=index.seq,
        archive=source.store.put(data),
        file=manifest_path(star.name),
        size_bytes=len(data),
        unpacked_bytes=0,
        script=None,
        content=content_root(()),
    )


def _of_archive(carrier: Carrier, source: Source, index: GalaxyIndex, star: Star) -> Statement:
    """Return the statement of a star, from its archive."""
    file = _archive_path(star)
    data = carrier.read(file, max_bytes=MAX_STAR_ARCHIVE_BYTES)
    archive, where = Digest.of(data), f"{source.galaxy}: {file}"
    listed = index.checksums.get(star.name)
    if listed is not None and listed != archive:
        raise Refused(where, f"the index lists {listed}, but the file is {archive}")
    tar = unpacked_star(data, where, source.store.spool())
    contents = star_contents(tar, where, star.install_script)
    if star.install_script and contents.script is None:
        raise Refused(where, f"has no {star.install_script}, which stars/{star.name}.toml names as install_script")
    source.store.put(data)
    return Statement(
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


def _as_before(source: Source, index: GalaxyIndex, star: Star) -> Statement | None:
    """Return the statement of a star, without fetching the archive that the store has and the index still lists.

    None for a local galaxy, whose files are read at every build. The manifest is the galaxy's of today. The rest
    follows from the archive's bytes, so the last statement says it.
    """
    if source.carrier is None or source.carrier.is_local:
        return None
    kept = _kept(source, star.name)
    if kept is None or kept[1].star.type == "nebula" or kept[1].star.install_script != star.install_script:
        return None
    before = kept[1]
    if index.checksums.get(star.name) != before.archive or not source.store.has(before.archive, before.size_bytes):
        return None
    return replace(before, star=star, seq=index.seq, file=_archive_path(star))


def _rendered(table: Table, statement: Statement) -> SignedFile:
    star = statement.star
    unknown = {key: table.value(key) for key in star.warnings}  # kept, so that its readers can warn of them
    text = tomli_w.dumps({**unknown, **statement.to_toml()}).encode()
    return SignedFile(path=statement_path(file_stem(star.name, str(star.version))), data=text, envelope=None)


def _version(source: Source, name: StarName) -> Version | None:
    if source.carrier is None:
        kept = _kept(source, name)
        return None if kept is None else kept[1].star.version
    return _read_manifest(source.carrier, source, name)[2].version


def _kept(source: Source, name: StarName) -> tuple[SignedFile, Statement] | None:
    """Return the statement that was made last for `name`, from the store; None if it has none."""
    record = source.store.get_result(_key(source, name))
    if record is None:
        return None
    table = Table.from_json(record, f"the store's record of {name}")
    stem, digest = table.need("stem", str), table.read("statement", Digest.parse)
    try:
        file = replace(source, carrier=None).statement(stem, digest)
    except WorldFailed:
        return None
    return file, Statement.parse(file.data, f"{source.galaxy}: {file.path}")


def _key(source: Source, name: StarName) -> Digest:
    return digest_of({"kind": "made-statement", "galaxy": str(source.galaxy), "star": str(name)})


def _reached(source: Source, name: StarName) -> Carrier:
    if source.carrier is None:
        raise WorldFailed(
            name,
            f"galaxy {source.galaxy} has no statements, so it cannot be read offline",
            hint="run the same command without --offline",
        )
    return source.carrier


def _manifest(carrier: Carrier, source: Source, name: StarName, version: Version) -> tuple[bytes, Table, Star]:
    """Return the manifest of `name`, which must be of that version: its bytes, its table, and what it says."""
    data, table, star = _read_manifest(carrier, source, name)
    if star.version != version:
        raise Refused(table.source, f"is of version {star.version}, but {version} was asked for")
    return data, table, star


def _read_manifest(carrier: Carrier, source: Source, name: StarName) -> tuple[bytes, Table, Star]:
    path = manifest_path(name)
    data = carrier.read(path, max_bytes=MAX_DOCUMENT_BYTES)
    table = Table.parse(data, f"{source.galaxy}: {path}")
    if table.read("name", StarName.parse) != name:
        raise Refused(table.source, f"is not the manifest of {name}")
    return data, table, Star.read(table)


def _archive_path(star: Star) -> str:
    """Return the archive's path: `source` if it is a path in the galaxy, else upstream's usual name."""
    if star.source.removeprefix("./").startswith("packages/"):
        try:
            return package_path(star.source)
        except ValueError as error:
            hint = "its galaxy's maintainer must correct its manifest"
            raise Refused(star.id, f"source: {error}", hint=hint) from error
    return f"packages/{star.id}.tar.gz"
