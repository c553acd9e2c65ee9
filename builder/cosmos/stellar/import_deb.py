"""Convert whole Debian packages into stars of a galaxy.

In this order:

  1. find the packages, and with them all that they need (stellar.debian_closure)
  2. fetch them; apt verifies, and each is checked against its signed record
  3. read each with our own reader, and write it as a star: every path as in the package, its dependencies as
     constraints, its licence from its copyright file, where it came from in `[[origin]]`
  4. put archive and statement into the galaxy

Maintainer scripts are not run; which packages have some is reported. A package that cannot be a star is reported, and
the others are imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from cosmos.errors import CosmosError
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.reporter import Reporter
from cosmos.model.star import Star
from cosmos.pack.deb import read_deb
from cosmos.pack.star_archive import write_star
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.build_star import BuiltStar, licence
from cosmos.stellar.debian_closure import Archive, Closure, debian_closure, wishes
from cosmos.stellar.debian_star import manifest_of
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.published import AlreadyThere, Published
from cosmos.transport.apt import AptRecord

Reach: TypeAlias = Literal["as asked", "closure"]


class PackageArchive(Archive, Protocol):
    """Where packages come from: apt, or a fake."""

    def fetch(self, records: Sequence[AptRecord]) -> None:
        """Bring packages here."""

    def read(self, record: AptRecord) -> bytes:
        """Return a package's bytes, checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to import: `packages` are NAME or NAME=VERSION.

    `workers` packages are worked on at a time; their bytes are in memory.
    """

    packages: tuple[str, ...]
    architecture: str
    reach: Reach
    level: int
    workers: int
    unpublished: Unpublished = "refuse"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedStar:
    """A package that is a star of the galaxy now. `is_new` is False where it was there, made of the same package."""

    star: Star
    archive: Path
    unrun: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What came of it.

    `cut` are dependencies left out because they closed a circle, `missing` those that are not in the galaxy, `unmet`
    those that Debian has no package for, `failed` packages with the reason why they are no stars, `kept` those whose
    star is there already and was made of the same package in another way, which stays as it is, `refused` those whose
    version is there already, made of another package, and `hints` what to do about some of those.
    """

    stars: tuple[ImportedStar, ...]
    cut: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unmet: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]
    kept: Mapping[str, str]
    refused: Mapping[str, str]
    hints: Mapping[str, str]


