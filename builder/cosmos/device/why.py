"""Say why a star is installed: the chains from a wish of the image, the user or a constellation to the star.

The universe records who asked for a star, and which stars need it.
"""

from __future__ import annotations

from cosmos.errors import NoSolution
from cosmos.model.names import StarName
from cosmos.model.universe import Universe
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.records import dataclass
from cosmos.resolve.chains import Chain, Wants, chains_to


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """Why a star is installed. `has_more`: there are more chains than these.

    `needed_by` are the installed stars that need it, also those that nobody wants any more. `is_recorded`: the universe
    says who wants the star; upstream's says nothing.
    """

    name: StarName
    version: Version
    chains: tuple[Chain, ...]
    has_more: bool
    needed_by: tuple[StarName, ...]
    is_recorded: bool


def reasons_for(universe: Universe, name: StarName, *, option: str = "") -> Reasons:
    """Return why `name` is installed; raises `NoSolution` if it is not. `option`: see `LiveRoot.option`."""
    star = universe.installed.get(name)
    if star is None:
        near = nearest(name, sorted(map(str, universe.installed)), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"cosmos status{option}"
        raise NoSolution(name, "is not installed", hint=hint)
    above = _above(universe)
    asked_by = {one: star.asked_by for one, star in universe.installed.items()}
    chains, has_more = chains_to(name, Wants(asked_by=asked_by, above=above))
    return Reasons(
        name=name,
        version=star.version,
        chains=chains,
        has_more=has_more,
        needed_by=above[name],
        is_recorded=bool(star.wanted_by) or star.archive is not None,
    )


def _above(universe: Universe) -> dict[StarName, tuple[StarName, ...]]:
    """Return the installed stars that need each star. A star that is gone needs nothing, whatever its row said."""
    found: dict[StarName, set[StarName]] = {name: set() for name in universe.installed}
    for name, star in universe.installed.items():
        found[name].update(one for one in star.needed_by if one in universe.installed)
        for below in star.dependencies:
            if below in found:
                found[below].add(name)
    return {name: tuple(sorted(above - {name})) for name, above in found.items()}
