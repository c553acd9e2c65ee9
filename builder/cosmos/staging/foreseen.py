"""Fetch the statements that a resolution is going to ask for, several at the same time.

The resolver asks for one star's facts after the other, and a remote galaxy answers each after a while. What it will ask
for is mostly plain: the preferred version of each wished star, of what that one needs, and so on. These statements are
fetched level by level. The resolver then finds them, and fetches what else it needs. An error here is no error: the
resolver meets it again, if it needs that star at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count

from cosmos.errors import CosmosError
from cosmos.model.demand import Demand
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate, Library, preferred
from cosmos.staging.ahead import fetching_ahead
from cosmos.staging.galaxies import OpenGalaxy


def foresee(
    demands: Iterable[Demand],
    library: Library,
    galaxies: Mapping[GalaxyName, OpenGalaxy],
    machine: Arch,
    *,
    kept: Mapping[StarName, Version],
    settled: Mapping[StarName, Version],
    told: Callable[[StarName, int], None] = lambda _name, _done: None,
) -> None:
    """Fetch the statements that `demands` lead to; a star in its `settled` version is not looked at.

    `kept` are versions that are preferred to newer ones. `told` gets each star before it is read, and its number.
    """
    read = count(1)
    seen, level = set[StarName](), list(demands)
    while level:
        stars = list[tuple[OpenGalaxy, Candidate]]()
        for demand in level:
            if demand.name not in seen:
                seen.add(demand.name)
                stars += _likely(demand, library, galaxies, machine, kept, settled)
        level = []
        with fetching_ahead((galaxy.source, galaxy.statement_files(star)) for galaxy, star in stars):
            for galaxy, star in stars:
                told(star.name, next(read))
                with suppress(CosmosError):
                    level += [need[0] for need in galaxy.facts(star).needs]


def _likely(
    demand: Demand,
    library: Library,
    galaxies: Mapping[GalaxyName, OpenGalaxy],
    machine: Arch,
    kept: Mapping[StarName, Version],
    settled: Mapping[StarName, Version],
) -> list[tuple[OpenGalaxy, Candidate]]:
    """Return the star that the resolver tries first for a demand, if its statement is to be fetched."""
    with suppress(CosmosError):
        for star in preferred(library.versions(demand.name), kept):
            if not demand.allows(star.version) or not star.arch.runs_on(machine):
                continue
            galaxy = galaxies.get(star.galaxy)
            if galaxy is None or settled.get(star.name) == star.version or not galaxy.statement_files(star):
                return []
            return [(galaxy, star)]
    return []
