"""Write a galaxy's index: what its packages are, stated, listed, and signed.

In this order:

  1. every archive in packages/ has a statement in stars/ that names its exact bytes; where there is none, it is made
     from the `star.toml` inside
  2. the author keys given sign the statements that they have not signed
  3. the index lists every star, its `seq` one higher than before
  4. it is signed by the galaxy keys given, and published in one step (stellar.publishing)

A galaxy in which nothing has changed keeps its bytes. Refused are an archive that is not the one that its statement
names, and a star that an index has listed with other bytes (stellar.published): what was published never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import (
    MAX_DOCUMENT_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_INDEX_BYTES,
    MAX_STAR_ARCHIVE_BYTES,
    MAX_STAR_UNPACKED_BYTES,
)
from cosmos.model.facts import Facts
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex, Listed
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.pack.inflate import inflated
from cosmos.pack.star_archive import read_star
from cosmos.reading import envelope_of, read_bounded, read_envelope
from cosmos.stellar.build_star import archive_suffix
from cosmos.stellar.galaxy_folder import GalaxyFolder, content_of, read_statement
from cosmos.stellar.published import Published
from cosmos.stellar.publishing import Fewer, publish, waiting_index
from cosmos.stellar.signing import sign_file, write_document
from cosmos.trust.dsse import Envelope

_SUFFIXES: Final = {".tar.zst": ".zst", ".tar.gz": ".gz"}
_UPSTREAM_ARCHS: Final = {ANY_ARCH: 0, Arch("x86_64"): 1}  # which upstream's one copy of a version is for, by rank
_REINDEX: Final = "stellar index-galaxy brings the index up to date"


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexed:
    """A galaxy's index as it was written. `stated` are archives that got a statement in this run.

    `missing` are the signatures that the index waits for before it is published.
    """

    index: GalaxyIndex
    digest: Digest
    is_changed: bool
    stated: tuple[str, ...]
    signed: int
    missing: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stated:
    """A statement with its file's bytes; `stem` is what the star's files are called."""

    statement: Statement
    data: bytes
    stem: str

    @property
    def star(self) -> Star:
        """The star."""
        return self.statement.star

    @property
    def order(self) -> tuple[StarName, Version, Arch]:
        """By name, then by version."""
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
) -> Indexed:
    """Bring statements, index, snapshot and signatures up to date; `today` is YYYY.MM.DD.

    With fewer signatures than the index before has, the new one waits for the others, unless `fewer` says "publish".
    Raises `Refused` or `Malformed`, naming the file.
    """
    with galaxy.publishing(reporter):
        old = galaxy.index()
        stated, made = _all_stated(galaxy, old, reporter)
        _demand_unchanged(galaxy, old, stated)
        for one in made:
            write_document(galaxy.statement_file(one.stem), one.data)
        signed = sum(sign_file(galaxy.statement_file(one.stem), key) for one in stated for key in authors)
        index = _next(galaxy, old, _listing(old, stated), today)
        done = publish(galaxy, index, galaxies, fewer) if index.seq else None
        if done is None or not done.missing:
            _copy_newest(galaxy, stated)
        return Indexed(
            index=index,
            digest=done.digest if done is not None else Digest.of(read_bounded(galaxy.index_file, MAX_INDEX_BYTES)),
            is_changed=index.seq != old.seq,
            stated=tuple(one.statement.file.removeprefix("packages/") for one in made),
            signed=signed + (done.signed if done is not None else 0),
            missing=done.missing if done is not None else 0,
        )


def sign_galaxy(
    galaxy: GalaxyFolder,
    *,
    authors: Sequence[SecretKey],
    galaxies: Sequence[SecretKey],
    reporter: Reporter,
    fewer: Fewer = "wait",
) -> Indexed:
    """Sign what the galaxy has: the statements of its newest index, published or waiting, and that index.

    Raises `Refused` where a star is not the one that the index lists.
    """
    with galaxy.publishing(reporter):
        old = galaxy.index()
        index = waiting_index(galaxy, old) or old
        stated = [_as_listed(galaxy, row) for row in index.snapshot]
        signed = sum(sign_file(galaxy.statement_file(one.stem), key) for one in stated for key in authors)
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
    data = read_bounded(file, MAX_STAR_ARCHIVE_BYTES)
    suffix = next((short for long, short in _SUFFIXES.items() if file.name.endswith(long)), None)
    if suffix is None:
        raise Malformed(str(file), "want a name that ends in .tar.zst or .tar.gz")
    unpacked_bytes = len(inflated(data, suffix, MAX_STAR_UNPACKED_BYTES, str(file)))
    manifest = read_star(data, file.name, unpacked_bytes, script_name="").manifest
    if not manifest:
        raise Malformed(str(file), "holds no star.toml: nothing says what it is")
    star = Star.parse(manifest, f"{file}: star.toml")
    stem = file.name.removesuffix(archive_suffix(file.name))
    if stem not in _stems(star):
        raise Malformed(
            str(file), f"its star.toml says {star.id} for {star.arch}: want the name {_stems(star)[0]}.tar{suffix}"
        )
    contents = read_star(data, file.name, unpacked_bytes, script_name=star.install_script)
    return Statement(
        star=replace(star, source=f"./packages/{file.name}", warnings=()),
        galaxy=galaxy,
        seq=seq,
        archive=Digest.of(data),
        file=f"packages/{file.name}",
        size_bytes=len(data),
        unpacked_bytes=unpacked_bytes,
        script=Digest.of(contents.script) if contents.script else None,
        content=content_of(tuple(contents.files.values())),
    )


def newest(versions: Iterable[Version]) -> Version:
    """Return the highest version; a pre-release only where there is nothing else."""
    return max(versions, key=lambda version: (not version.is_pre_release, version))


def _archives(galaxy: GalaxyFolder) -> list[Path]:
    if not galaxy.packages.is_dir():
        return []
    return sorted(file for file in galaxy.packages.iterdir() if file.name.endswith(tuple(_SUFFIXES)))


def _all_stated(galaxy: GalaxyFolder, old: GalaxyIndex, reporter: Reporter) -> tuple[list[_Stated], list[_Stated]]:
    """Return the statement of every archive in packages/, and which of them are made now; nothing is written."""
    known = _statements(galaxy, reporter)
    stated: list[_Stated] = []
    made: list[_Stated] = []
    archives = _archives(galaxy)
    for place, file in enumerate(archives, 1):
        reporter.progress("index", place, len(archives))
        found = known.get(f"packages/{file.name}")
        if found is None:
            found = _stated_now(file, old.name, old.seq + 1)
            made.append(found)
        else:
            _demand_same(file, found.statement)
        _warn_of_other(galaxy.statement_file(found.stem), found.data, reporter)
        stated.append(found)
    stated.sort(key=lambda one: one.order)
    for one, other in pairwise(stated):
        if one.order == other.order:
            where = str(galaxy.statement_file(other.stem))
            raise Refused(where, f"{galaxy.statement_file(one.stem)} states the same star: remove one of the two")
    return stated, made


def _demand_unchanged(galaxy: GalaxyFolder, old: GalaxyIndex, stated: Sequence[_Stated]) -> None:
    """Refuse a star that an index has listed with another archive, or that lists another statement of it now."""
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
                hint="put back the statement that was published; a star that changed gets another version",
            )


def _next(galaxy: GalaxyFolder, old: GalaxyIndex, listing: GalaxyIndex, today: str) -> GalaxyIndex:
    """Return the index that the galaxy should have: the old one where it lists the same."""
    same = replace(_as_format(listing, old.format), seq=old.seq, version=old.version)
    if old.seq and replace(old, warnings=()) == same:
        return old
    begun = waiting_index(galaxy, old)
    if begun is not None and replace(listing, seq=begun.seq, version=begun.version) == begun:
        return begun  # the very bytes that a run before began with, and that somebody has signed, perhaps
    return replace(listing, seq=old.seq + 1, version=today)


def _as_format(index: GalaxyIndex, number: int) -> GalaxyIndex:
    """Return the index as one of that format would say it."""
    if number >= INDEX_FORMAT:
        return index
    rows = tuple(replace(row, arch=None, files=None) for row in index.snapshot)
    return replace(index, format=number, snapshot=rows)


def _as_listed(galaxy: GalaxyFolder, row: Listed) -> _Stated:
    file = galaxy.statement_file(row.stem)
    data = read_bounded(file, MAX_DOCUMENT_BYTES) if file.is_file() else b""
    if Digest.of(data) != row.statement:
        problem = "is not there" if not data else f"is {Digest.of(data)}"
        raise Refused(str(file), f"the index lists {row.statement}, but the file {problem}", hint=_REINDEX)
    found = _Stated(statement=Statement.parse(data, str(file)), data=data, stem=row.stem)
    if not (galaxy.root / found.statement.file).is_file():
        raise Refused(str(galaxy.root / found.statement.file), "is not there, but the index lists it", hint=_REINDEX)
    return found


def _stems(star: Star) -> tuple[str, str]:
    """Return what the star's files may be called: as they are now, and as they were before ARCH."""
    return file_stem(star.name, str(star.version), star.arch), file_stem(star.name, str(star.version))


