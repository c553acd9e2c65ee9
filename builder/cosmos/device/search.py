"""Find stars of a system's galaxies by words in their names and descriptions.

Every word must occur in a star's name, its description, or a name that it provides; upper and lower case do not matter.
The first galaxy that lists a name answers for it (docs/decisions/0004), and a galaxy that cannot be reached is left out
with a warning. Each galaxy answers from one file (staging.described). Authors' signatures are judged when a star is
installed, and not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum

from cosmos.device.galaxies import OpenGalaxies, open_galaxies, remember_opened
from cosmos.device.journal import at_work
from cosmos.device.newer_trust import tell_newer
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import read_universe
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.catalogue import Described, NewerCatalogue
from cosmos.model.names import ANY_ARCH, Arch, GalaxyName, StarName
from cosmos.model.reporter import Reporter
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.records import dataclass
from cosmos.staging.described import catalogued, fetched_catalogue, keep_catalogue, listed_alone
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.transport.network import DIRECT, Network


class Match(IntEnum):
    """Where a word was found, the best place first."""

    NAME = 0
    START_OF_NAME = 1
    IN_NAME = 2
    IN_TEXT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A star that has every word. `installed` is the installed version of that name, or None."""

    star: Described
    galaxy: GalaxyName
    installed: Version | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """The answer to a search, the best match first.

    `by_name`: the galaxies without a catalogue that could be read. `left_out`: why a galaxy was not searched.
    `near`: names like the only word, if nothing was found.
    """

    found: tuple[Found, ...]
    by_name: tuple[GalaxyName, ...]
    left_out: Mapping[GalaxyName, str]
    near: tuple[str, ...]


def search(
    root: LiveRoot, words: Sequence[str], reporter: Reporter, network: Network = DIRECT, *, offline: bool
) -> Searched:
    """Return the stars that have every one of `words`. Warns of galaxies that are left out.

    Raises `NoSolution` if the system has no galaxy, `WorldFailed` if none can be reached, `Refused` for a galaxy that
    was changed.
    """
    universe, settings = read_universe(root), read_settings(root)
    if not settings.galaxies:
        raise NoSolution("search", "this system has no galaxy", hint=f"cosmos add-galaxy NAME URL{root.option}")
    tell_newer(root, settings, reporter, network, offline=offline)
    opened = open_galaxies(root, settings, network, offline=offline)
    left_out = _left_out(opened, root, reporter, offline=offline)
    known: dict[StarName, tuple[GalaxyName, Described]] = {}
    catalogues: dict[GalaxyName, bytes] = {}
    by_name: list[GalaxyName] = []
    for place, galaxy in enumerate(opened.galaxies):
        data, stars = _catalogue(galaxy, reporter)
        if data is None or stars is None:
            by_name.append(galaxy.name)
        else:
            catalogues[galaxy.name] = data
        for star in _best(listed_alone(galaxy) if stars is None else stars, universe.arch):
            if not any(other.lists(star.name) for other in opened.galaxies[:place]):
                known[star.name] = (galaxy.name, star)
    _keep(root, opened, catalogues)
    sought = [word.casefold() for word in words]
    ranked = [(rank, name) for name, (_, star) in known.items() if (rank := matched(star, sought)) is not None]
    found = [
        Found(
            star=known[name][1],
            galaxy=known[name][0],
            installed=universe.installed[name].version if name in universe.installed else None,
        )
        for _, name in sorted(ranked)
    ]
    near = nearest(words[0], sorted(known), 3) if not found and len(words) == 1 else []
    return Searched(found=tuple(found), by_name=tuple(by_name), left_out=left_out, near=tuple(near))


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


def _left_out(opened: OpenGalaxies, root: LiveRoot, reporter: Reporter, *, offline: bool) -> Mapping[GalaxyName, str]:
    """Return why galaxies cannot be reached, and warn of them. Raises the reason if it is another, or if all are so."""
    for failure in opened.failures.values():
        if not isinstance(failure, WorldFailed | NoSolution) or not opened.galaxies:
            raise failure
        reporter.warn(f"{failure}; its stars are left out")
    if opened.failures and not offline:
        reporter.note(f"to search what the last sync kept of it: cosmos search --offline{root.option} WORD")
    return {name: str(failure) for name, failure in opened.failures.items()}


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


def _keep(root: LiveRoot, opened: OpenGalaxies, catalogues: Mapping[GalaxyName, bytes]) -> None:
    """Remember the indexes, and keep what was fetched, if this user may write and no other cosmos is at work."""
    with suppress(WorldFailed), at_work(root):
        remember_opened(root, opened)
        for galaxy in opened.galaxies:
            if galaxy.source.carrier is not None and not galaxy.source.carrier.is_local:
                keep_catalogue(galaxy, catalogues.get(galaxy.name))
