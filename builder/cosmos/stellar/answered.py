"""What a galaxy's stars answer to: by their own names, by what they provide, and by the packages they were made of."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cosmos.errors import CosmosError
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.reading import read_bounded
from cosmos.stellar.galaxy_folder import GalaxyFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """For each name the versions in which it is to be had; None: without a version."""

    versions: Mapping[StarName, frozenset[Version | None]]

    @classmethod
    def of(cls, stars: Iterable[Star]) -> Answers:
        """Return what `stars` answer to."""
        found: dict[StarName, set[Version | None]] = {}
        for star in stars:
            found.setdefault(star.name, set()).add(star.version)
            for name, versions in Facts.of(star).provides.items():
                found.setdefault(name, set()).update(versions)
        return cls(versions={name: frozenset(versions) for name, versions in found.items()})

    def has(self, demand: Demand) -> bool:
        """Return whether one of the stars will do."""
        return any(demand.allows(version) for version in self.versions.get(demand.name, ()))


def stars_in(galaxy: GalaxyFolder) -> Iterable[Star]:
    """Yield every manifest that lies in the galaxy, listed or not; what cannot be read answers nothing."""
    for file in sorted((galaxy.root / "stars").glob("*.toml")):
        with contextlib.suppress(CosmosError, OSError):  # index-galaxy is there to name it
            yield Star.parse(read_bounded(file, MAX_DOCUMENT_BYTES), str(file))


def unanswered(stars: Sequence[Star], answers: Answers, told: Collection[str] = ()) -> tuple[str, ...]:
    """Return what `stars` need and nothing answers, in order: a name, or alternatives parted by bars.

    What one of `told` would answer is left out: people know already that it is not there.

    >>> star = Star.parse(b'name = "a"\\nversion = "1.0.0"\\nany-of = ["b | c >=2"]\\n', "a")
    >>> unanswered([star], Answers.of([star]))
    ('b | c',)
    """
    lacking = {need for star in stars for need in star.needs if not any(map(answers.has, need))}
    named = {tuple(dict.fromkeys(demand.name for demand in need)) for need in lacking}
    return tuple(sorted(" | ".join(names) for names in named if not set(names) & set(told)))
