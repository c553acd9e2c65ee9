"""Small random libraries that are hard to solve. A seed always gives the same library."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from cosmos.model.constraint import Constraint
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Facts, Galaxies, Wish
from fakes.libraries import MemoryLibrary, facts

VERSIONS = ("1.0.0", "1.1.0", "2.0.0", "2.0.0-rc.1", "3.0.0")
LIMITS = ("*", "*", "*", "*", ">=1", "^1", "^2", "<2", "=1.0.0", ">=1.1", ">=2.0.0-rc.1", "^3")
VIRTUAL = ("v", "w")


@dataclass(frozen=True, kw_only=True)
class RandomCase:
    """One question: galaxies in their order, wishes, and an old lock's versions."""

    galaxies: Mapping[str, Mapping[str, Facts]]
    wishes: Sequence[Wish]
    kept: Mapping[StarName, Version]
    upgraded: Set[StarName] = frozenset()

    @property
    def offered(self) -> Galaxies:
        """The galaxies as one library."""
        return Galaxies(
            libraries={GalaxyName(name): MemoryLibrary(stars, name) for name, stars in self.galaxies.items()}
        )


def random_case(seed: int) -> RandomCase:
    """Return the case of this seed."""
    dice = random.Random(seed)
    names = "abcdef"[: dice.randint(3, 6)]
    galaxies = {
        galaxy: {
            f"{name} {version}": _facts(dice, names)
            for name in names
            if dice.random() < share
            for version in dice.sample(VERSIONS, dice.choice((1, 2, 3)))
        }
        for galaxy, share in (("core", 0.95), ("more", 0.4))[: dice.choice((1, 1, 2))]
    }
    wished = dice.sample(list(names + "v"), dice.randint(1, 3))
    wishes = [
        Wish(who=dice.choice(("image", "constellation:x")), name=StarName(name), constraint=_limit(dice))
        for name in wished + ([dice.choice(wished)] if dice.random() < 0.1 else [])
    ]
    kept = {StarName(name): Version.parse(dice.choice(VERSIONS)) for name in names if dice.random() < 0.5}
    if dice.random() < 0.5:
        return RandomCase(galaxies=galaxies, wishes=wishes, kept={})
    upgraded = {name for name in kept if dice.random() < 0.2}
    kept = {name: version for name, version in kept.items() if name not in upgraded}
    return RandomCase(galaxies=galaxies, wishes=wishes, kept=kept, upgraded=upgraded)


def _facts(dice: random.Random, names: str) -> Facts:
    def one(others: str) -> str:
        return f"{dice.choice(others)} {dice.choice(LIMITS)}"

    some = names + "".join(VIRTUAL)
    needs = [
        " | ".join(one(some) for _ in range(dice.choice((1, 1, 1, 2, 3)))) for _ in range(dice.choice((0, 0, 1, 1, 2)))
    ]
    provides = {
        dice.choice((*VIRTUAL, *VIRTUAL, *names)): " ".join(dice.sample(("-", *VERSIONS[:3]), dice.choice((1, 1, 2))))
        for _ in range(dice.choice((0, 0, 1, 2)))
    }
    return facts(
        needs,
        arch=dice.choice(("any",) * 6 + ("x86_64", "x86_64", "aarch64")),
        provides=provides,
        conflicts=[one(some) for _ in range(dice.choice((0, 0, 0, 0, 1, 2)))],
        replaces_whole=[dice.choice(names)] if dice.random() < 0.08 else [],
    )


def _limit(dice: random.Random) -> Constraint:
    return Constraint.parse(dice.choice(LIMITS))
