"""`resolve`: from wishes to one version of each star that is needed, in dependency order.

The newest version that fits everything is taken; pre-releases only where a constraint names one. A version in `kept`
(an old lock's) is taken before a newer one, so that a lock moves only where it must or where it was asked to. The
same wishes, library and kept versions give the same answer: nothing depends on the order of anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution

from cosmos.errors import NoSolution
from cosmos.model.names import Arch, StarName
from cosmos.model.version import Constraint, Version
from cosmos.resolve.catalogue import Candidate, Facts, Library
from cosmos.resolve.explaining import FOR_IMAGES, Advice, Conflict, explained
from cosmos.resolve.order import dependency_order
from cosmos.resolve.search import Choice, Chosen, Key, Provided, Requirement, Search, Wanted

MAX_ROUNDS: Final = 20_000  # choices and changes of mind; a real image of 200 stars needs about 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """`who` (`image`, `constellation:NAME`, `user`) wants a star that is or provides `name`."""

    who: str
    name: StarName
    constraint: Constraint


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One chosen star. `dependencies` are the chosen stars that it needs; `wanted_by` says who needs it."""

    star: Candidate
    facts: Facts
    dependencies: tuple[StarName, ...]
    wanted_by: tuple[str, ...]


def resolve(
    wishes: Sequence[Wish],
    library: Library,
    arch: Arch,
    kept: Mapping[StarName, Version],
    advice: Advice = FOR_IMAGES,
) -> tuple[Resolved, ...]:
    """Return one version of each star that `wishes` need on `arch`, each after what it depends on.

    Raises `NoSolution`, naming who wants what, and hinting in the words of `advice`; and whatever `library`
    raises when it is asked.
    """
    search = Search(library, arch, kept, frozenset(wish.name for wish in wishes))
    demands = [Wanted(wish.name, wish.constraint, wish.who) for wish in wishes]
    # `Resolver` would also trace each choice back to a wish, without end where choices given up before form a circle
    resolution: Resolution[Requirement, Choice, Key] = Resolution(search, BaseReporter())
    try:
        choices = resolution.resolve(demands, max_rounds=MAX_ROUNDS).mapping
    except ResolutionImpossible as error:
        conflicts = [Conflict(demand=cause.requirement, by=cause.parent) for cause in error.causes]
        raise explained(conflicts, library, arch, advice) from error
    except ResolutionTooDeep as error:
        raise NoSolution("", f"no solution was found in {MAX_ROUNDS} steps", hint=advice.too_long) from error
    return _arranged(wishes, library, choices)


def _arranged(wishes: Sequence[Wish], library: Library, choices: Mapping[Key, Choice]) -> tuple[Resolved, ...]:
    """Return what is needed of `choices`: a star that was only tried on the way is left out."""
    wanted_by: dict[StarName, set[str]] = {}
    needs: dict[StarName, tuple[StarName, ...]] = {}
    stars: dict[StarName, Candidate] = {}
    waiting: list[tuple[str, StarName]] = [(wish.who, wish.name) for wish in wishes]
    while waiting:
        who, name = waiting.pop()
        star = _star_for(name, choices)
        if star.name != who:
            wanted_by.setdefault(star.name, set()).add(who)
        if star.name not in stars:
            stars[star.name] = star
            facts = library.facts(star)
            found = {wanted: _star_for(wanted, choices).name for wanted in facts.dependencies}
            needs[star.name] = tuple(
                sorted({name for wanted, name in found.items() if name != star.name or wanted == star.name})
            )
            waiting.extend((str(star.name), wanted) for wanted in facts.dependencies)
    return tuple(
        Resolved(
            star=stars[name],
            facts=library.facts(stars[name]),
            dependencies=needs[name],
            wanted_by=tuple(sorted(wanted_by.get(name, ()), key=lambda who: (who in stars, who))),
        )
        for name in dependency_order(needs)
    )


def _star_for(name: StarName, choices: Mapping[Key, Choice]) -> Candidate:
    choice = choices["star", name]
    assert isinstance(choice, Chosen | Provided), f"{name} is wanted, and so it was chosen"
    return choice.star
