"""Open a star to try its script: from a source folder, or from an archive.

A source folder that has all its files is taken as it is. A source folder that is made of packages needs a galaxy with
its archive (see stellar.galaxy_library). Then the files come from the archive, the script and recipe from the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cosmos.errors import Malformed, NoSolution, quoted
from cosmos.limits import MAX_STAR_UNPACKED_BYTES
from cosmos.model.demand import Need
from cosmos.model.names import Arch, StarName
from cosmos.model.star import Star
from cosmos.nova.job import NovaJob, NovaResult
from cosmos.nova.run import default_install, run_install
from cosmos.pack.star_archive import StarContents
from cosmos.records import dataclass
from cosmos.stellar.archive_file import SUFFIXES, open_archive
from cosmos.stellar.ecosystems import check_sources, nouns, wild_parts
from cosmos.stellar.source_folder import RECIPE_FILE, SourceFolder, read_source_folder
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenStar:
    """A star, ready to run. `wild` are pairs for the recipe's wildcards: a text, and the same with the wildcard.

    `copied_bytes`: how much its script may copy.
    """

    name: StarName
    arch: Arch
    licence: str
    needs: tuple[Need, ...]
    script_name: str
    script: bytes | None
    files: Mapping[TreePath, Entry]
    beside: Mapping[TreePath, Entry]
    wild: tuple[tuple[str, str], ...] = ()
    copied_bytes: int = MAX_STAR_UNPACKED_BYTES

    def lay(self, below: Mapping[TreePath, Entry]) -> NovaResult:
        """Return the entries that the star lays on the root `below`, and its receipt; raises `ScriptFailed`."""
        if self.script is None:
            return default_install(self.files, epoch=0)
        job = NovaJob(
            star=self.name,
            script_name=self.script_name,
            script=self.script,
            files=self.files,
            beside=self.beside,
            root=below,
            epoch=0,
            max_copied_bytes=self.copied_bytes,
        )
        return run_install(job)


def open_folder(source: SourceFolder) -> OpenStar:
    """Return the star of a source folder that has all its files; raises `NoSolution` if it is made of packages."""
    recipe = source.recipe
    if recipe.sources:
        raise NoSolution(
            str(source.path),
            f"is made of {nouns(recipe.sources)}, so its files are in its archive",
            hint="add --galaxy FOLDER; to put the archive there: "
            f"stellar build-star {quoted(source.path)} --galaxy FOLDER",
        )
    return OpenStar(
        name=recipe.name,
        arch=recipe.arch,
        licence=recipe.license,
        needs=recipe.needs,
        script_name=recipe.install_script,
        script=source.script,
        files=source.files,
        beside=source.beside,
    )


def open_source_on(source: SourceFolder, manifest: Star, archive: StarContents) -> OpenStar:
    """Return the star of a source folder with the files of its `archive`; raises `Malformed`."""
    recipe = source.recipe
    return OpenStar(
        name=recipe.name,
        arch=recipe.arch,
        licence=recipe.license or manifest.license,
        needs=recipe.needs,
        script_name=recipe.install_script,
        script=source.script,
        files=archive.files,
        beside=archive.beside,
        copied_bytes=archive.copied_bytes,
        wild=_wild(source, manifest),
    )


def open_contents(manifest: Star, contents: StarContents) -> OpenStar:
    """Return the star with the contents of its archive."""
    return OpenStar(
        name=manifest.name,
        arch=manifest.arch,
        licence=manifest.license,
        needs=manifest.needs,
        script_name=manifest.install_script,
        script=contents.script or None,
        files=contents.files,
        beside=contents.beside,
        copied_bytes=contents.copied_bytes,
    )


def open_star(path: Path) -> OpenStar:
    """Return the star at `path`, a source folder or an archive; raises `Malformed`, `NoSolution`, `Refused`."""
    if path.is_dir():
        return open_folder(read_source_folder(path))
    if not path.name.endswith(SUFFIXES):
        raise Malformed(str(path), "want a source folder, or an archive whose name ends in .tar.zst or .tar.gz")
    archive = open_archive(path)
    star = Star.parse(archive.contents("").manifest, f"{path.name}: star.toml")
    return open_contents(star, archive.contents(star.install_script))


def _wild(source: SourceFolder, manifest: Star) -> tuple[tuple[str, str], ...]:
    """Return the texts that the wildcards of the recipe's packages stand for in the archive; raises `Malformed`."""
    check_sources(source.recipe, str(source.path / RECIPE_FILE))
    return wild_parts(source.recipe, manifest.origins)
