"""Find stars of open galaxies by words in their names and descriptions.

Every word must occur in a star's name, its description, or a name that it provides; upper and lower case do not matter.
The first galaxy that lists a name answers for it (docs/decisions/0004). Each galaxy answers from one file
(`described`). Authors' signatures are judged when a star is installed or built, and not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from cosmos.errors import WorldFailed
from cosmos.model.catalogue import Described, NewerCatalogue
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.records import dataclass
from cosmos.staging.described import catalogued, fetched_catalogue, listed_alone
from cosmos.staging.galaxies import OpenGalaxy


class Match(IntEnum):
    """Where a word was found, the best place first."""

    NAME = 0
    START_OF_NAME = 1
    IN_NAME = 2
    IN_TEXT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A star that has every word. `had` is the version of that name that the system or the lock has, or None."""

    star: Described
    galaxy: GalaxyName
    had: Version | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """The answer to a search, the best match first.

    `by_name`: the galaxies without a catalogue that could be read. `left_out`: why a galaxy was not searched.
    `near`: names like the only word, if nothing was found. `catalogues`: those that were read, by galaxy.
    """

    found: tuple[Found, ...]
    by_name: tuple[GalaxyName, ...]
    left_out: Mapping[GalaxyName, str]
    near: tuple[str, ...]
    catalogues: Mapping[GalaxyName, bytes]


def searched(
    galaxies: Sequence[OpenGalaxy],
    words: Sequence[str],
    *,
    machine: Arch,
    had: Mapping[StarName, Version],
    left_out: Mapping[GalaxyName, str],
    reporter: Reporter,
) -> Searched:
    """Return the stars of `galaxies` that have every one of `words`. Raises `Refused` for a changed catalogue."""
    known: dict[StarName, tuple[GalaxyName, Described]] = {}
    catalogues: dict[GalaxyName, bytes] = {}
    by_name: list[GalaxyName] = []
    for place, galaxy in enumerate(galaxies):
        data, stars = _catalogue(galaxy, reporter)
        if data is None or stars is None:
            by_name.append(galaxy.name)
        else:
            catalogues[galaxy.name] = data
        for star in _best(listed_alone(galaxy) if stars is None else stars, machine):
            if not any(other.lists(star.name) for other in galaxies[:place]):
                known[star.name] = (galaxy.name, star)
    sought = [word.casefold() for word in words]
    ranked = [(rank, name) for name, (_, star) in known.items() if (rank := matched(star, sought)) is not None]
    found = [Found(star=known[name][1], galaxy=known[name][0], had=had.get(name)) for _, name in sorted(ranked)]
    near = nearest(words[0], sorted(known), 3) if not found and len(words) == 1 else []
    return Searched(
        found=tuple(found), by_name=tuple(by_name), left_out=left_out, near=tuple(near), catalogues=catalogues
    )


def matched(star: Described, sought: Sequence[str]) -> tuple[Match, ...] | None:
    """Return where each of the words `sought`, in lower case, was found, the best first; None if one was not found.

    >>> star = Described(name=StarName("zlib"), version=None, description="Compression library")
    >>> matched(star, ["library", "zlib"]), matched(star, ["zlib", "editor"])
    ((<Match.NAME: 0>, <Match.IN_TEXT: 3>), None)
    """
    name = star.name.casefold()
    text = "\n".join((star.description, *star.provides)).casefold()
    places: list[Match] = []
    for word in sought:
        if word in name:
            begins = Match.START_OF_NAME if name.startswith(word) else Match.IN_NAME
            places.append(Match.NAME if word == name else begins)
        elif word in text:
            places.append(Match.IN_TEXT)
        else:
            return None
    return tuple(sorted(places))


def _catalogue(galaxy: OpenGalaxy, reporter: Reporter) -> tuple[bytes | None, Sequence[Described] | None]:
    """Return the catalogue of a galaxy and its stars; no stars if it has none that can be read."""
    try:
        data = fetched_catalogue(galaxy)
        return data, None if data is None else catalogued(galaxy, data)
    except (WorldFailed, NewerCatalogue) as error:
        reporter.warn(str(error))
        return None, None


def _best(stars: Iterable[Described], machine: Arch) -> Iterable[Described]:
    """Return one of each name: the newest that runs on `machine`, or the newest of all if none does."""
    best: dict[StarName, Described] = {}
    for star in stars:
        other = best.get(star.name)
        if other is None or _order(star, machine) > _order(other, machine):
            best[star.name] = star
    return best.values()


def _order(star: Described, machine: Arch) -> tuple[bool, bool, tuple[Version, ...], bool]:
    runs = star.arch is None or star.arch.runs_on(machine)
    version = () if star.version is None else (star.version,)
    return runs, not (version and version[0].is_pre_release), version, star.arch != ANY_ARCH
