"""A maintainer's galaxy as the resolver's `Library`: `stellar test` and `lint` try a star on dependencies from it.

The resolver chooses by the same rules as in `cosmos freeze` (resolve.resolving). Archives and statements must have the
digests that the index names. Signatures are not checked, because nothing is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cosmos.content import Content, content_digest
from cosmos.digest import Digest
from cosmos.errors import NoSolution, Refused, quoted
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_STAR_ARCHIVE_BYTES
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.facts import Facts
from cosmos.model.galaxy import Listed
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import SemVer
from cosmos.pack.star_archive import StarContents, read_star
from cosmos.reading import file_content, is_there
from cosmos.records import dataclass
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.resolve.catalogue import Candidate, preferred
from cosmos.resolve.explaining import Advice
from cosmos.resolve.resolving import Wish, resolve
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.open_star import OpenStar, open_contents, open_folder, open_source_on, open_star
from cosmos.stellar.source_folder import SourceFolder, read_source_folder
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_REINDEX: Final = "to update the index: stellar index-galaxy FOLDER --key GALAXY.key"
_ADVICE: Final = Advice(
    clash="loosen a constraint in star.toml, or build a version that fits",
    missing="stellar build-star stars/{star} --galaxy FOLDER, then stellar index-galaxy FOLDER",
    too_long="narrow the constraints, so that fewer versions come into question",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxyLibrary:
    """An open galaxy folder as the resolver's `Library`. `machine`: the architecture to try an `any` star on."""

    folder: GalaxyFolder
    name: GalaxyName
    rows: Mapping[StarName, Mapping[Candidate, Listed]]
    machine: Arch

    @classmethod
    def open(cls, root: Path, machine: Arch) -> GalaxyLibrary:
        """Return the galaxy in the folder `root`; raises `Malformed` for a folder without a galaxy."""
        folder = GalaxyFolder(root=root)
        index = folder.index()
        rows: dict[StarName, dict[Candidate, Listed]] = {}
        for row in index.snapshot:
            arch = row.arch or ANY_ARCH
            candidate = Candidate(name=row.name, version=row.version, galaxy=index.name, arch=arch)
            rows.setdefault(row.name, {})[candidate] = row
        return cls(folder=folder, name=index.name, rows=rows, machine=machine)

    def star(self, path: Path) -> OpenStar:
        """Return the star at `path`, an archive or a source folder. Raises `Malformed`, `NoSolution`, `Refused`.

        A source folder that is made of packages takes its files from the newest archive of its name.
        """
        if not path.is_dir():
            return open_star(path)
        source = read_source_folder(path)
        return self._on_newest(source) if source.recipe.sources else open_folder(source)

    def newest(self) -> Iterator[tuple[Candidate, OpenStar]]:
        """Yield the newest version of each star that the index lists, for each architecture, by name.

        One star is open at a time. Raises `NoSolution` for an index that lists none, `Refused` for changed files.
        """
        if not self.rows:
            raise NoSolution(str(self.folder.index_file), "lists no star in [[snapshot]]", hint=_REINDEX)
        for name in self.names():
            versions = preferred(self.versions(name), {})
            for candidate in {one.arch: one for one in reversed(versions)}.values():
                yield candidate, open_contents(*self._read(self._row(candidate)))

    def dependency_root(self, star: OpenStar) -> dict[TreePath, Entry]:
        """Return the root with all dependencies of the star, direct or not, each staged on its own dependencies.

        Raises `NoSolution`, `Refused`, `ScriptFailed`.
        """
        arch = self.machine if star.arch == ANY_ARCH else star.arch
        layers: dict[StarName, Mapping[TreePath, Entry]] = {}
        tried = _Tried(others=self, star=star)
        wish = Wish(who="stellar", name=star.name, constraint=ANY_VERSION)
        resolved = [chosen for chosen in resolve([wish], tried, arch, {}, _ADVICE) if chosen.star != tried.candidate]
        needs = {chosen.star.name: chosen.dependencies for chosen in resolved}
        for chosen in resolved:
            name = chosen.star.name
            below = all_dependencies(chosen.dependencies, needs)
            under = {other: layer for other, layer in layers.items() if other in below}
            layers[name] = open_contents(*self._read(self._row(chosen.star))).lay(_laid(under)).entries
        return _laid(layers)

    def names(self) -> Iterable[StarName]:
        """Return every name that the index lists."""
        return sorted(self.rows)

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of `name` that the index lists."""
        return tuple(self.rows.get(name, ()))

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the stars that provide `name` according to the index. Their statements are not read."""
        rows = ((star, row) for stars in self.rows.values() for star, row in stars.items())
        return [star for star, row in rows if name in (row.provides if row.arch else self.facts(star).provides)]

    def claims(self, name: StarName) -> bool:
        """Return whether the index lists a star of that name or one that provides it."""
        return name in self.rows or bool(self.providers(name))

    def facts(self, candidate: Candidate) -> Facts:
        """Return the facts in the candidate's statement."""
        return Facts.of(self._statement(self._row(candidate)).star)

    def _on_newest(self, source: SourceFolder) -> OpenStar:
        name, root = source.recipe.name, self.folder.root
        machine = self.machine if source.recipe.arch == ANY_ARCH else source.recipe.arch
        versions = preferred(self.versions(name), {})
        newest = next((one for one in versions if self.facts(one).arch.runs_on(machine)), None)
        if newest is None:
            raise NoSolution(
                str(root),
                f"has no star {name} for {machine}",
                hint=f"stellar build-star {quoted(source.path)} --galaxy {quoted(root)}, "
                f"then stellar index-galaxy {quoted(root)}",
            )
        return open_source_on(source, *self._read(self._row(newest)))

    def _row(self, candidate: Candidate) -> Listed:
        return self.rows[candidate.name][candidate]

    def _statement(self, row: Listed) -> Statement:
        file = self.folder.statement_file(row.stem)
        return Statement.parse(bytes(_listed(file, row.statement, MAX_DOCUMENT_BYTES)), str(file))

    def _read(self, row: Listed) -> tuple[Star, StarContents]:
        statement = self._statement(row)
        file = self.folder.root / statement.file
        data = _listed(file, row.archive, MAX_STAR_ARCHIVE_BYTES)
        script_name = statement.star.install_script
        return statement.star, read_star(data, file.name, statement.unpacked_bytes, script_name=script_name)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """The galaxy, with the tried star in place of the galaxy's versions of it."""

    others: GalaxyLibrary
    star: OpenStar

    @property
    def candidate(self) -> Candidate:
        """The tried star. Its version does not matter."""
        return Candidate(name=self.star.name, version=SemVer(0, 0, 0), galaxy=self.others.name)

    def names(self) -> Iterable[StarName]:
        """Return every name that the index lists, and the star's."""
        return sorted({*self.others.names(), self.star.name})

    def versions(self, name: StarName) -> Sequence[Candidate]:
        """Return every version of `name`; for the tried star's name, only the tried star."""
        return (self.candidate,) if name == self.star.name else self.others.versions(name)

    def providers(self, name: StarName) -> Sequence[Candidate]:
        """Return the other stars that provide `name`."""
        return [star for star in self.others.providers(name) if star.name != self.star.name]

    def claims(self, name: StarName) -> bool:
        """Return whether there is a star of that name or one that provides it."""
        return name == self.star.name or self.others.claims(name)

    def facts(self, candidate: Candidate) -> Facts:
        """Return the facts about a candidate."""
        if candidate == self.candidate:
            return Facts(arch=self.star.arch, needs=self.star.needs)
        return self.others.facts(candidate)


def _listed(file: Path, wanted: Digest, max_bytes: int) -> Content:
    """Return the content of the file; raises `NoSolution` if it is missing, `Refused` if its digest is another."""
    if not is_there(file):
        raise NoSolution(str(file), "is not there, but the index lists it", hint=_REINDEX)
    data = file_content(file, max_bytes)
    found = content_digest(data)
    if found != wanted:
        raise Refused(str(file), f"the index lists {wanted}, but the file is {found}", hint=_REINDEX)
    return data


def _laid(layers: Mapping[StarName, Mapping[TreePath, Entry]]) -> dict[TreePath, Entry]:
    """Return one root with all `layers`, in their order."""
    return {path: entry for layer in layers.values() for path, entry in layer.items()}
