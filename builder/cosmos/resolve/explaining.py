"""Why there is no solution, in sentences that name who wants what."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cosmos.errors import NoSolution
from cosmos.model.names import Arch, StarName
from cosmos.resolve.catalogue import Candidate, Library, preferred
from cosmos.resolve.search import Barred, Choice, Claimed, Disputed, Exact, Requirement, Wanted

_MAX_SHOWN = 5  # versions, or stars that want one thing: a sentence is to be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What whoever asked can do where constraints clash, where no galaxy has a star, where the search took too long."""

    clash: str
    missing: str  # `{star}` stands for the star's name
    too_long: str


FOR_IMAGES: Final = Advice(
    clash="loosen a constraint in image.toml, or add a galaxy that has another version",
    missing="add a galaxy that has {star} to [galaxies]",
    too_long="narrow the constraints of the image, so that fewer versions come into question",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """One demand that took part in the last dead end, and the choice that it came with (None: a wish)."""

    demand: Requirement
    by: Choice | None


def explained(conflicts: Iterable[Conflict], library: Library, arch: Arch, advice: Advice) -> NoSolution:
    """Return the error for a search that ended in `conflicts`; its hint is in the words of `advice`."""
    demands: dict[StarName, list[Requirement]] = {}
    for conflict in conflicts:
        named = demands.setdefault(conflict.demand.name, [])
        if conflict.demand not in named:
            named.append(conflict.demand)
    sentences = [_sentence(name, group, library, arch) for name, group in sorted(demands.items())]
    missing = [name for name in sorted(demands) if not _is_known(name, library)]
    return NoSolution("no solution", "; ".join(sentences), hint=_hint(missing, library, advice))


def _sentence(name: StarName, demands: Sequence[Requirement], library: Library, arch: Arch) -> str:
    wants = [demand for demand in demands if isinstance(demand, Wanted)]
    if disputes := [demand for demand in demands if isinstance(demand, Disputed)]:
        return _dispute(name, disputes, [demand for demand in demands if isinstance(demand, Claimed)])
    said = [_want(demand) for demand in wants] + [_other(demand) for demand in demands if demand not in wants]
    shown = list(dict.fromkeys(said))[:_MAX_SHOWN]
    if not _is_known(name, library):
        return f"{_listed([str(demand.who) for demand in wants])} {_verb(wants)} {name}, which no galaxy has"
    versions = preferred(library.versions(name), {})
    fitting = [star for star in versions if all(_allows(demand, star) for demand in demands)]
    if fitting and not any(library.facts(star).arch.runs_on(arch) for star in fitting):
        machines = sorted({str(library.facts(star).arch) for star in fitting})
        return f"{shown[0]}, but galaxy {fitting[0].galaxy} has it for {_listed(machines)} only, and not for {arch}"
    there = [demand for demand in wants if any(demand.constraint.allows(star.version) for star in versions)]
    if versions and len(there) < len(wants):
        impossible = next(demand for demand in wants if demand not in there)
        return f"{_want(impossible)}, but galaxy {versions[0].galaxy} has only {_versions(versions)}"
    return (
        ", but ".join((shown[0], " and ".join(shown[1:]))) if len(shown) > 1 else f"{shown[0]}, and that cannot be had"
    )


def _dispute(name: StarName, disputes: Sequence[Disputed], claims: Sequence[Claimed]) -> str:
    against = disputes[0]
    others = [str(claim.by) for claim in claims if claim.by.name != against.by.name]
    return f"{against.who} conflicts with {name} {against.constraint}, which {_listed(others)} provides"


def _want(demand: Wanted) -> str:
    return f"{demand.who} wants {demand.name} {demand.constraint}"


def _other(demand: Requirement) -> str:
    if isinstance(demand, Barred):
        return f"{demand.who} conflicts with {demand.name} {demand.constraint}"
    return f"{demand.who} needs {demand.star}" if isinstance(demand, Exact) else f"{demand.who} provides {demand.name}"


def _allows(demand: Requirement, star: Candidate) -> bool:
    match demand:
        case Wanted():
            return demand.constraint.allows(star.version)
        case Exact():
            return demand.star == star
        case Barred():
            return not demand.constraint.allows(star.version)
        case _:
            return True


def _is_known(name: StarName, library: Library) -> bool:
    return bool(library.versions(name) or library.providers(name))


def _versions(stars: Sequence[Candidate]) -> str:
    shown = [str(star.version) for star in stars[:_MAX_SHOWN]]
    return ", ".join(shown) + (f" and {len(stars) - _MAX_SHOWN} older" if len(stars) > _MAX_SHOWN else "")


def _verb(demands: Sequence[Wanted]) -> str:
    return "want" if len({demand.who for demand in demands}) > 1 else "wants"


def _listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`, without doubles."""
    unique = list(dict.fromkeys(words))[:_MAX_SHOWN]
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def _hint(missing: Sequence[StarName], library: Library, advice: Advice) -> str:
    if not missing:
        return advice.clash
    near = difflib.get_close_matches(missing[0], [str(name) for name in library.names()], n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return advice.missing.format(star=missing[0])
