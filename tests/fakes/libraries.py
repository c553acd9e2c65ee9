"""A library of stars in a dict, for the resolver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cosmos.model.constraint import Constraint
from cosmos.model.demand import Demand
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate


def facts(
    wants: Mapping[str, str] | Sequence[str] = (),
    *,
    arch: str = "any",
    provides: Mapping[str, str] | None = None,
    conflicts: Mapping[str, str] | Sequence[str] = (),
    replaces_whole: Sequence[str] = (),
) -> Facts:
    """A star's facts from plain strings: `{"zlib": "<2"}`, or `["mta ^1 | exim", "zlib <2"]`.

    Provided versions are separated by spaces; `-` is a name without a version.
    """
    return Facts(
        arch=Arch.parse(arch),
        needs=tuple(tuple(demand(part) for part in text.split("|")) for text in _texts(wants)),
        provides={
            StarName(name): tuple(None if one == "-" else Version.parse(one) for one in text.split())
            for name, text in (provides or {}).items()
        },
        conflicts=tuple(demand(text) for text in _texts(conflicts)),
        replaces_whole=frozenset(StarName(name) for name in replaces_whole),
    )


def demand(text: str) -> Demand:
    """`zlib <2`, or `zlib` alone for any version."""
    name, _, limit = text.strip().partition(" ")
    return Demand(StarName(name), Constraint.parse(limit or "*"))


def _texts(rows: Mapping[str, str] | Sequence[str]) -> list[str]:
    return [f"{name} {limit}" for name, limit in rows.items()] if isinstance(rows, Mapping) else list(rows)


class MemoryLibrary:
    """The stars of one galaxy: `{"zlib 1.3.1": facts(…)}`. `asked` lists whose facts were asked for."""

    def __init__(self, stars: Mapping[str, Facts], galaxy: str = "core") -> None:
        self.asked: list[str] = []
        self._facts: dict[Candidate, Facts] = {}
        self._versions: dict[StarName, list[Candidate]] = {}
        self._providers: dict[StarName, list[Candidate]] = {}
        for text, about in stars.items():
            name, _, version = text.partition(" ")
            star = Candidate(
                name=StarName(name), version=Version.parse(version), galaxy=GalaxyName(galaxy), arch=about.arch
            )
            self._facts[star] = about
            self._versions.setdefault(star.name, []).append(star)
            for provided in about.provides:
                self._providers.setdefault(provided, []).append(star)

    def names(self) -> Iterable[StarName]:
        return self._versions.keys()

    def versions(self, name: StarName) -> Sequence[Candidate]:
        return self._versions.get(name, ())

    def providers(self, name: StarName) -> Sequence[Candidate]:
        return self._providers.get(name, ())

    def claims(self, name: StarName) -> bool:
        return bool(self.versions(name) or self.providers(name))

    def facts(self, candidate: Candidate) -> Facts:
        self.asked.append(str(candidate))
        return self._facts[candidate]
