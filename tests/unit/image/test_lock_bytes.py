"""What `freeze` writes is judged before it is written: by the resolver, or again where the lock says anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.errors import NoSolution
from cosmos.image.flow import build_image
from cosmos.image.freeze import freeze, lock_bytes
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.facts import Facts
from cosmos.model.lock import Lock, LockedStar
from cosmos.model.names import Arch, StarName
from cosmos.model.version import Version
from cosmos.resolve import locked
from cosmos.resolve.judging import Placed, faults
from cosmos.resolve.locked import Judged, demand_right, demand_right_unless, wishes_of
from fakes.worlds import MemoryWorld, memory_definition, memory_options

FILE = Path("image/universe.lock.toml")
OTHER = Arch("riscv64")


@pytest.fixture
def frozen(world: MemoryWorld) -> Lock:
    """Return a right lock of zlib, and nano, which needs it; both are wished for, in another order than a lock's."""
    return freeze(memory_definition(stars={"zlib": "*", "nano": "*"}), world).lock


def as_resolved(lock: Lock) -> Judged:
    """Return what the resolver would have judged before it said this."""
    stars = [
        Placed(
            name=star.name,
            version=star.version,
            arch=star.arch,
            galaxy=star.galaxy,
            facts=star.facts or Facts(),
            dependencies=star.dependencies,
            wanted_by=star.wanted_by,
        )
        for star in lock.stars
    ]
    return Judged(frozenset(wishes_of(lock.request)), lock.request.arch, tuple(stars))


def test_what_the_resolver_judged_is_not_judged_again(frozen: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(wishes_of(frozen.request), as_resolved(frozen).stars, frozen.request.arch) == ()
    monkeypatch.setattr(locked, "faults", None)
    assert Lock.parse(lock_bytes(frozen, FILE, as_resolved(frozen)), "lock") == frozen


def last(lock: Lock, **changed: Any) -> Lock:
    """Return the lock with its last star changed."""
    return replace(lock, stars=(*lock.stars[:-1], replace(lock.stars[-1], **changed)))


WRONG: dict[str, Callable[[Lock], Lock]] = {
    "a wish is missing": lambda lock: replace(
        lock, request=replace(lock.request, stars={StarName("zlib"): ANY_VERSION})
    ),
    "a star is missing": lambda lock: replace(lock, stars=lock.stars[1:]),
    "a star is doubled": lambda lock: replace(lock, stars=(*lock.stars, lock.stars[0])),
    "the order": lambda lock: replace(lock, stars=lock.stars[::-1]),
    "a dependency": lambda lock: last(lock, dependencies=()),
    "a reason": lambda lock: last(lock, wanted_by=()),
    "a version": lambda lock: replace(
        lock, stars=(replace(lock.stars[0], version=Version.parse("9.0.0")), lock.stars[1])
    ),
    "a machine": lambda lock: last(
        lock, arch=Arch("riscv64"), facts=replace(lock.stars[-1].facts or Facts(), arch=Arch("riscv64"))
    ),
    "a need": lambda lock: last(lock, facts=Facts(arch=lock.stars[-1].arch)),
    "a wish": lambda lock: replace(
        lock, request=replace(lock.request, stars={**lock.request.stars, StarName("other"): ANY_VERSION})
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_lock_that_says_anything_else_is_judged(frozen: Lock, what: str) -> None:
    with pytest.raises(NoSolution, match="does not answer its wishes"):
        lock_bytes(WRONG[what](frozen), FILE, as_resolved(frozen))


def test_a_lock_that_says_something_else_and_is_right_is_written(frozen: Lock) -> None:
    star: LockedStar = replace(frozen.stars[0], version=Version.parse("1.3.0"))
    other = replace(frozen, stars=(star, *frozen.stars[1:]))
    assert Lock.parse(lock_bytes(other, FILE, as_resolved(frozen)), "lock") == other


def test_a_build_judges_a_lock_once_if_its_statements_say_what_it_says(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = memory_definition(stars={"zlib": "*", "nano": "*"})
    freeze(definition, world)
    seen: list[object] = []
    monkeypatch.setattr(locked, "faults", lambda *judged: seen.append(judged) or faults(*judged))
    build_image(definition, world, memory_options())
    assert len(seen) == 1


def test_a_lock_is_judged_again_by_statements_that_say_something_else(frozen: Lock) -> None:
    judged = demand_right(frozen, FILE)
    assert judged == as_resolved(frozen)
    signed = {star.name: star.facts or Facts() for star in frozen.stars}
    demand_right_unless(judged, frozen, FILE, signed)
    signed[frozen.stars[0].name] = replace(signed[frozen.stars[0].name], arch=OTHER)
    with pytest.raises(NoSolution, match="does not answer its wishes"):
        demand_right_unless(judged, frozen, FILE, signed)


def test_a_lock_without_facts_has_not_been_judged_before_its_statements_are_there(frozen: Lock) -> None:
    first = replace(frozen, stars=tuple(replace(star, facts=None) for star in frozen.stars))
    assert demand_right(first, FILE) is None
    signed = {star.name: star.facts or Facts() for star in frozen.stars}
    with pytest.raises(NoSolution, match="does not answer its wishes"):
        demand_right_unless(None, first, FILE, {name: replace(facts, arch=OTHER) for name, facts in signed.items()})
