"""Convert whole Debian packages into stars of a galaxy.

In this order:

  1. find the packages, and with them all that they need (debian.closure, debian.essential)
  2. fetch them; apt verifies, and each is checked against its signed record
  3. read each with our own reader, and write it as a star: every path as in the package, what it says of others as
     the package says it (debian.star), its licence from its copyright file, where it came from in `[[origin]]`
  4. put archive and statement into the galaxy

Maintainer scripts are not run; which packages have some is reported. A package that cannot be a star is reported, and
the others are imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from cosmos.debian.apt import AptRecord
from cosmos.debian.closure import Archive, debian_closure, wishes
from cosmos.debian.contents import contents_of
from cosmos.debian.essential import essential_nebula
from cosmos.debian.star import manifest_of
from cosmos.errors import CosmosError
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.demand import Demand
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, counted
from cosmos.model.star import Star
from cosmos.pack.star_archive import write_star
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.answered import Answers, stars_in, unanswered
from cosmos.stellar.build_star import BuiltStar
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.published import AlreadyThere, Published

Reach: TypeAlias = Literal["as asked", "closure"]
Essential: TypeAlias = Literal["assumed", "imported"]


class PackageArchive(Archive, Protocol):
    """Where packages come from: apt, or a fake."""

    def fetch(self, records: Sequence[AptRecord]) -> None:
        """Bring packages here."""

    def read(self, record: AptRecord) -> bytes:
        """Return a package's bytes, checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to import: `packages` are NAME or NAME=VERSION; the essential ones are imported with all that they need.

    `workers` packages are worked on at a time; their bytes are in memory.
    """

    packages: tuple[str, ...]
    architecture: str
    reach: Reach
    level: int
    workers: int
    unpublished: Unpublished = "refuse"
    essential: Essential = "assumed"


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

    `missing` are dependencies that no star of the galaxy answers, `unmet` those that Debian has no package for,
    `assumed` the essential packages that no star answers for, `failed` packages with the reason why they are no stars,
    `kept` those whose star is there already and was made of the same package in another way, which stays as it is,
    `refused` those whose version is there already, made of another package, and `hints` what to do about some of those.
    """

    stars: tuple[ImportedStar, ...]
    missing: tuple[str, ...]
    unmet: Mapping[str, tuple[str, ...]]
    assumed: tuple[str, ...]
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
    essential = archive.essential()
    besides = essential if order.essential == "imported" else ()
    closure = debian_closure(archive, dict.fromkeys(besides) | asked, order.architecture, reporter)
    names = sorted(closure.records if order.reach == "closure" else closure.reached_from(besides) | asked.keys())
    records = [closure.records[name] for name in names]
    reporter.step(f"fetch {counted(len(records), 'package')}")
    archive.fetch(records)
    reporter.step(f"import {counted(len(records), 'package')}")
    stars: list[ImportedStar] = []
    left: list[Failed] = []
    nebula: list[BuiltStar] = []
    if order.essential == "imported":
        nebula = [_nebula(essential_nebula(essential, closure.records), order.level)]
    for outcome in chain(_outcomes(order, records, archive, galaxy), nebula):
        if isinstance(outcome, BuiltStar):
            kept, star = _added(outcome, order, galaxy, keys, published, reporter)
        else:
            kept, star = (outcome, None) if isinstance(outcome, Failed) else (None, outcome)
        stars += [star] if star is not None else []
        left += [kept] if kept is not None else []
        reporter.progress("import packages", len(stars) + sum(one.end != "kept" for one in left), len(records))
    stars.sort(key=lambda one: one.star.name)
    made = [one.star for one in stars]
    answers = Answers.of(stars_in(galaxy))
    return Imported(
        stars=tuple(stars),
        missing=unanswered(made, answers, told={one.name for one in left}),
        unmet={name: rows for name, rows in sorted(closure.unmet.items()) if name in names},
        assumed=_assumed(essential, answers),
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
    archive: PackageArchive,
    galaxy: GalaxyFolder,
) -> Iterator[BuiltStar | ImportedStar | Failed]:
    """Yield what becomes of each package, `order.workers` at a time, the largest first."""

    def made(record: AptRecord) -> BuiltStar | ImportedStar | Failed:
        try:
            plain = manifest_of(record, order.architecture, licence="")
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
    package = contents_of(data, record)
    star = replace(plain, license=package.licence)
    packed = write_star(star, None, package.entries, level=level)
    return BuiltStar(manifest=star, packed=packed, script=None, entries=package.entries, unrun=package.scripts)


def _nebula(star: Star, level: int) -> BuiltStar:
    return BuiltStar(manifest=star, packed=write_star(star, None, (), level=level), script=None, entries=(), unrun=())


def _assumed(names: Iterable[str], answers: Answers) -> tuple[str, ...]:
    """Return those of the essential packages `names` that no star at hand answers for."""
    return tuple(name for name in sorted(names) if not answers.has(Demand(StarName.parse(name))))


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
