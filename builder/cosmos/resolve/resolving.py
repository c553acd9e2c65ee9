"""`resolve`: from wishes to one version of each star that they need, in dependency order.

For the rule see docs/formats/lock.md, "What is chosen". The same wishes, library and kept versions give the same
answer, whatever order they come in. The answer is judged like a lock that is read (resolve.judging).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from cosmos.errors import NoSolution
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, StarName, reason_of, star_behind
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.resolve import choosing
from cosmos.resolve.catalogue import Candidate, Library, Remembering, Wish
from cosmos.resolve.choosing import Chooser, TooLong
from cosmos.resolve.clauses import Contradiction
from cosmos.resolve.explaining import FOR_IMAGES, Advice, explained
from cosmos.resolve.judging import faults
from cosmos.resolve.order import dependency_order
from cosmos.resolve.problem import Problem, Reason
from cosmos.resolve.reasons import needed_reasons
from cosmos.resolve.together import Placed, Together

__all__ = ["Resolved", "Wish", "resolve"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One chosen star. `dependencies` are the chosen stars that it needs; `wanted_by` says who needs it."""

    star: Candidate
    facts: Facts
    dependencies: tuple[StarName, ...]
    wanted_by: tuple[str, ...]

    @property
    def placed(self) -> Placed:
        """The star as a lock holds it."""
        return Placed(
            name=self.star.name,
            version=self.star.version,
            arch=self.facts.arch,
            galaxy=self.star.galaxy,
            facts=self.facts,
            dependencies=self.dependencies,
            wanted_by=self.wanted_by,
        )


def resolve(
    wishes: Sequence[Wish],
    library: Library,
    arch: Arch,
    kept: Mapping[StarName, Version],
    advice: Advice = FOR_IMAGES,
    upgraded: Collection[StarName] = frozenset(),
) -> tuple[Resolved, ...]:
    """Return one version of each star that `wishes` need on `arch`, each after its dependencies.

    `kept` are the versions of the old lock that stay if they fit. `upgraded` are its other stars: they move to the
    newest version that leaves a solution, even if some of `kept` must move with them.

    Raises `NoSolution`, which names each star or wish with its demand and has a hint from `advice`; and any error of
    `library`.
    """
    library = Remembering(library)
    problem = Problem(library, arch, kept)
    try:
        chosen = Chooser(problem, wishes, kept, upgraded).choose()
    except Contradiction as found:
        reasons = cast("list[Reason]", needed_reasons(found.clauses))  # every reason here is one of these
        raise explained(reasons, library, arch, advice) from found
    except TooLong as error:
        raise NoSolution("", f"no solution was found in {choosing.MAX_STEPS:,} steps", hint=advice.too_long) from error
    resolved = _arranged(wishes, problem, chosen)
    wrong = faults(wishes, [found.placed for found in resolved], arch)
    if wrong:  # no `assert`: a lock of these stars is not judged again before it is written
        raise AssertionError(f"what was chosen does not answer the wishes: {wrong[0]}")
    return resolved


def _arranged(wishes: Sequence[Wish], problem: Problem, chosen: Sequence[int]) -> tuple[Resolved, ...]:
    """Return the chosen stars that a wish needs, directly or not, each with its dependencies and who wants it."""
    stars = {problem.candidate(one).name: one for one in chosen}
    bare = {
        name: Resolved(star=problem.candidate(one), facts=problem.facts(one), dependencies=(), wanted_by=())
        for name, one in stars.items()
    }
    together = Together(found.placed for found in bare.values())
    needs = {
        name: tuple(sorted({problem.answering(together, stars, asks) for asks in problem.needs(one)}))
        for name, one in stars.items()
    }
    wanted_by: dict[StarName, set[str]] = {}
    waiting = [(wish.who, problem.answering(together, stars, (problem.wished(wish),))) for wish in wishes]
    while waiting:
        who, name = waiting.pop()
        if name not in wanted_by:
            wanted_by[name] = set()
            waiting += [(reason_of(name), other) for other in needs[name]]
        wanted_by[name].add(who)
    return tuple(
        Resolved(
            star=bare[name].star,
            facts=bare[name].facts,
            dependencies=needs[name],
            wanted_by=tuple(sorted(wanted_by[name], key=lambda who: (star_behind(who) in wanted_by, who))),
        )
        for name in dependency_order({name: needs[name] for name in wanted_by})
    )
