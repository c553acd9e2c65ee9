"""Check a star, as a source folder or as an archive, and report all its problems at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cosmos.errors import CosmosError
from cosmos.model.file_names import file_stem
from cosmos.model.names import StarName
from cosmos.model.star import Recipe, Star
from cosmos.nova.run import syntax_problem
from cosmos.pack.star_archive import StarContents, star_tar
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.stellar.archive_file import SUFFIXES, archive_suffix, open_archive
from cosmos.stellar.ecosystems import RULES, check_sources, describe_themselves, nouns
from cosmos.stellar.licences import is_well_formed, unlisted_ids
from cosmos.stellar.selection import demand_good_globs
from cosmos.stellar.source_folder import RECIPE_FILE, SourceFolder, read_script, read_source_folder, source_folder
from cosmos.tables import Table, every_fault
from cosmos.treepath import TreePath

Weight: TypeAlias = Literal["error", "warning"]

_RANK: Final[dict[Weight, int]] = {"error": 0, "warning": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One problem: an `error`, or a `warning`."""

    weight: Weight
    problem: str


class _Findings:
    """The problems found so far."""

    def __init__(self) -> None:
        self.rows: list[Finding] = []

    def error(self, problem: str) -> None:
        self.rows.append(Finding(weight="error", problem=problem))

    def warning(self, problem: str) -> None:
        self.rows.append(Finding(weight="warning", problem=problem))

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Turn an error of the block into a finding, and go on."""
        try:
            yield
        except CosmosError as error:
            for one in (error, *error.also):
                self.fault(one)

    def fault(self, error: CosmosError) -> None:
        """Add an error with its hint."""
        self.error(f"{error}" + (f" ({error.hint})" if error.hint else ""))


def validate_star(path: Path) -> tuple[Finding, ...]:
    """Return the problems of the source folder or the archive at `path`, errors first."""
    findings = _Findings()
    with findings.noting():
        if path.is_dir():
            _check_folder(path, findings)
        else:
            _check_archive(path, findings)
    return tuple(sorted(findings.rows, key=lambda one: _RANK[one.weight]))


def _check_folder(path: Path, findings: _Findings) -> None:
    read = _folder_read(path, findings)
    if read is None:
        return
    source, is_whole = read
    recipe = source.recipe
    file = str(path / RECIPE_FILE)
    if path.resolve().name != recipe.name:
        findings.warning(f"star.toml: name is {recipe.name}, but the folder is called {path.resolve().name}")
    with findings.noting():
        check_sources(recipe, file)
    with findings.noting():
        demand_good_globs(recipe.unpack, file)
    _check_about(recipe, findings)
    _check_script(source.script, recipe.install_script, findings)
    _check_unpack(recipe, findings)
    if not is_whole:
        return
    if recipe.type == "nebula":
        if source.files or recipe.sources:
            findings.error(f"a nebula has only dependencies, but this one has files or {nouns(recipe.sources)}")
    elif not source.files and not recipe.sources and source.script is None:
        findings.warning("it ships nothing: there is no files/, no source and no script")
    with findings.noting():
        _check_packing(source)


def _folder_read(path: Path, findings: _Findings) -> tuple[SourceFolder, bool] | None:
    """Return the source folder without what is malformed in it, which is told, and whether its files could be read.

    None: too little is left.
    """
    file = path / RECIPE_FILE
    if not file.is_file():
        return read_source_folder(path), True  # which says so
    table = Table.parse(read_bounded(file), str(file))
    recipe, faults = every_fault(table, lambda rest: Recipe.read(rest, RULES), _stand_ins(path.resolve().name))
    for fault in faults:
        findings.fault(fault)
    if recipe is None:
        return None
    script: bytes | None = None
    with findings.noting():
        script = read_script(path, recipe)
    with findings.noting():
        source = source_folder(path, replace(recipe, install_script=""))
        return (source if script is None else replace(source, recipe=recipe, script=script)), True
    return SourceFolder(path=path, recipe=recipe, script=script, files={}, beside={}), False


def _stand_ins(name: str) -> dict[str, str]:
    """Return values for the keys that a star must have, to read the rest of a document where they are wrong."""
    try:
        StarName.parse(name)
    except ValueError:
        name = "star"
    return {"name": name, "version": "0.0.0"}


def _check_about(recipe: Recipe, findings: _Findings) -> None:
    if recipe.license or not describe_themselves(recipe.sources):
        _check_licence(recipe.license, findings)
    if not recipe.description and not describe_themselves(recipe.sources):
        findings.warning("star.toml: has no description")
    if recipe.name in recipe.dependencies:
        findings.error("star.toml: depends on itself")


def _check_licence(licence: str, findings: _Findings) -> None:
    if not licence:
        findings.error("star.toml: has no license (an SPDX expression, such as MIT or GPL-2.0-only)")
    elif not is_well_formed(licence):
        findings.error(f"star.toml: license: want an SPDX expression such as MIT OR Apache-2.0, got {licence[:80]!r}")
    else:
        for name in unlisted_ids(licence):
            problem = f"SPDX does not list {name[:80]}; the name of such a licence begins with LicenseRef-"
            findings.warning(f"star.toml: license: {problem}")


def _check_script(script: bytes | None, name: str, findings: _Findings) -> None:
    if script is None:
        return
    problem = syntax_problem(script, name)
    if problem is not None:
        octal = ' (Lua has no octal numbers: write "0755")' if "near '0o" in problem else ""
        findings.error(problem + octal if problem.startswith(name) else f"{name}: {problem}{octal}")
    elif b"install" not in script:
        findings.error(f"{name}: defines no install()")


def _check_unpack(recipe: Recipe, findings: _Findings) -> None:
    unpack = recipe.unpack
    if not recipe.sources and (unpack.only or unpack.exclude or unpack.kernel_modules or unpack.rename):
        findings.warning("star.toml: [unpack] says what to keep of packages, but there is no source")


def _check_packing(source: SourceFolder) -> None:
    """Pack the folder's own files, so that every path is checked in the same way as at installation."""
    recipe = source.recipe
    version = recipe.version
    if version is None:
        return
    star = recipe.star(version=version, source="", checksums={}, origins=())
    star_tar(star, source.script, source.files.values(), Spool())


