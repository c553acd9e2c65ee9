"""Write a galaxy's index: state its archives, list them, sign and publish the list.

In this order:

  1. check that each archive in packages/ has its statement in stars/; make a missing one from the `star.toml` inside
  2. sign the statements with the given author keys, if these have not signed them yet
  3. list every star in the index, its `seq` one higher, and describe the newest ones in the catalogue that it names
  4. sign the index with the given galaxy keys, and publish it in one step (stellar.publishing)

If nothing has changed, the galaxy keeps its bytes. What the maintainer edits in meta.toml gets the next number. A
galaxy keeps the format of its index, until the maintainer names another one. Published stars never change: an archive
with another digest than its statement is refused, and so is a star that an index listed otherwise (stellar.published).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from cosmos.content import content_digest
from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES
from cosmos.model.facts import Facts
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import INDEX_FORMAT, CataloguePin, GalaxyIndex, Listed
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.plain_toml import plain_text
from cosmos.reading import envelope_of, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.stellar.archive_file import SUFFIXES, archive_digest, archive_suffix, open_archive
from cosmos.stellar.catalogues import catalogue_bytes, demand_catalogue, has_catalogue, newest, remove_old_catalogues
from cosmos.stellar.galaxy_folder import GalaxyFolder, content_of, read_statement
from cosmos.stellar.index_formats import as_format, kept_format
from cosmos.stellar.packages import archives, demand_same
from cosmos.stellar.published import Published
from cosmos.stellar.publishing import Fewer, publish, waiting_index, was_edited
from cosmos.stellar.signing import sign_parsed, signatures_in, statement_envelope, write_document
from cosmos.trust.dsse import Envelope
from cosmos.trust.roles import STAR_TYPE

_UPSTREAM_ARCHS: Final = {ANY_ARCH: 0, Arch("x86_64"): 1}  # the rank of architectures for upstream's single copy
_REINDEX: Final = "to update the index: stellar index-galaxy FOLDER --key GALAXY.key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexed:
    """The written index of a galaxy. `stated` are the archives that got a statement in this run.

    `withdrawn` are the files' stems of stars that the index before listed, and whose archives are gone.
    `missing` is the number of signatures that the index still needs before it is published.
    """

    index: GalaxyIndex
    digest: Digest
    is_changed: bool
    stated: tuple[str, ...]
    signed: int
    missing: int
    withdrawn: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stated:
    """A statement with its file's bytes; `stem` is the common part of the star's file names.

    `envelope` is the one beside it, as it was before this run; nothing in it is verified.
    """

    statement: Statement
    data: bytes
    stem: str
    envelope: Envelope | None

    @property
    def star(self) -> Star:
        """The star."""
        return self.statement.star

    @property
    def order(self) -> tuple[StarName, Version, Arch]:
        """The key to sort by: name, version, architecture."""
        return (self.star.name, self.star.version, self.star.arch)

    def listed(self) -> Listed:
        """Return its row in the index."""
        name, version, arch = self.order
        usual = file_stem(name, str(version), arch)
        return Listed(
            name=name,
            version=version,
            arch=arch,
            provides=tuple(Facts.of(self.star).provides),
            statement=Digest.of(self.data),
            archive=self.statement.archive,
            files=None if self.stem == usual else self.stem,
        )


def index_galaxy(
    galaxy: GalaxyFolder,
    *,
    authors: Sequence[SecretKey],
    galaxies: Sequence[SecretKey],
    today: str,
    reporter: Reporter,
    fewer: Fewer = "wait",
    number: int | None = None,
    digest: Callable[[Path], Digest] = archive_digest,
) -> Indexed:
    """Update statements, index, catalogue, snapshot and signatures; `today` is YYYY.MM.DD.

    `number` is the format of the index; if it is None, the galaxy keeps its format. `digest` returns the digest of an
    archive that has a statement; any other is read.

    If the new index has fewer signatures than the old one, it waits for the others, unless `fewer` says "publish".
    Raises `Refused` or `Malformed` with the file's name.
    """
    with galaxy.publishing(reporter):
        old = galaxy.index()
        stated, made = _all_stated(galaxy, old, reporter, digest)
        _demand_unchanged(galaxy, old, stated)
        catalogue = catalogue_bytes(galaxy, old.name, (one.statement for one in stated))
        listing = replace(_listing(old, stated), catalogue=CataloguePin.of(catalogue))
        listing = as_format(listing, number or kept_format(old))
        for one in made:
            write_document(galaxy.statement_file(one.stem), one.data)
        signed = sum(_sign(galaxy, one, authors) for one in stated)
        index = _next(galaxy, old, listing, today, is_asked=number is not None)
        is_new = index.catalogue == listing.catalogue
        done = publish(galaxy, index, galaxies, fewer, catalogue if is_new else None)
        if not done.missing:
            _copy_newest(galaxy, stated)
            remove_old_catalogues(galaxy, index.seq)
        return Indexed(
            index=index,
            digest=done.digest,
            is_changed=index.seq != old.seq,
            stated=tuple(one.statement.file.removeprefix("packages/") for one in made),
            signed=signed + done.signed,
            missing=done.missing,
            withdrawn=tuple(sorted({row.stem for row in old.snapshot} - {row.stem for row in index.snapshot})),
        )


def sign_galaxy(
    galaxy: GalaxyFolder,
    *,
    authors: Sequence[SecretKey],
    galaxies: Sequence[SecretKey],
    reporter: Reporter,
    fewer: Fewer = "wait",
) -> Indexed:
    """Sign the newest index of the galaxy, published or waiting, and the statements that it lists.

    Raises `Refused` if a star is not the one that the index lists.
    """
    with galaxy.publishing(reporter):
        old = galaxy.index()
        index = waiting_index(galaxy, old) or old
        if index.seq == old.seq and was_edited(galaxy, old):
            raise Refused(str(galaxy.index_file), f"was edited after it was published as seq {old.seq}", hint=_REINDEX)
        stated = [_as_listed(galaxy, row) for row in index.snapshot]
        demand_catalogue(galaxy, index)
        signed = sum(_sign(galaxy, one, authors) for one in stated)
        done = publish(galaxy, index, galaxies, fewer) if index.seq and galaxies else None
        if done is not None and not done.missing:
            _copy_newest(galaxy, stated)
        return Indexed(
            index=index,
            digest=done.digest if done is not None else Digest.of(read_bounded(galaxy.index_file, MAX_INDEX_BYTES)),
            is_changed=index.seq != old.seq,
            stated=(),
            signed=signed + (done.signed if done is not None else 0),
            missing=done.missing if done is not None else 0,
        )


def state_archive(file: Path, galaxy: GalaxyName, seq: int) -> Statement:
    """Return the statement of an archive, made from the `star.toml` inside; raises `Malformed` or `Refused`."""
    if not file.name.endswith(SUFFIXES):
        raise Malformed(str(file), f"want a name that ends in .tar.zst or .tar.gz, got {file.name}")
    archive = open_archive(file)
    manifest = archive.contents("").manifest
    if not manifest:
        raise Malformed(str(file), "has no star.toml, so its name and version are unknown")
    star = Star.parse(manifest, f"{file}: star.toml")
    stem = file.name.removesuffix(archive_suffix(file.name))
    if stem not in _stems(star):
        raise Malformed(
            str(file),
            f"its star.toml says {star.id} for {star.arch}: want the name {_stems(star)[0]}{archive_suffix(file.name)}",
        )
    contents = archive.contents(star.install_script)
    return Statement(
        star=replace(star, source=f"./packages/{file.name}", warnings=()),
        galaxy=galaxy,
        seq=seq,
        archive=content_digest(archive.data),
        file=f"packages/{file.name}",
        size_bytes=len(archive.data),
        unpacked_bytes=len(archive.tar),
        script=Digest.of(contents.script) if contents.script else None,
        content=content_of(tuple(contents.files.values())),
    )


def _sign(galaxy: GalaxyFolder, one: _Stated, authors: Sequence[SecretKey]) -> int:
    """Sign a statement with each of the author keys that has not signed it yet; return how many these are."""
    before = signatures_in(one.envelope, STAR_TYPE, one.data)
    return sign_parsed(galaxy.statement_file(one.stem), STAR_TYPE, one.data, before, authors)


def _all_stated(
    galaxy: GalaxyFolder, old: GalaxyIndex, reporter: Reporter, digest: Callable[[Path], Digest]
) -> tuple[list[_Stated], list[_Stated]]:
    """Return the statement of every archive in packages/, and the new ones among them. Nothing is written."""
    known = _statements(galaxy, reporter)
    stated: list[_Stated] = []
    made: list[_Stated] = []
    found_archives = archives(galaxy, old, reporter)
    for place, file in enumerate(found_archives, 1):
        reporter.progress("index", place, len(found_archives))
        found = known.get(f"packages/{file.name}")
        if found is None:
            found = _stated_now(galaxy, file, old.name, old.seq + 1)
            made.append(found)
        else:
            demand_same(file, digest, found.statement)
        _warn_of_other(galaxy.statement_file(found.stem), found, reporter)
        stated.append(found)
    stated.sort(key=lambda one: one.order)
    for one, other in pairwise(stated):
        if one.order == other.order:
            where = str(galaxy.statement_file(other.stem))
            raise Refused(where, f"{galaxy.statement_file(one.stem)} states the same star: remove one of the two")
    return stated, made


def _demand_unchanged(galaxy: GalaxyFolder, old: GalaxyIndex, stated: Sequence[_Stated]) -> None:
    """Refuse a star if an index has listed it with another archive, or lists another statement of it now."""
    now = {row.stem: row for row in old.snapshot}
    published = Published(galaxy)
    for one in stated:
        row = now.get(one.stem)
        digest = Digest.of(one.data)
        if row is not None and (row.statement, row.archive) == (digest, one.statement.archive):
            continue
        published.demand_same(one.star, one.statement.archive, old.seq, one.stem)
        if row is not None:
            raise Refused(
                str(galaxy.statement_file(one.stem)),
                f"the index lists {row.statement}, but the file is {digest}",
                hint="restore the published statement; if the star changed, give it another version",
            )


def _next(galaxy: GalaxyFolder, old: GalaxyIndex, listing: GalaxyIndex, today: str, *, is_asked: bool) -> GalaxyIndex:
    """Return the index that the galaxy should have: the old one if it lists the same stars in the same format.

    What the maintainer has edited gets the next number. An old index without a catalogue gets one with its next change,
    or if the maintainer asked for a format.
    """
    same = replace(listing, seq=old.seq, version=old.version, catalogue=old.catalogue)
    is_catalogued = _is_catalogued(galaxy, old, listing) if old.catalogue is not None else not is_asked
    if old.seq and is_catalogued and replace(old, warnings=()) == same and not was_edited(galaxy, old):
        return old
    begun = waiting_index(galaxy, old)
    if begun is not None and replace(listing, seq=begun.seq, version=begun.version) == begun:
        return begun  # the same bytes as in an earlier run; somebody may have signed them
    date = max(today, old.version) if old.seq else today  # a clock that is wrong for a day must not turn dates back
    return replace(listing, seq=old.seq + 1, version=date)


def _is_catalogued(galaxy: GalaxyFolder, old: GalaxyIndex, listing: GalaxyIndex) -> bool:
    """Return whether the catalogue that the old index names is there, or is about to be written again."""
    return old.catalogue == listing.catalogue or (old.catalogue is not None and has_catalogue(galaxy, old.catalogue))


def _as_listed(galaxy: GalaxyFolder, row: Listed) -> _Stated:
    file = galaxy.statement_file(row.stem)
    data = read_bounded(file, MAX_DOCUMENT_BYTES) if is_there(file) else b""
    if Digest.of(data) != row.statement:
        problem = "is not there" if not data else f"is {Digest.of(data)}"
        raise Refused(str(file), f"the index lists {row.statement}, but the file {problem}", hint=_REINDEX)
    found = _Stated(
        statement=Statement.parse(data, str(file)),
        data=data,
        stem=row.stem,
        envelope=statement_envelope(file),
    )
    if not is_there(galaxy.root / found.statement.file):
        raise Refused(str(galaxy.root / found.statement.file), "is not there, but the index lists it", hint=_REINDEX)
    return found


def _stems(star: Star) -> tuple[str, str]:
    """Return the two stems that the star's files may have: the present form, and the older one without ARCH."""
    return file_stem(star.name, str(star.version), star.arch), file_stem(star.name, str(star.version))


