"""Build a star's archive from its source folder: the same input, the same bytes.

In this order:

  1. read the recipe, the script and the folder's own files
  2. fetch each package that its `source` names, and check it (stellar.ecosystems)
  3. unpack it, keep the paths that `[unpack]` selects, and add the folder's own files; refuse two owners of one path
  4. run the script's `build()`, if it has one
  5. write the manifest and the archive

If the recipe does not say the version, description, licence or architecture, they come from the first package (the
version as Debian writes it). No clock is used: the folder's own files, and the files that `build()` makes, get the time
of the newest file of the packages, or `epoch` if it is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cosmos.content import content_digest, pieces
from cosmos.digest import Digest
from cosmos.durable import durable_file
from cosmos.errors import Malformed, NoSolution, of_star
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES, Budget
from cosmos.model.licence import joined_licences
from cosmos.model.names import ANY_ARCH, Arch
from cosmos.model.reporter import Reporter
from cosmos.model.star import Recipe, Star
from cosmos.model.version import Version
from cosmos.nova.job import NovaJob, ProgramRunner
from cosmos.nova.run import run_build
from cosmos.pack.star_archive import PackedStar, write_star
from cosmos.reading import file_content, is_there
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.stellar import ecosystems
from cosmos.stellar.ecosystems import check_sources, fetch, find, listed_by, nouns
from cosmos.stellar.kernel_modules import kernel_modules
from cosmos.stellar.selection import Brought, demand_good_globs, joined, selected, unmatched
from cosmos.stellar.source_folder import RECIPE_FILE, SourceFolder, moved_up, read_recipe, read_source_folder
from cosmos.tree.ecosystem import Contents, Ecosystem, Found
from cosmos.tree.entry import Entry

_FILES: Final = b"files/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """The settings and services that all stars of one run share.

    `machine`: the architecture to fetch packages for if a recipe names none. `place` is the star's place among several,
    in words: "star 7 of 25". Without it, no progress is shown.
    """

    ecosystems: Mapping[str, Ecosystem]
    machine: Arch
    programs: Callable[[int], ProgramRunner]
    level: int
    epoch: int | None
    reporter: Reporter
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """One package of a star: the facts from its search, and its contents."""

    found: Found
    contents: Contents


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltStar:
    """A star's archive. `unrun` names the maintainer scripts of its packages, as `package: script`; none was run."""

    manifest: Star
    packed: PackedStar
    script: bytes | None
    entries: tuple[Entry, ...]
    unrun: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The archive's name."""
        return self.manifest.archive_name

    @property
    def digest(self) -> Digest:
        """The archive's digest. Computed at each call, of a large one once."""
        return content_digest(self.packed.data)

    def write(self, folder: Path) -> Path:
        """Write the archive into `folder` and return its path. A file with the same bytes stays as it is."""
        path = folder / self.file_name
        put_archive(path, self)
        return path


def put_archive(path: Path, built: BuiltStar) -> None:
    """Write the star's archive to `path`, unless it is there already. Raises `WorldFailed`."""
    data = built.packed.data
    if is_there(path) and file_content(path, MAX_STAR_ARCHIVE_BYTES) == data:
        return
    with durable_file(path) as stream:
        stream.writelines(pieces(data))


def build_star(folder: Path, workshop: Workshop) -> BuiltStar:
    """Return the archive of the star whose source folder is `folder`. Raises every family but `Differs`."""
    source = read_source_folder(folder)
    with of_star(source.recipe.name):
        return _star_of(folder, source, workshop)


def fetch_ahead(folders: Iterable[Path], workshop: Workshop) -> None:
    """Fetch the packages of all these stars at once: apt takes a second to look for one, and as long for fifty.

    What is wrong with a recipe is left for `build_star` to tell. Raises `WorldFailed` or `Refused`.
    """
    recipes = []
    for folder in folders:
        with contextlib.suppress(Malformed):
            recipe = read_recipe(folder)
            check_sources(recipe, str(folder / RECIPE_FILE))
            recipes.append((recipe, folder))
    ecosystems.fetch_ahead(recipes, workshop.ecosystems, workshop.machine)


def _star_of(folder: Path, source: SourceFolder, workshop: Workshop) -> BuiltStar:
    recipe = source.recipe
    if recipe.name in recipe.dependencies:
        raise Malformed(
            str(folder / RECIPE_FILE),
            f"{recipe.name} depends on itself",
            hint=f"take {recipe.name} out of [dependencies]",
        )
    check_sources(recipe, str(folder / RECIPE_FILE))
    demand_good_globs(recipe.unpack, str(folder / RECIPE_FILE))
    packages = _fetched(source, workshop)
    parts = [Brought(owner=one.found.owner, entries=one.contents.entries) for one in packages]
    _demand_all_matched(source, packages, parts)
    kept = [_selected(part, source, one.contents.budget) for part, one in zip(parts, packages, strict=True)]
    epoch = workshop.epoch if workshop.epoch is not None else max((e.mtime for p in kept for e in p.entries), default=0)
    own = [replace(entry, mtime=epoch) for entry in source.files.values()]
    entries = joined([*kept, Brought(owner=f"{folder}/files", entries=own)])
    if source.script is not None:
        entries = _built(source, entries, epoch, workshop)
    _demand_some(source, entries, packages)
    star = _manifest(source, packages, workshop.machine)
    packed = write_star(star, source.script, entries, level=workshop.level, spool=Spool())
    return BuiltStar(
        manifest=star, packed=packed, script=source.script, entries=tuple(packed.files.values()), unrun=_unrun(packages)
    )


