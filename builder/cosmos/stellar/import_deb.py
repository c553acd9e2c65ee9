"""Convert whole Debian packages into stars of a galaxy.

In this order:

  1. find the packages and everything that they need (debian.closure, debian.essential)
  2. fetch them; apt verifies them, and each is checked against its signed record
  3. read each with our own reader, and write it as a star: the paths and the relations to other packages are those of
     the package (debian.star), the licence is from its copyright file, and `[[origin]]` names the package
  4. put the archive and the statement into the galaxy

Maintainer scripts are not run; the packages that have some are reported. If a package cannot become a star, it is
reported, and the others are imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
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
from cosmos.reading import is_there
from cosmos.records import dataclass
from cosmos.stellar.add_star import Unpublished, add_star
from cosmos.stellar.answered import Answers, stars_in, unanswered
from cosmos.stellar.build_star import BuiltStar
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.published import AlreadyThere, Published

Scope: TypeAlias = Literal["as asked", "closure"]
Essential: TypeAlias = Literal["assumed", "imported"]


class PackageArchive(Archive, Protocol):
    """A source of packages: apt, or a fake."""

    def fetch(self, records: Sequence[AptRecord]) -> None:
        """Fetch packages to this machine."""

    def read(self, record: AptRecord) -> bytes:
        """Return a package's bytes, checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRequest:
    """The packages to import, as NAME or NAME=VERSION. `essential`: also import Debian's essential packages.

    `workers` is the number of packages that are converted at the same time; their bytes are in memory.
    """

    packages: tuple[str, ...]
    architecture: str
    scope: Scope
    level: int
    workers: int
    unpublished: Unpublished = "refuse"
    essential: Essential = "assumed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedStar:
    """A package that is a star of the galaxy now. `is_new` is False if the galaxy had it before."""

    star: Star
    archive: Path
    unrun: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """The result of an import.

    `missing`: dependencies that no star of the galaxy answers. `unmet`: dependencies that Debian has no package for.
    `assumed`: essential packages that no star answers for. `failed`: packages that cannot be stars, with the reason.
    `kept`: packages whose star was made before in another way; it stays as it is. `refused`: packages of which the
    galaxy has the same version, made of another package. `hints`: advice for some of these.
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
    request: ImportRequest, archive: PackageArchive, galaxy: GalaxyFolder, keys: Sequence[SecretKey], reporter: Reporter
) -> Imported:
    """Import packages into `galaxy`, and sign their statements with `keys`. The index stays as it is.

    Raises `NoSolution` for a package that apt does not have, `WorldFailed` if one cannot be fetched.
    """
    galaxy.index()
    published = Published(galaxy)
    asked = wishes(request.packages)
    essential = archive.essential()
    besides = essential if request.essential == "imported" else ()
    closure = debian_closure(archive, dict.fromkeys(besides) | asked, request.architecture, reporter)
    names = sorted(closure.records if request.scope == "closure" else closure.reached_from(besides) | asked.keys())
    records = [closure.records[name] for name in names]
    reporter.step(f"fetch {counted(len(records), 'package')}")
    archive.fetch(records)
    reporter.step(f"import {counted(len(records), 'package')}")
    stars: list[ImportedStar] = []
    left: list[Failed] = []
    nebula: list[BuiltStar] = []
    if request.essential == "imported":
        nebula = [_nebula(essential_nebula(essential, closure.records), request.level)]
    for outcome in chain(_outcomes(request, records, archive, galaxy), nebula):
        if isinstance(outcome, BuiltStar):
            kept, star = _added(outcome, request, galaxy, keys, published, reporter)
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
    """A package that did not become a new star. `end` is the field of `Imported` that it belongs to."""

    name: str
    reason: str
    hint: str | None
    end: Literal["failed", "kept", "refused"] = "failed"


def _reasons(left: Sequence[Failed], end: str) -> dict[str, str]:
    return {one.name: one.reason for one in sorted(left, key=lambda one: one.name) if one.end == end}


def _added(
    built: BuiltStar,
    request: ImportRequest,
    galaxy: GalaxyFolder,
    keys: Sequence[SecretKey],
    published: Published,
    reporter: Reporter,
) -> tuple[Failed | None, ImportedStar | None]:
    """Put a star into the galaxy and return it. If the galaxy has other bytes, return the reason, and the old star."""
    name = str(built.manifest.name)
    try:
        added = add_star(galaxy, built, keys, unpublished=request.unpublished, published=published, reporter=reporter)
    except AlreadyThere as error:
        file = galaxy.statement_file(error.stem)
        there = read_statement(file) if is_there(file) else None
        if there is None or there.star.origins != built.manifest.origins:
            return Failed(name=name, reason=str(error), hint=error.hint, end="refused"), None
        star = ImportedStar(star=there.star, archive=galaxy.root / there.file, unrun=built.unrun, is_new=False)
        return Failed(name=name, reason=str(error), hint=None, end="kept"), star
    star = ImportedStar(star=built.manifest, archive=added.archive, unrun=built.unrun, is_new=added.is_new)
    return None, star


def _outcomes(
    request: ImportRequest,
    records: Sequence[AptRecord],
    archive: PackageArchive,
    galaxy: GalaxyFolder,
) -> Iterator[BuiltStar | ImportedStar | Failed]:
    """Yield the result for each package, `request.workers` at a time, the largest first."""

    def made(record: AptRecord) -> BuiltStar | ImportedStar | Failed:
        try:
            plain = manifest_of(record, request.architecture, licence="")
            return _there_already(galaxy, plain) or _converted(archive.read(record), record, plain, request.level)
        except CosmosError as error:
            return Failed(name=record.name, reason=str(error), hint=error.hint)

    waiting = sorted(records, key=lambda record: (record.size_bytes, record.name))
    with ThreadPoolExecutor(max_workers=request.workers) as pool:
        running: set[Future[BuiltStar | ImportedStar | Failed]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < request.workers + 1:
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
    """Return the essential packages in `names` that no known star answers for."""
    return tuple(name for name in sorted(names) if not answers.has(Demand(StarName.parse(name))))


def _there_already(galaxy: GalaxyFolder, plain: Star) -> ImportedStar | None:
    """Return the star if the galaxy has it, made of the same package with the same dependencies."""
    file = galaxy.statement_file(galaxy.stem_of(plain.name, plain.version, plain.arch))
    if not is_there(file):
        return None
    statement = read_statement(file)
    archive = galaxy.root / statement.file
    there = replace(statement.star, license="", source=plain.source, warnings=())  # an older name stays
    if there != plain or not is_there(archive):
        return None
    return ImportedStar(star=statement.star, archive=archive, unrun=(), is_new=False)
