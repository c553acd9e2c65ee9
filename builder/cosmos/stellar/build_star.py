"""Build a star's archive from its source folder: the same input, the same bytes.

In this order:

  1. read the recipe, the script and the folder's own files
  2. fetch each `deb:` package and check it against the signed index
  3. unpack it, keep what `[unpack]` says, and lay the folder's own files beside; two owners of one path are refused
  4. run the script's `build()`, where it has one
  5. write the manifest and the archive

What is left open in the recipe comes from the first package: version (as Debian writes it), description, licence,
architecture. No clock has a say: what the folder itself ships, and what `build()` makes, is as old as the newest file
of the packages, or as `epoch` where that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed, NoSolution
from cosmos.model.file_names import file_stem
from cosmos.model.names import ANY_ARCH, Arch, Suite
from cosmos.model.reporter import Reporter
from cosmos.model.star import Origin, Recipe, Star
from cosmos.model.version import DebianVersion
from cosmos.nova.job import NovaJob, ProgramRunner
from cosmos.nova.run import run_build
from cosmos.pack.deb import DebPackage, read_deb
from cosmos.pack.star_archive import PackedStar, write_star
from cosmos.stellar.kernel_modules import kernel_modules
from cosmos.stellar.selection import Brought, demand_good_globs, joined, selected, unmatched
from cosmos.stellar.source_folder import RECIPE_FILE, SourceFolder, moved_up, read_source_folder
from cosmos.transport.apt import Apt, AptRecord
from cosmos.transport.deb import PREFIX, DebSource, find_package
from cosmos.tree.copyright import joined_licences, licence_of, unknown_licence
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

OpenApt: TypeAlias = Callable[[Arch, Suite | None], Apt]
DEFAULT_LEVEL: Final = 9
_FILES: Final = b"files/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """What a build works with. `machine`: the architecture to fetch packages for where a recipe names none.

    `place`: which of several stars it is, in words: "star 7 of 25". Without one, nothing is said of it.
    """

    open_apt: OpenApt
    machine: Arch
    programs: Callable[[int], ProgramRunner]
    level: int
    epoch: int | None
    reporter: Reporter
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedDeb:
    """One package of a star: as the index lists it, and read."""

    record: AptRecord
    package: DebPackage

    @property
    def owner(self) -> str:
        """What to call it in front of people."""
        return f"the package {self.record.name}"


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
        return archive_name(self.manifest)

    @property
    def digest(self) -> Digest:
        """The archive's digest. Computed at each call."""
        return Digest.of(self.packed.data)

    def write(self, folder: Path) -> Path:
        """Write the archive into `folder` and return its path; a file of the same bytes is left alone."""
        path = folder / self.file_name
        if not (path.is_file() and path.read_bytes() == self.packed.data):
            write_durably(path, self.packed.data)
        return path


def build_star(folder: Path, workshop: Workshop) -> BuiltStar:
    """Return the archive of the star whose source folder is `folder`. Raises every family but `Differs`."""
    source = read_source_folder(folder)
    recipe = source.recipe
    if recipe.name in recipe.dependencies:
        raise Malformed(str(folder / RECIPE_FILE), f"{recipe.name} depends on itself")
    wanted = deb_sources(recipe.sources, str(folder / RECIPE_FILE))
    demand_good_globs(recipe.unpack, str(folder / RECIPE_FILE))
    debs = _fetched(wanted, recipe, workshop)
    parts = [Brought(owner=deb.owner, entries=deb.package.entries) for deb in debs]
    _demand_all_matched(source, parts)
    kept = [_selected(part, source) for part in parts]
    epoch = workshop.epoch if workshop.epoch is not None else max((e.mtime for p in kept for e in p.entries), default=0)
    own = [replace(entry, mtime=epoch) for entry in source.files.values()]
    entries = joined([*kept, Brought(owner=f"{folder}/files", entries=own)])
    if source.script is not None:
        entries = _built(source, entries, epoch, workshop)
    _demand_some(source, entries, debs)
    star = _manifest(source, debs, workshop.machine)
    packed = write_star(star, source.script, entries, level=workshop.level)
    return BuiltStar(manifest=star, packed=packed, script=source.script, entries=tuple(entries), unrun=_unrun(debs))


def maintainer_scripts(folder: Path, workshop: Workshop) -> tuple[str, ...]:
    """Return the maintainer scripts of a star's packages, as `package: script`; none of them is ever run."""
    source = read_source_folder(folder)
    wanted = deb_sources(source.recipe.sources, str(folder / RECIPE_FILE))
    return _unrun(_fetched(wanted, source.recipe, workshop))


def archive_name(star: Star) -> str:
    """Return the file name of a star's archive."""
    return f"{file_stem(star.name, str(star.version), star.arch)}.tar.zst"


def archive_suffix(file_name: str) -> str:
    """Return how an archive's name ends: after the stem that all files of a star share.

    >>> archive_suffix("zlib-1.3.1-x86_64.tar.zst")
    '.tar.zst'
    """
    stem = file_name.removesuffix(".tar.zst").removesuffix(".tar.gz")
    return file_name[len(stem) :]


