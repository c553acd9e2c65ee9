"""A library of stars in a dict, for the resolver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Constraint, Version
from cosmos.resolve.catalogue import Candidate, Facts


def facts(
    wants: Mapping[str, str] | None = None,
    *,
    arch: str = "any",
    provides: Mapping[str, str] | None = None,
    conflicts: Mapping[str, str] | None = None,
) -> Facts:
    """What a star says of itself, from plain strings."""
    return Facts(
        arch=Arch.parse(arch),
        dependencies={StarName(name): Constraint.parse(text) for name, text in (wants or {}).items()},
        provides={StarName(name): Version.parse(text) for name, text in (provides or {}).items()},
        conflicts={StarName(name): Constraint.parse(text) for name, text in (conflicts or {}).items()},
    )


class Shelf:
    """The stars of one galaxy: `{"zlib 1.3.1": facts(…)}`. `asked` lists whose facts were asked for."""

    def __init__(self, stars: Mapping[str, Facts], galaxy: str = "core") -> None:
        self.asked: list[str] = []
        self._facts: dict[Candidate, Facts] = {}
        for text, about in stars.items():
            name, _, version = text.partition(" ")
            star = Candidate(name=StarName(name), version=Version.parse(version), galaxy=GalaxyName(galaxy))
            self._facts[star] = about

    def names(self) -> Iterable[StarName]:
        return {star.name for star in self._facts}

    def versions(self, name: StarName) -> Sequence[Candidate]:
        return [star for star in self._facts if star.name == name]

    def providers(self, name: StarName) -> Sequence[Candidate]:
        return [star for star, about in self._facts.items() if name in about.provides]

    def facts(self, candidate: Candidate) -> Facts:
        self.asked.append(str(candidate))
        return self._facts[candidate]
