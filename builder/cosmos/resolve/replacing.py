"""`replaces` of a star (model.star): which stars of an image may overwrite which other stars' files, as in dpkg
(Policy 7.6.1).

`replaces` can name a star, or a package that a star was made of, each in its own version. A name that a star only
provides does not count, as in dpkg: another provider of the name has other files.

A star alone cannot take another author's files. Its `replaces` counts between stars of one galaxy, and only if every
signer of the star that loses the file has also signed the star that takes it. Else the image names the owner of the
path, as for any other path.
"""

from __future__ import annotations

from collections.abc import Iterable

from cosmos.model.names import GalaxyName, StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """A star's manifest, the galaxy that it is from, and the keys whose signatures on it were verified."""

    star: Star
    galaxy: GalaxyName
    signers: frozenset[str]

    def may_take_from(self, other: Vouched) -> bool:
        """Return whether this star's `replaces` counts against `other`."""
        return self is not other and self.galaxy == other.galaxy and other.signers <= self.signers


def replaced_by(stars: Iterable[Vouched]) -> dict[StarName, frozenset[str]]:
    """Return for each of `stars` the other stars whose paths it takes."""
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