def _statements(galaxy: GalaxyFolder, reporter: Reporter) -> Mapping[str, _Stated]:
    """Return every statement by the archive that it names. Warns of a statement under another star's file name."""
    found: dict[str, _Stated] = {}
    parsed: dict[bytes, Statement] = {}  # stars/NAME.toml is a copy
    for file in sorted((galaxy.root / "stars").glob("*-*.toml"), key=os.fspath):
        data = read_bounded(file)
        if b"[statement]" not in data:
            continue  # upstream's form: no statement
        statement = parsed.get(data) or Statement.parse(data, str(file))
        parsed[data] = statement
        stem = file.name.removesuffix(".toml")
        if stem in _stems(statement.star):
            found[statement.file] = _Stated(
                statement=statement, data=data, stem=stem, envelope=statement_envelope(file)
            )
        elif stem != statement.star.name:
            signed = ", together with its signature" if is_there(envelope_of(file)) else ""
            reporter.warn(f"{file}: is the statement of {statement.star.id}; it is ignored{signed}")
    return found


def _stated_now(galaxy: GalaxyFolder, file: Path, name: GalaxyName, seq: int) -> _Stated:
    statement = state_archive(file, name, seq)
    stem = file.name.removesuffix(archive_suffix(file.name))
    envelope = statement_envelope(galaxy.statement_file(stem))
    return _Stated(statement=statement, data=plain_text(statement.to_toml()).encode(), stem=stem, envelope=envelope)