def archive_source(star: Star) -> str:
    """Return what a manifest's `source` says: where the archive lies in its galaxy."""
    return f"./packages/{archive_name(star)}"


def deb_sources(sources: Sequence[str], file: str) -> tuple[DebSource, ...]:
    """Return the packages that a recipe names; raises `Malformed` for another kind of source."""
    found = []
    for place, text in enumerate(sources):
        if not text.startswith(PREFIX):
            raise Malformed(file, f"source[{place}]: want deb:NAME, got {text[:80]!r}", hint="own files go into files/")
        try:
            found.append(DebSource.parse(text))
        except ValueError as error:
            raise Malformed(file, f"source[{place}]: {error}") from error
    return tuple(found)


def copyright_of(package: DebPackage) -> str:
    """Return the package's licence as an SPDX expression (see tree.copyright)."""
    path = TreePath(b"usr/share/doc/" + package.name.encode() + b"/copyright")
    files = {entry.path: entry for entry in package.entries}
    entry = files.get(path)
    if entry is not None and entry.kind == "hardlink":
        entry = files[TreePath(entry.target)]
    return licence_of(bytes(entry.content), package.name) if entry is not None and entry.kind == "file" else ""


def origin_of(record: AptRecord) -> Origin:
    """Return where a star made of this package came from."""
    return Origin(ecosystem="deb", name=record.name, version=record.version, digest=record.digest)


def _fetched(wanted: Sequence[DebSource], recipe: Recipe, workshop: Workshop) -> list[FetchedDeb]:
    if not wanted:
        _tell(recipe, str(recipe.version), workshop)
        return []
    apt = workshop.open_apt(workshop.machine if recipe.arch == ANY_ARCH else recipe.arch, recipe.suite)
    records = [find_package(apt, source) for source in wanted]
    _tell(recipe, records[0].version if recipe.version is None else str(recipe.version), workshop)
    apt.fetch(records)
    return [FetchedDeb(record=record, package=read_deb(apt.read(record), record.file_name)) for record in records]


def _tell(recipe: Recipe, version: str, workshop: Workshop) -> None:
    if workshop.place:
        workshop.reporter.item(f"{workshop.place}: {recipe.name} {version}")


def _unrun(debs: Iterable[FetchedDeb]) -> tuple[str, ...]:
    return tuple(f"{deb.record.name}: {script}" for deb in debs for script in deb.package.scripts)


def _demand_all_matched(source: SourceFolder, parts: Sequence[Brought]) -> None:
    """Refuse a recipe whose `[unpack]` names what none of its packages has: the star would lack it in silence."""
    rows = unmatched(source.recipe.unpack, parts)
    if rows:
        packages = ", ".join(part.owner.removeprefix("the package ") for part in parts) or "no package"
        more = f" (and {len(rows) - 1} more: {'; '.join(rows[1:])})" if rows[1:] else ""
        raise NoSolution(
            str(source.recipe.name),
            f"unpack.{rows[0]} matches nothing in {packages}{more}",
            hint=f"look what is there with dpkg-deb --contents, and mend [unpack] in {source.path / RECIPE_FILE}",
        )


def _selected(part: Brought, source: SourceFolder) -> Brought:
    unpack, file = source.recipe.unpack, str(source.path / RECIPE_FILE)
    if not unpack.kernel_modules:
        return replace(part, entries=selected(part, unpack, (), file))
    modules = kernel_modules(part.entries, unpack.kernel_modules, part.owner)
    return replace(part, entries=[*selected(part, unpack, modules.kept, file), *modules.made])


def _built(source: SourceFolder, entries: Sequence[Entry], epoch: int, workshop: Workshop) -> list[Entry]:
    """Return what is below files/ once `build()` has run."""
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


def _demand_some(source: SourceFolder, entries: Sequence[Entry], debs: Sequence[FetchedDeb]) -> None:
    name = str(source.recipe.name)
    if source.recipe.type == "nebula" and (entries or debs):
        raise Malformed(name, "is a nebula, which holds dependencies only, but it has files")
    if debs and not any(entry.kind != "dir" for entry in entries):
        raise NoSolution(name, "nothing of its packages is kept", hint="look at [unpack] only and exclude")


def _manifest(source: SourceFolder, debs: Sequence[FetchedDeb], machine: Arch) -> Star:
    recipe = source.recipe
    version = recipe.version if recipe.version is not None else DebianVersion.of(debs[0].record.version)
    star = recipe.star(version=version, source="", checksums={}, origins=tuple(origin_of(deb.record) for deb in debs))
    arch = machine if any(deb.record.architecture != "all" for deb in debs) and star.arch == ANY_ARCH else star.arch
    summary = debs[0].record.fields.get("description", "").split("\n")[0] if debs else ""
    return replace(
        star,
        arch=arch,
        source=archive_source(replace(star, arch=arch)),
        description=star.description or summary,
        license=star.license or joined_licences(licence(deb.package) for deb in debs),
    )


def licence(package: DebPackage) -> str:
    """Return the package's licence, or a reference to its own copyright file where that is elsewhere."""
    return copyright_of(package) or unknown_licence(package.name)
