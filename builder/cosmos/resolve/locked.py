"""Judge a lock by the same rules as an answer of the resolver, wherever it is read. No lock is trusted unjudged.

A lock of version 2 carries the facts that it is judged by: each star's needs, provides and conflicts. If the signed
statements are available, their facts are used; `staging.acquire` has then verified that the rows say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cosmos.errors import NoSolution
from cosmos.model.facts import Facts
from cosmos.model.lock import Lock, LockedStar, Request
from cosmos.model.names import Arch, GalaxyName, StarName, reason_of
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.judging import Fault, Placed, doubled, faults
from cosmos.resolve.order import dependency_order
from cosmos.resolve.together import Together

_MAX_SHOWN = 20  # sentences of one error: to be read


@dataclass(frozen=True, slots=True)
class Judged:
    """What was judged together: the wishes, in any order, the machine, and the stars in the order of a lock."""

    wishes: frozenset[Wish]
    arch: Arch
    stars: tuple[Placed, ...]


def wishes_of(request: Request) -> tuple[Wish, ...]:
    """Return the wishes that a lock must answer: the image's, then each constellation's.

    `who` is `image`, or `constellation:NAME`, the file's name without its ending.
    """
    wishes = [Wish(who="image", name=name, constraint=limit) for name, limit in request.stars.items()]
    for file, members in request.constellations.items():
        who = f"constellation:{PurePosixPath(file).stem}"
        wishes += [Wish(who=who, name=name, constraint=limit) for name, limit in members.items()]
    return tuple(wishes)


def lock_faults(lock: Lock, signed: Mapping[StarName, Facts] | None = None) -> tuple[Fault, ...]:
    """Return the faults of `lock`. A lock of version 1 without `signed` facts is checked for doubled stars only."""
    if signed is None and not lock.carries_facts:
        return tuple(doubled(_placed(star, Facts()) for star in lock.stars))
    return faults(wishes_of(lock.request), _stars(lock, signed), lock.request.arch)


def demand_right_unless(
    judged: Judged | None, lock: Lock, file: Path, signed: Mapping[StarName, Facts] | None = None
) -> None:
    """Do what `demand_right` does, but where `lock` says what was `judged` and found right, do not judge it again."""
    if judged is None or _said(lock, signed) != judged:
        demand_right(lock, file, signed)


def demand_right(lock: Lock, file: Path, signed: Mapping[StarName, Facts] | None = None) -> Judged | None:
    """Raise `NoSolution` that names the faults of `lock`, with the hint of the first; `file` lies in its image.

    Return what was judged; None for a lock of version 1 without `signed` facts.
    """
    found = lock_faults(lock, signed)
    if found:
        said = "; ".join(map(str, found[:_MAX_SHOWN]))
        more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
        way_out = found[0].way_out.replace("IMAGE", str(file.parent))
        raise NoSolution(str(file), f"does not answer its wishes: {said}{more}", hint=way_out)
    return None if signed is None and not lock.carries_facts else _said(lock, signed)


def _said(lock: Lock, signed: Mapping[StarName, Facts] | None) -> Judged:
    return Judged(frozenset(wishes_of(lock.request)), lock.request.arch, _stars(lock, signed))


def outranked(
    lock: Lock, signed: Mapping[StarName, Facts], owners: Mapping[StarName, GalaxyName]
) -> tuple[tuple[LockedStar, str], ...]:
    """Return each star that takes a name from the galaxy that answers for it, with a sentence.

    `owners` has that galaxy for each name that some galaxy lists, or has a provider of (resolve.catalogue).
    """
    together = Together(_stars(lock, signed))
    locked = {star.name: star for star in lock.stars}
    found = {
        star.name: (star.name, star)
        for star in together.stars.values()
        if owners.get(star.name, star.galaxy) != star.galaxy
    }
    asked = [
        [(wish.demand.name, one) for one in together.wish_answers(wish.demand)] for wish in wishes_of(lock.request)
    ]
    for star in together.stars.values():
        for need, answers_of in together.met(star):
            asked.append([(demand.name, one) for demand, ones in zip(need, answers_of, strict=True) for one in ones])
    for answers in asked:
        if answers and all(owners.get(name, one.galaxy) != one.galaxy for name, one in answers):
            name, one = answers[0]
            found.setdefault(one.name, (name, one))
    return tuple(
        (
            locked[one.name],
            f"is locked from galaxy {one.galaxy}, but galaxy {owners[name]} comes first and answers for {name}",
        )
        for name, one in found.values()
    )


def in_lock_order(wishes: Sequence[Wish], stars: Iterable[LockedStar]) -> tuple[LockedStar, ...]:
    """Return `stars` in the order of a lock, with the `dependencies` and `wanted_by` that follow from their facts.

    The old values of these are ignored. A need that no star answers is skipped: `faults` names it.
    """
    locked = {star.name: star for star in stars}
    together = Together(_placed(star, star.facts) for star in locked.values() if star.facts is not None)
    needs = {name: _needed(star, together) for name, star in together.stars.items()}
    wanted_by: dict[StarName, dict[str, None]] = {name: {} for name in needs}
    for wish in wishes:
        for one in together.wish_answers(wish.demand)[:1]:
            wanted_by[one.name][wish.who] = None
    for name in sorted(needs):
        for other in needs[name]:
            wanted_by[other][reason_of(name)] = None
    return tuple(
        replace(locked[name], dependencies=needs[name], wanted_by=tuple(wanted_by[name]))
        for name in dependency_order(needs)
    )


def _needed(star: Placed, together: Together) -> tuple[StarName, ...]:
    """Return the stars that answer the needs of `star`, the first for each need, by name."""
    answers = (next((one for demand in need for one in together.answers(demand)), None) for need in star.facts.needs)
    return tuple(sorted({one.name for one in answers if one is not None and one.name != star.name}))


def _stars(lock: Lock, signed: Mapping[StarName, Facts] | None = None) -> tuple[Placed, ...]:
    """Return the lock's stars, with the facts that it carries or those that are `signed`."""
    stars = []
    for star in lock.stars:
        facts = star.facts if signed is None else signed[star.name]
        assert facts is not None, "a lock that carries facts has those of every star"
        stars.append(_placed(star, facts))
    return tuple(stars)


def _placed(star: LockedStar, facts: Facts) -> Placed:
    return Placed(
        name=star.name,
        version=star.version,
        arch=star.arch,
        galaxy=star.galaxy,
        facts=facts,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
    )
