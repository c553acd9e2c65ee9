"""Explain why there is no solution, in sentences that name each star or wish and its demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final

from cosmos.errors import NoSolution
from cosmos.model.demand import Demand
from cosmos.model.names import Arch, StarName
from cosmos.model.version import Version
from cosmos.nearest import nearest
from cosmos.records import dataclass
from cosmos.resolve.catalogue import Candidate, Library, preferred
from cosmos.resolve.judging import in_words
from cosmos.resolve.problem import Bars, Reason, StandsFor, Wants

_MAX_SHOWN = 5  # versions, or stars that want one thing: a sentence is to be read
UNSOLVED: Final = "no solution: "  # before the sentences


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Hints for the caller's user: if constraints clash, if no galaxy has a star, if the search took too long."""

    clash: str
    missing: str  # `{star}` stands for the star's name
    too_long: str
    installed: Mapping[StarName, Version] = field(default_factory=dict)  # what stays, whatever is wished
    keeping: str = ""  # if an installed star stands against a wish


FOR_IMAGES: Final = Advice(
    clash="loosen a constraint in image.toml, or add a galaxy that has another version",
    missing="add a galaxy that has {star} to [galaxies]",
    too_long="narrow the constraints of the image, so that fewer versions come into question",
)


def explained(reasons: Sequence[Reason], library: Library, arch: Arch, advice: Advice) -> NoSolution:
    """Return the error for a search that failed for `reasons`; its hint comes from `advice`."""
    said = _Said(reasons, library, arch, advice.installed)
    missing = sorted(
        demand.name
        for demand in said.demands()
        if not (library.versions(demand.name) or library.providers(demand.name))
    )
    return NoSolution("", f"{UNSOLVED}{'; '.join(said.sentences())}", hint=_hint(missing, library, advice, said))


class _Said:
    """The reasons, grouped by the name that they are about."""

    def __init__(
        self, reasons: Sequence[Reason], library: Library, arch: Arch, installed: Mapping[StarName, Version]
    ) -> None:
        self._installed = installed
        self.is_kept = False  # whether a sentence says that an installed star stands against a wish
        self._library = library
        self._arch = arch
        self._wants = [one for one in reasons if isinstance(one, Wants)]
        self._bars = [one for one in reasons if isinstance(one, Bars)]
        self._stands = [one for one in reasons if isinstance(one, StandsFor)]
        self._speakers = (
            {one.who for one in reasons}
            | {str(one.barred) for one in self._bars}
            | {str(one.barred) for one in self._stands}
        )

    def demands(self) -> Iterable[Demand]:
        """Return all demands."""
        return (demand for one in self._wants for demand in one.need)

    def sentences(self) -> list[str]:
        """Return the sentences: clashes, and demands without an answer; not why a clashing star was needed."""
        wants: dict[StarName, list[Wants]] = {}
        for one in sorted(self._wants, key=lambda one: (" " in one.who, one.who, in_words(one.need))):
            for demand in one.need:
                wants.setdefault(demand.name, []).append(one)
        barred = {one.conflict.name for one in self._bars if one.barred.name == one.conflict.name}
        barred |= {one.barred.name for one in self._stands}
        names = sorted(wants.keys() | barred)
        said = [sentence for name in names if (sentence := self._about(name, wants.get(name, []), name in barred))]
        said += self._provided()
        return list(dict.fromkeys(said)) or [_want(one) for one in self._wants]

    def _about(self, name: StarName, wants: Sequence[Wants], is_barred: bool) -> str:
        limits = [demand.constraint for one in wants for demand in one.need if demand.name == name]
        versions = preferred(self._library.versions(name), {})
        if not versions and not self._library.providers(name):
            return f"{_listed([one.who for one in wants])} {_verb(wants)} {name}, which no galaxy has"
        fitting = [star for star in versions if all(limit.allows(star.version) for limit in limits)]
        if fitting and wants and not any(self._library.facts(star).arch.runs_on(self._arch) for star in fitting):
            machines = sorted({str(self._library.facts(star).arch) for star in fitting})
            there = f"galaxy {fitting[0].galaxy} has it for {_listed(machines)} only, and not for {self._arch}"
            return f"{_want(wants[0])}, but {there}"
        for one in wants:
            if versions and not any(self._has(demand) for demand in one.need if demand.name == name):
                if name in self._installed:
                    self.is_kept = True
                    return f"{_want(one)}, but {name} {self._installed[name]} is installed"
                return f"{_want(one)}, but galaxy {versions[0].galaxy} has only {_versions(versions)}"
        said = _grouped(wants) + [
            f"{one.who} conflicts with {one.conflict.name} {one.conflict.constraint}"
            for one in self._bars
            if one.barred.name == name == one.conflict.name
        ]
        said += [f"{one.who} stands for {name} and replaces it" for one in self._stands if one.barred.name == name]
        said = list(dict.fromkeys(said))[:_MAX_SHOWN]
        if len(said) > 1:
            return ", but ".join((said[0], " and ".join(said[1:])))
        return "" if is_barred is False and self._is_link(name, wants) else f"{said[0]}, and that cannot be had"

    def _has(self, demand: Demand) -> bool:
        versions = self._library.versions(demand.name)
        return any(demand.constraint.allows(star.version) for star in versions) or any(
            self._library.facts(star).provides_for(demand) for star in self._library.providers(demand.name)
        )

    def _is_link(self, name: StarName, wants: Sequence[Wants]) -> bool:
        """Return whether a star that answers this demand appears in another reason."""
        stars = [*self._library.versions(name), *self._library.providers(name)]
        return any(str(star) in self._speakers for star in stars) or any(len(one.need) > 1 for one in wants)

    def _provided(self) -> list[str]:
        others: dict[tuple[str, Demand], list[str]] = {}
        for one in self._bars:
            if one.barred.name != one.conflict.name:
                others.setdefault((one.who, one.conflict), []).append(str(one.barred))
        return [
            f"{who} conflicts with {conflict.name} {conflict.constraint}, which {_listed(barred)} {_provide(barred)}"
            for (who, conflict), barred in others.items()
        ]


def _grouped(wants: Sequence[Wants]) -> list[str]:
    """Return one sentence for each demand, with all who make it."""
    who: dict[str, list[Wants]] = {}
    for one in wants:
        who.setdefault(in_words(one.need), []).append(one)
    return [f"{_listed([one.who for one in group])} {_verb(group)} {need}" for need, group in who.items()]


def _want(one: Wants) -> str:
    return f"{one.who} wants {in_words(one.need)}"


def _versions(stars: Sequence[Candidate]) -> str:
    versions = list(dict.fromkeys(str(star.version) for star in stars))
    more = len(versions) - _MAX_SHOWN
    return ", ".join(versions[:_MAX_SHOWN]) + (f" and {more} older" if more > 0 else "")


def _verb(wants: Sequence[Wants]) -> str:
    return "want" if len({one.who for one in wants}) > 1 else "wants"


def _provide(stars: Sequence[str]) -> str:
    return "provide" if len(set(stars)) > 1 else "provides"


def _listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`, without doubles."""
    unique = list(dict.fromkeys(words))[:_MAX_SHOWN]
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def _hint(missing: Sequence[StarName], library: Library, advice: Advice, said: _Said) -> str:
    if not missing:
        return advice.keeping if said.is_kept else advice.clash
    near = nearest(missing[0], map(str, library.names()), 3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return advice.missing.replace("{star}", missing[0])