def _statements(galaxy: GalaxyFolder, reporter: Reporter) -> Mapping[str, _Stated]:
    """Return every statement by the archive that it names; warns of one that lies under another star's name."""
    found: dict[str, _Stated] = {}
    for file in sorted((galaxy.root / "stars").glob("*-*.toml")):
        data = read_bounded(file)
        if b"[statement]" not in data:
            continue  # upstream's form: no statement
        statement = Statement.parse(data, str(file))
        stem = file.name.removesuffix(".toml")
        if stem in _stems(statement.star):
            found[statement.file] = _Stated(statement=statement, data=data, stem=stem)
        elif stem != statement.star.name:
            signed = ", and so is its signature" if envelope_of(file).is_file() else ""
            reporter.warn(f"{file}: is the statement of {statement.star.id}, and is passed over{signed}")
    return found


def _stated_now(file: Path, name: GalaxyName, seq: int) -> _Stated:
    statement = state_archive(file, name, seq)
    stem = file.name.removesuffix(archive_suffix(file.name))
    return _Stated(statement=statement, data=tomli_w.dumps(statement.to_toml()).encode(), stem=stem)


def _warn_of_other(file: Path, data: bytes, reporter: Reporter) -> None:
    """Say so where the envelope beside the statement `file` signs something else than `data`: it does not stay."""
    envelope, signature = envelope_of(file), read_envelope(file, MAX_ENVELOPE_BYTES)
    if signature is None:
        return
    signed = Envelope.parse(signature, str(envelope)).payload
    if signed == data:
        return
    try:
        what = str(Statement.parse(signed, str(envelope)).star.id)
    except Malformed:
        what = "no statement of a star"
    own = file.name.removesuffix(".toml")
    as_what = f"{what}, not as {own}" if what != own else f"{what} with other bytes"
    reporter.warn(f"{envelope}: was signed as {as_what}: the signature does not count")


