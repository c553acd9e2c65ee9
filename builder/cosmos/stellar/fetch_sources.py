"""`stellar fetch FOLDER`: the packages and archives that a star is made of, as files in its source folder.

Each is checked by the digest that the recipe or the archive's signed index names. A script's `build()` sees the files,
for it sees everything in the folder. They are not shipped. The recipe stays as it is.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.digest import Digest
from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed, NoSolution, Refused, quoted
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES
from cosmos.reading import is_there, read_up_to
from cosmos.records import dataclass
from cosmos.stellar.build_star import Workshop
from cosmos.stellar.ecosystems import check_sources, fetch, find
from cosmos.stellar.source_folder import RECIPE_FILE, read_source_folder
from cosmos.tree.ecosystem import PackedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedFile:
    """A source that lies in the folder now."""

    file: Path
    digest: Digest


def fetch_sources(folder: Path, out: Path, workshop: Workshop) -> tuple[FetchedFile, ...]:
    """Fetch every source of the star in `folder` that is not a file of its own into `out`.

    Raises `NoSolution` if there is no such source, `Refused` for another digest and for a file that is there with other
    bytes, and `Malformed` for two sources of one name.
    """
    recipe = read_source_folder(folder).recipe
    check_sources(recipe, str(folder / RECIPE_FILE))
    parts = find(recipe, folder, workshop.ecosystems, workshop.machine)
    fetch(parts)
    packed = [file for part in parts if (file := part.material.packed(part.found)) is not None]
    if not packed:
        raise NoSolution(
            str(folder / RECIPE_FILE),
            "names no source to fetch",
            hint='an archive of its authors, for example: source = "tar:https://…", and sha256 = "…"',
        )
    names = [file.name for file in packed]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise Malformed(str(folder / RECIPE_FILE), f"names two sources that are called {doubled}")
    for file in packed:
        _demand_room(out / file.name, file)
    make_folder(out)
    return tuple(_written(out / file.name, file) for file in packed)


def _demand_room(place: Path, file: PackedFile) -> None:
    if is_there(place) and read_up_to(place, MAX_STAR_ARCHIVE_BYTES) != file.data:
        raise Refused(str(place), f"is there with other bytes than {Digest.of(file.data)}", hint=f"rm {quoted(place)}")


def _written(place: Path, file: PackedFile) -> FetchedFile:
    write_durably(place, file.data)
    return FetchedFile(file=place, digest=Digest.of(file.data))
