"""A lock judged by the same rules as an answer of the resolver, wherever it is read: nothing is believed of a lock.

A lock of version 2 carries what it is judged by: what each star demands, provides and stands in conflict with. Where
the signed statements are at hand their facts are used; `staging.acquire` has shown then that the rows say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from cosmos.errors import NoSolution
from cosmos.model.facts import Facts
from cosmos.model.lock import Lock, Request
from cosmos.model.names import StarName
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.judging import Fault, Placed, faults

_MAX_SHOWN = 20  # sentences of one error: to be read


def wishes_of(request: Request) -> tuple[Wish, ...]:
    """Return what a lock must answer: the image's wishes, then each constellation's.

    `who` is `image`, or `constellation:NAME`, the file's name without its ending.
    """
    wishes = [Wish(who="image", name=name, constraint=limit) for name, limit in request.stars.items()]
    for file, members in request.constellations.items():
        who = f"constellation:{PurePosixPath(file).stem}"
        wishes += [Wish(who=who, name=name, constraint=limit) for name, limit in members.items()]
    return tuple(wishes)


def lock_faults(lock: Lock, signed: Mapping[StarName, Facts] | None = None) -> tuple[Fault, ...]:
    """Return everything that is wrong with `lock`; nothing for one of version 1 whose `signed` facts are not given."""
    if signed is None and not lock.carries_facts:
        return ()
    stars = []
    for star in lock.stars:
        facts = star.facts if signed is None else signed[star.name]
        assert facts is not None, "a lock that carries facts has those of every star"
        stars.append(
            Placed(
                name=star.name,
                version=star.version,
                arch=star.arch,
                galaxy=star.galaxy,
                facts=facts,
                dependencies=star.dependencies,
                wanted_by=star.wanted_by,
            )
        )
    return faults(wishes_of(lock.request), stars, lock.request.arch)


def demand_right(lock: Lock, source: str, signed: Mapping[StarName, Facts] | None = None) -> None:
    """Raise `NoSolution` that names every fault of `lock`, and the way out of the first; `source` is its file."""
    found = lock_faults(lock, signed)
    if found:
        said = "; ".join(map(str, found[:_MAX_SHOWN]))
        more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
        raise NoSolution(source, f"does not answer its wishes: {said}{more}", hint=found[0].way_out)