def _warn_of_other(file: Path, one: _Stated, reporter: Reporter) -> None:
    """Warn if the envelope beside the statement `file` signs other bytes, because it will be replaced."""
    if one.envelope is None or one.envelope.payload == one.data:
        return
    envelope = envelope_of(file)
    try:
        what = str(Statement.parse(one.envelope.payload, str(envelope)).star.id)
    except Malformed:
        what = "no statement of a star"
    own = file.name.removesuffix(".toml")
    as_what = f"{what}, not as {own}" if what != own else f"{what} with other bytes"
    reporter.warn(f"{envelope}: was signed as {as_what}: the signature does not count")


def _listing(old: GalaxyIndex, stated: Sequence[_Stated]) -> GalaxyIndex:
    rows = [one.listed() for one in stated]
    latest = _latest(stated)
    return GalaxyIndex(
        format=INDEX_FORMAT,
        name=old.name,
        description=old.description,
        newest={name: one.star.version for name, one in latest.items()},
        checksums={name: one.statement.archive for name, one in latest.items()},
        snapshot=tuple(rows),
    )


def _latest(stated: Sequence[_Stated]) -> dict[StarName, _Stated]:
    """Return the newest statement of each star. Of several architectures, upstream's program gets the first in rank."""
    versions: dict[StarName, list[Version]] = {}
    for one in stated:
        versions.setdefault(one.star.name, []).append(one.star.version)
    latest: dict[StarName, _Stated] = {}
    for one in sorted(stated, key=lambda one: (_UPSTREAM_ARCHS.get(one.star.arch, len(_UPSTREAM_ARCHS)), one.order)):
        if one.star.version == newest(versions[one.star.name]):
            latest.setdefault(one.star.name, one)
    return dict(sorted(latest.items()))


def _copy_newest(galaxy: GalaxyFolder, stated: Sequence[_Stated]) -> None:
    """Copy the newest statement of each star to stars/NAME.toml, and remove our copies of stars that are gone."""
    latest = _latest(stated)
    for name, one in latest.items():
        write_document(galaxy.newest_file(name), one.data)
    known = {f"{stem}.toml" for stem in (*latest, *(one.stem for one in stated))}
    for file in (galaxy.root / "stars").glob("*.toml"):
        if file.name in known or b"[statement]" not in read_bounded(file):
            continue
        name = read_statement(file).star.name
        if file == galaxy.newest_file(name) and name not in latest:
            file.unlink()
            envelope_of(file).unlink(missing_ok=True)