def import_debs(
    order: Order, archive: PackageArchive, galaxy: GalaxyFolder, keys: Sequence[SecretKey], reporter: Reporter
) -> Imported:
    """Import packages into `galaxy`, signing their statements with `keys`; the index is not touched.

    Raises `NoSolution` for a package that is not to be had, `WorldFailed` where one cannot be fetched.
    """
    galaxy.index()
    published = Published(galaxy)
    asked = wishes(order.packages)
    closure = debian_closure(archive, asked, order.architecture, reporter)
    names = sorted(closure.records) if order.reach == "closure" else sorted(asked)
    records = [closure.records[name] for name in names]
    reporter.step(f"fetch {len(records)} packages")
    archive.fetch(records)
    reporter.step(f"import {len(records)} packages")
    stars: list[ImportedStar] = []
    left: list[Failed] = []
    for outcome in _outcomes(order, records, closure, archive, galaxy):
        if isinstance(outcome, BuiltStar):
            kept, star = _added(outcome, order, galaxy, keys, published, reporter)
        else:
            kept, star = (outcome, None) if isinstance(outcome, Failed) else (None, outcome)
        stars += [star] if star is not None else []
        left += [kept] if kept is not None else []
        reporter.progress("import packages", len(stars) + sum(one.end != "kept" for one in left), len(records))
    stars.sort(key=lambda one: one.star.name)
    failed = {one.name for one in left}
    present = {one.star.name for one in stars} | galaxy.index().newest.keys()
    missing = {name for one in stars for name in one.star.dependencies if name not in present | failed}
    return Imported(
        stars=tuple(stars),
        cut=tuple(pair for pair in closure.cut if pair[0] in names),
        missing=tuple(sorted(missing)),
        unmet={name: rows for name, rows in sorted(closure.unmet.items()) if name in names},
        failed=_reasons(left, "failed"),
        kept=_reasons(left, "kept"),
        refused=_reasons(left, "refused"),
        hints={one.name: one.hint for one in sorted(left, key=lambda one: one.name) if one.hint},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A package that is no star, or not as it is now; `end` says which of `Imported` it belongs to."""

    name: str
    reason: str
    hint: str | None
    end: Literal["failed", "kept", "refused"] = "failed"


def _reasons(left: Sequence[Failed], end: str) -> dict[str, str]:
    return {one.name: one.reason for one in sorted(left, key=lambda one: one.name) if one.end == end}


def _added(
    built: BuiltStar,
    order: Order,
    galaxy: GalaxyFolder,
    keys: Sequence[SecretKey],
    published: Published,
    reporter: Reporter,
) -> tuple[Failed | None, ImportedStar | None]:
    """Put a star into the galaxy and return it; where other bytes are there already, why, and the star that stays."""
    name = str(built.manifest.name)
    try:
        added = add_star(galaxy, built, keys, unpublished=order.unpublished, published=published, reporter=reporter)
    except AlreadyThere as error:
        file = galaxy.statement_file(error.stem)
        there = read_statement(file) if file.is_file() else None
        if there is None or there.star.origins != built.manifest.origins:
            return Failed(name=name, reason=str(error), hint=error.hint, end="refused"), None
        star = ImportedStar(star=there.star, archive=galaxy.root / there.file, unrun=built.unrun, is_new=False)
        return Failed(name=name, reason=str(error), hint=None, end="kept"), star
    star = ImportedStar(star=built.manifest, archive=added.archive, unrun=built.unrun, is_new=added.is_new)
    return None, star


def _outcomes(
    order: Order,
    records: Sequence[AptRecord],
    closure: Closure,
    archive: PackageArchive,
    galaxy: GalaxyFolder,
) -> Iterator[BuiltStar | ImportedStar | Failed]:
    """Yield what becomes of each package, `order.workers` at a time, the largest first."""
    versions = {name: record.version for name, record in closure.records.items()}

    def made(record: AptRecord) -> BuiltStar | ImportedStar | Failed:
        try:
            plain = manifest_of(record, closure.needs[record.name], versions, licence="")
            return _there_already(galaxy, plain) or _converted(archive.read(record), record, plain, order.level)
        except CosmosError as error:
            return Failed(name=record.name, reason=str(error), hint=error.hint)

    waiting = sorted(records, key=lambda record: (record.size_bytes, record.name))
    with ThreadPoolExecutor(max_workers=order.workers) as pool:
        running: set[Future[BuiltStar | ImportedStar | Failed]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < order.workers + 1:
                    running.add(pool.submit(made, waiting.pop()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _converted(data: bytes, record: AptRecord, plain: Star, level: int) -> BuiltStar:
    package = read_deb(data, record.file_name)
    star = replace(plain, license=licence(package))
    packed = write_star(star, None, package.entries, level=level)
    return BuiltStar(manifest=star, packed=packed, script=None, entries=package.entries, unrun=package.scripts)


def _there_already(galaxy: GalaxyFolder, plain: Star) -> ImportedStar | None:
    """Return the star if the galaxy has it, made of the very same package with the same dependencies."""
    file = galaxy.statement_file(galaxy.stem_of(plain.name, plain.version, plain.arch))
    if not file.is_file():
        return None
    statement = read_statement(file)
    archive = galaxy.root / statement.file
    there = replace(statement.star, license="", source=plain.source, warnings=())  # an older name stays
    if there != plain or not archive.is_file():
        return None
    return ImportedStar(star=statement.star, archive=archive, unrun=(), is_new=False)
