"""The names that a galaxy's stars answer to: their own, those that they provide, and those of their packages."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from cosmos.errors import CosmosError
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.stellar.galaxy_folder import GalaxyFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """For each name, the versions that the stars offer. None: a star provides the name without a version."""

    versions: Mapping[StarName, frozenset[Version | None]]

    @classmethod
    def of(cls, stars: Iterable[Star]) -> Answers:
        """Return the names and versions that `stars` answer to."""
        found: dict[StarName, set[Version | None]] = {}
        for star in stars:
            found.setdefault(star.name, set()).add(star.version)
            for name, versions in Facts.of(star).provides.items():
                found.setdefault(name, set()).update(versions)
        return cls(versions={name: frozenset(versions) for name, versions in found.items()})

    def has(self, demand: Demand) -> bool:
        """Return whether one of the stars answers `demand`."""
        return any(demand.allows(version) for version in self.versions.get(demand.name, ()))


def stars_in(galaxy: GalaxyFolder) -> Iterable[Star]:
    """Yield every manifest in the galaxy, listed or not. A manifest that cannot be read is left out."""
    for file in sorted((galaxy.root / "stars").glob("*.toml")):
        with contextlib.suppress(CosmosError, OSError):  # index-galaxy is there to name it
            yield Star.parse(read_bounded(file, MAX_DOCUMENT_BYTES), str(file))


def unanswered(stars: Sequence[Star], answers: Answers, told: Collection[str] = ()) -> tuple[str, ...]:
    """Return the needs of `stars` that no star answers, sorted: a name, or alternatives separated by bars.

    A need that a name in `told` would answer is left out, because it was reported before.

    >>> star = Star.parse(b'name = "a"\\nversion = "1.0.0"\\nany-of = ["b | c >=2"]\\n', "a")
    >>> unanswered([star], Answers.of([star]))
    ('b | c',)
    """
    lacking = {need for star in stars for need in star.needs if not any(map(answers.has, need))}
    named = {tuple(dict.fromkeys(demand.name for demand in need)) for need in lacking}
    return tuple(sorted(" | ".join(names) for names in named if not set(names) & set(told)))
