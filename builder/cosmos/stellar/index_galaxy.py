"""Write a galaxy's index: what its packages are, stated, listed, and signed.

In this order:

  1. every archive in packages/ has a statement in stars/ that names its exact bytes; where there is none, it is made
     from the `star.toml` inside
  2. the author keys given sign the statements that they have not signed
  3. the index lists every version, its `seq` one higher than before
  4. `snapshots/SEQ.toml` is a copy of it; the galaxy keys given sign both

A galaxy in which nothing has changed keeps its bytes. An archive that is not the one that its statement names is
refused: a version, once stated, means one archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_STAR_ARCHIVE_BYTES, MAX_STAR_UNPACKED_BYTES
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.pack.inflate import inflated
from cosmos.pack.star_archive import read_star
from cosmos.stellar.galaxy_folder import GalaxyFolder, content_of, read_statement
from cosmos.stellar.signing import envelope_of, sign_file, write_document
from cosmos.stellar.source_folder import bounded_bytes
from cosmos.trust.dsse import Envelope

_SUFFIXES: Final = {".tar.zst": ".zst", ".tar.gz": ".gz"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexed:
    """A galaxy's index as it stands now. `stated` are archives that got a statement in this run."""

    index: GalaxyIndex
    digest: Digest
    is_changed: bool
    stated: tuple[str, ...]
    signed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stated:
    """A statement with its file's bytes."""

    statement: Statement
    data: bytes

    @property
    def order(self) -> tuple[StarName, Version]:
        """By name, then by version."""
        return (self.statement.star.name, self.statement.star.version)

    def listed(self) -> Listed:
        """Return its row in the index."""
        name, version = self.order
        return Listed(
            name=name,
            version=version,
            statement=Digest.of(self.data),
            archive=self.statement.archive,
            provides=tuple(sorted(self.statement.star.provides)),
        )


def index_galaxy(
    galaxy: GalaxyFolder, *, authors: Sequence[SecretKey], galaxies: Sequence[SecretKey], today: str, reporter: Reporter
) -> Indexed:
    """Bring statements, index, snapshot and signatures up to date; `today` is YYYY.MM.DD.

    Raises `Refused` or `Malformed`, naming the file.
    """
    old = galaxy.index()
    known = _statements(galaxy, reporter)
    stated: list[_Stated] = []
    made: list[str] = []
    archives = _archives(galaxy)
    for place, file in enumerate(archives, 1):
        reporter.progress("index", place, len(archives))
        found = known.get(f"packages/{file.name}")
        if found is not None:
            _demand_same(file, found.statement)
        else:
            found = _stated_now(file, old.name, old.seq + 1)
            made.append(file.name)
        statement_file = galaxy.statement_file(*found.order)
        _warn_of_other(statement_file, found.data, reporter)
        write_document(statement_file, found.data)
        stated.append(found)
    stated.sort(key=lambda one: one.order)
    files = [galaxy.statement_file(*one.order) for one in stated]
    signed = sum(sign_file(file, key) for file in files for key in authors)
    _copy_newest(galaxy, stated)
    index = replace(_listing(old, stated), seq=old.seq, version=old.version)
    is_changed = old.seq == 0 or tomli_w.dumps(index.to_toml()).encode() != galaxy.index_file.read_bytes()
    if is_changed:
        index = replace(index, seq=old.seq + 1, version=today)
    digest, signatures = _write_index(galaxy, index, galaxies)
    return Indexed(index=index, digest=digest, is_changed=is_changed, stated=tuple(made), signed=signed + signatures)


