"""Which stars of an image take over whose files: `replaces` of a star (model.star), as dpkg means it (Policy 7.6.1).

A star is meant by its own name, and by those of the packages that it was made of, each in its own version. Names that a
star merely provides do not count, as they do not for dpkg: who provides a name has other files.

A star's word is not enough to take another author's files. It counts between stars of one galaxy, and where everybody
who signed the one that loses the file has signed the one that takes it. Else the image says who wins, as for any path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cosmos.model.names import GalaxyName, StarName
from cosmos.model.star import Star
from cosmos.model.version import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """A star's manifest, the galaxy that it is from, and the keys whose signatures on it were verified."""

    star: Star
    galaxy: GalaxyName
    signers: frozenset[str]

    def may_take_from(self, other: Vouched) -> bool:
        """Return whether the star's word counts against `other`."""
        return self is not other and self.galaxy == other.galaxy and other.signers <= self.signers


def replaced_by(stars: Iterable[Vouched]) -> dict[StarName, frozenset[str]]:
    """Return for each of `stars` those of the others whose paths it takes."""
    every = list(stars)
    called: dict[StarName, list[tuple[Vouched, Version]]] = {}
    for one in every:
        for name, version in ((one.star.name, one.star.version), *one.star.made_of):
            called.setdefault(name, []).append((one, version))
    return {
        one.star.name: frozenset(
            str(other.star.name)
            for name, limits in one.star.replaces.items()
            for other, version in called.get(name, ())
            if one.may_take_from(other) and any(limit.covers(version) for limit in limits)
        )
        for one in every
    }
