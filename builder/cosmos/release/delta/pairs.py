"""Which layer of the old image a layer of the new one refers to: the one of the same star, else the best guess.

A star's name may hold a number that changes with its version: `libssl1.1` became `libssl3`, `linux-image-6.1.0-30` is
followed by `linux-image-6.1.0-31`. So a new name without an old layer takes the layer of a name that is gone and that
is the same without its digits and what follows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cosmos.digest import Digest
from cosmos.records import dataclass

_NUMBER = re.compile(r"[-_.]?[0-9][0-9A-Za-z.+~_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A layer of an image: its own name, which ends with a version, its star's name, and the digest of its frame."""

    layer: str
    star: str
    digest: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A layer of the new image, by its place. `same` is the place of the same layer in the old image.

    `reference` is the place of an older layer, if it is not there.
    """

    place: int
    same: int | None = None
    reference: int | None = None


def paired(old: Sequence[Named], new: Sequence[Named]) -> list[Pair]:
    """Return a pair for each layer of the new image, in order.

    >>> def named(star, version):
    ...     return Named(layer=f"{star}-{version}", star=star, digest=Digest.of(version.encode()))
    >>> old = [named("a", "1"), named("libx1", "1.0"), named("b", "1")]
    >>> [(pair.same, pair.reference) for pair in paired(old, [named("a", "1"), named("libx2", "2.0"), named("b", "2")])]
    [(0, None), (None, 1), (None, 2)]
    """
    places = {one.star: place for place, one in enumerate(old)}
    stars = {one.star for one in new}
    gone = _by_stem({star: place for star, place in places.items() if star not in stars})
    pairs: list[Pair] = []
    for place, one in enumerate(new):
        found = places.get(one.star, gone.get(stem(one.star)))
        is_same = found is not None and old[found] == one
        pairs.append(Pair(place=place, same=found if is_same else None, reference=None if is_same else found))
    return pairs


def stem(name: str) -> str:
    """Return a star's name without its numbers.

    >>> stem("libssl1.1"), stem("libssl3"), stem("linux-image-6.1.0-30-amd64")
    ('libssl', 'libssl', 'linux-image-amd')
    """
    return _NUMBER.sub("", name)


def _by_stem(places: Mapping[str, int]) -> dict[str, int]:
    """Return the places by stem, without stems that are nothing, or that several names share."""
    stems = [stem(name) for name in places]
    return {one: place for one, place in zip(stems, places.values(), strict=True) if one and stems.count(one) == 1}