def maintainer_scripts(folder: Path, workshop: Workshop) -> tuple[str, ...]:
    """Return the maintainer scripts of a star's packages, as `package: script`. No command runs them."""
    source = read_source_folder(folder)
    check_sources(source.recipe, str(folder / RECIPE_FILE))
    return _unrun(_fetched(source, workshop))


def _fetched(source: SourceFolder, workshop: Workshop) -> list[Fetched]:
    recipe = source.recipe
    parts = find(recipe, source.path, workshop.ecosystems, workshop.machine)
    _tell(recipe, _version(recipe, [part.found for part in parts]), workshop)
    fetch(parts)
    return [Fetched(found=part.found, contents=part.read()) for part in parts]


def _version(recipe: Recipe, found: Iterable[Found]) -> Version:
    """Return the recipe's version, or the version of its first package that has one."""
    versions = (one.version for one in found if one.version is not None)
    return recipe.version if recipe.version is not None else next(versions)


def _tell(recipe: Recipe, version: Version, workshop: Workshop) -> None:
    if workshop.place:
        workshop.reporter.item(f"{workshop.place}: {recipe.name} {version}")


def _unrun(packages: Iterable[Fetched]) -> tuple[str, ...]:
    return tuple(f"{one.found.origin.name}: {script}" for one in packages for script in one.contents.scripts)


def _demand_all_matched(source: SourceFolder, packages: Sequence[Fetched], parts: Sequence[Brought]) -> None:
    """Refuse a recipe whose `[unpack]` names a path that no package has: the star would silently miss it."""
    rows = unmatched(source.recipe.unpack, parts)
    if rows:
        sources = source.recipe.sources
        names = ", ".join(one.found.origin.name for one in packages) or "no package"
        more = f" (and {len(rows) - 1} more: {'; '.join(rows[1:])})" if rows[1:] else ""
        raise NoSolution(
            str(source.recipe.name),
            f"unpack.{rows[0]} matches nothing in {names}{more}",
            hint=f"list the paths with {listed_by(sources)}, then correct [unpack] in {source.path / RECIPE_FILE}",
        )


def _selected(part: Brought, source: SourceFolder, budget: Budget) -> Brought:
    unpack, file = source.recipe.unpack, str(source.path / RECIPE_FILE)
    if not unpack.kernel_modules:
        return replace(part, entries=selected(part, unpack, (), file))
    modules = kernel_modules(part.entries, unpack.kernel_modules, part.owner, budget)
    return replace(part, entries=[*selected(part, unpack, modules.kept, file), *modules.made])


def _built(source: SourceFolder, entries: Sequence[Entry], epoch: int, workshop: Workshop) -> list[Entry]:
    """Run `build()` and return the entries below files/ afterwards."""
    job = NovaJob(
        star=str(source.recipe.name),
        script_name=source.recipe.install_script,
        script=source.script or b"",
        files={entry.path: entry for entry in entries},
        beside=source.beside,
        epoch=epoch,
        programs=workshop.programs(epoch),
    )
    tree = run_build(job).entries
    return [moved_up(entry) for path, entry in tree.items() if path.startswith(_FILES)]


def _demand_some(source: SourceFolder, entries: Sequence[Entry], packages: Sequence[Fetched]) -> None:
    name = str(source.recipe.name)
    if source.recipe.type == "nebula" and (entries or packages):
        raise Malformed(
            name,
            "is a nebula, which has only dependencies, but it has files",
            hint=f'remove its files and `source`, or write type = "normal" in {source.path / RECIPE_FILE}',
        )
    if packages and not any(entry.kind != "dir" for entry in entries):
        kept = f"[unpack] keeps nothing of its {nouns(source.recipe.sources)}"
        raise NoSolution(name, kept, hint=f"correct [unpack] only and exclude in {source.path / RECIPE_FILE}")


def _manifest(source: SourceFolder, packages: Sequence[Fetched], machine: Arch) -> Star:
    recipe, found = source.recipe, [one.found for one in packages]
    origins = tuple(one.origin for one in found)
    star = recipe.star(version=_version(recipe, found), source="", checksums={}, origins=origins)
    arch = machine if any(one.is_for_machine for one in found) and star.arch == ANY_ARCH else star.arch
    return replace(
        star,
        arch=arch,
        source=replace(star, arch=arch).archive_source,
        description=star.description or next((one.summary for one in found), ""),
        license=star.license or joined_licences(one.contents.licence for one in packages),
    )