def _demand_same(file: Path, statement: Statement) -> None:
    with file.open("rb") as stream:
        got = Digest.of_stream(stream)
    if got != statement.archive:
        raise Refused(
            str(file),
            f"its statement names {statement.archive}, but the file is {got}",
            hint=f"build it again with stellar build-star, or give it a new version: {statement.star.id} is stated",
        )


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
    """Return the newest statement of each star; of several architectures, what upstream's program can use soonest."""
    versions: dict[StarName, list[Version]] = {}
    for one in stated:
        versions.setdefault(one.star.name, []).append(one.star.version)
    latest: dict[StarName, _Stated] = {}
    for one in sorted(stated, key=lambda one: (_UPSTREAM_ARCHS.get(one.star.arch, len(_UPSTREAM_ARCHS)), one.order)):
        if one.star.version == newest(versions[one.star.name]):
            latest.setdefault(one.star.name, one)
    return dict(sorted(latest.items()))


def _copy_newest(galaxy: GalaxyFolder, stated: Sequence[_Stated]) -> None:
    """Make stars/NAME.toml the newest statement of each star, and remove our copies of stars that are gone."""
    latest = _latest(stated)
    for name, one in latest.items():
        write_document(galaxy.newest_file(name), one.data)
    for file in (galaxy.root / "stars").glob("*.toml"):
        if b"[statement]" not in read_bounded(file):
            continue
        name = read_statement(file).star.name
        if file == galaxy.newest_file(name) and name not in latest:
            file.unlink()
            envelope_of(file).unlink(missing_ok=True)