def _check_archive(path: Path, findings: _Findings) -> None:
    if not path.name.endswith(SUFFIXES):
        findings.error("want a source folder, or an archive whose name ends in .tar.zst or .tar.gz")
        return
    archive = open_archive(path)
    plain = archive.contents("")
    if not plain.manifest:
        findings.error("has no star.toml")
        return
    table = Table.parse(plain.manifest, "star.toml")
    star, faults = every_fault(table, Star.read, _stand_ins(path.name.split("-")[0]))
    for fault in faults:
        findings.fault(fault)
    if star is None:
        return
    for warning in star.warnings:
        findings.warning(f"star.toml: {warning}: unknown key")
    version = str(star.version)
    if path.name.removesuffix(archive_suffix(path.name)) not in (
        file_stem(star.name, version, star.arch),
        file_stem(star.name, version),  # as archives were called before ARCH
    ):
        findings.error(f"star.toml: it is {star.id} for {star.arch}, but the archive is called {path.name}")
    _check_licence(star.license, findings)
    if star.type == "nebula" and plain.files:
        findings.error("a nebula has only dependencies, but this one has files")
    _check_sums(star, plain, findings)
    script = archive.contents(star.install_script).script
    if star.install_script and script is None:
        findings.error(f"star.toml: install_script is {star.install_script}, which is not in the archive")
    _check_script(script, star.install_script, findings)


def _check_sums(star: Star, contents: StarContents, findings: _Findings) -> None:
    for name, wanted in star.checksums.items():
        try:
            entry = contents.files.get(TreePath.rooted(name))
        except ValueError as error:
            findings.error(f"star.toml: checksums: {error}")
            continue
        if entry is None:
            findings.error(f"star.toml: checksums: files/{name} is not in the archive")
        elif entry.digest != wanted:
            findings.error(f"star.toml: checksums: files/{name} has SHA-256 {entry.digest or 'none'}, not {wanted}")