def state_archive(file: Path, galaxy: GalaxyName, seq: int) -> Statement:
    """Return the statement of an archive, made from the `star.toml` inside; raises `Malformed` or `Refused`."""
    data = bounded_bytes(file, MAX_STAR_ARCHIVE_BYTES)
    suffix = next((short for long, short in _SUFFIXES.items() if file.name.endswith(long)), None)
    if suffix is None:
        raise Malformed(str(file), "want a name that ends in .tar.zst or .tar.gz")
    unpacked_bytes = len(inflated(data, suffix, MAX_STAR_UNPACKED_BYTES, str(file)))
    manifest = read_star(data, file.name, unpacked_bytes, script_name="").manifest
    if not manifest:
        raise Malformed(str(file), "holds no star.toml: nothing says what it is")
    star = Star.parse(manifest, f"{file}: star.toml")
    if not file.name.startswith(f"{star.id}.tar."):
        raise Malformed(str(file), f"its star.toml says {star.id}: the file must be named for it")
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
    return max(versions, key=lambda version: (not version.pre, version))


def _archives(galaxy: GalaxyFolder) -> list[Path]:
    if not galaxy.packages.is_dir():
        return []
    return sorted(file for file in galaxy.packages.iterdir() if file.name.endswith(tuple(_SUFFIXES)))


def _statements(galaxy: GalaxyFolder, reporter: Reporter) -> Mapping[str, _Stated]:
    """Return every statement by the archive that it names; warns of one that lies under another star's name."""
    found: dict[str, _Stated] = {}
    for file in sorted((galaxy.root / "stars").glob("*-*.toml")):
        data = file.read_bytes()
        if b"[statement]" not in data:
            continue  # upstream's form: no statement
        statement = Statement.parse(data, str(file))
        if file.name == f"{statement.star.id}.toml":
            found[statement.file] = _Stated(statement=statement, data=data)
        elif file.name != f"{statement.star.name}.toml":
            signed = ", and so is its signature" if envelope_of(file).is_file() else ""
            reporter.warn(f"{file}: is the statement of {statement.star.id}, and is passed over{signed}")
    return found


def _stated_now(file: Path, name: GalaxyName, seq: int) -> _Stated:
    statement = state_archive(file, name, seq)
    return _Stated(statement=statement, data=tomli_w.dumps(statement.to_toml()).encode())


def _warn_of_other(file: Path, data: bytes, reporter: Reporter) -> None:
    """Say so where the envelope beside the statement `file` signs something else than `data`: it does not stay."""
    envelope = envelope_of(file)
    if not envelope.is_file():
        return
    signed = Envelope.parse(bounded_bytes(envelope, MAX_ENVELOPE_BYTES), str(envelope)).payload
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
    versions: dict[StarName, list[Version]] = {}
    for row in rows:
        versions.setdefault(row.name, []).append(row.version)
    latest = {name: newest(all_of_it) for name, all_of_it in versions.items()}
    return GalaxyIndex(
        name=old.name,
        description=old.description,
        newest=latest,
        checksums={row.name: row.archive for row in rows if row.version == latest[row.name]},
        snapshot=tuple(rows),
    )


def _copy_newest(galaxy: GalaxyFolder, stated: Sequence[_Stated]) -> None:
    """Make stars/NAME.toml the newest statement of each star, and remove our copies of stars that are gone."""
    latest: dict[StarName, _Stated] = {}
    for one in stated:
        held = latest.get(one.order[0])
        if held is None or newest((held.order[1], one.order[1])) == one.order[1]:
            latest[one.order[0]] = one
    for name, one in latest.items():
        write_document(galaxy.newest_file(name), one.data)
    for file in (galaxy.root / "stars").glob("*.toml"):
        if b"[statement]" not in file.read_bytes():
            continue
        name = read_statement(file).star.name
        if file == galaxy.newest_file(name) and name not in latest:
            file.unlink()
            envelope_of(file).unlink(missing_ok=True)


def _write_index(galaxy: GalaxyFolder, index: GalaxyIndex, keys: Sequence[SecretKey]) -> tuple[Digest, int]:
    """Write the snapshot before the index that names it; return the index's digest, and how many signatures are new."""
    data = tomli_w.dumps(index.to_toml()).encode()
    if index.seq == 0:
        return Digest.of(data), 0
    signed = 0
    for file in (galaxy.snapshot_file(index.seq), galaxy.index_file):
        write_document(file, data)
        signed += sum(sign_file(file, key) for key in keys)
    return Digest.of(data), signed
