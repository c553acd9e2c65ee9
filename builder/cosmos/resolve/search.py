"""The search itself: how stars, what they provide and what they conflict with look to resolvelib's backtracking.

resolvelib knows identifiers, requirements on them, and candidates for them. Here:

    identifier    requirements                          candidates
    star NAME     Wanted, Exact: must be there          Chosen (that star), Provided (by a star of another name)
                  Barred: must not be such a version    Absent, as long as nobody wants it
    claim NAME    Claimed by whoever provides NAME,     Undisputed, if no one bars what another one claims
                  Disputed by whoever conflicts with it

A conflict with NAME bars versions of the star NAME, and every *other* star that provides NAME: so that a star may
provide and conflict with one name, to be the only one of its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from resolvelib import AbstractProvider

from cosmos.model.names import Arch, StarName
from cosmos.model.version import Constraint, Version
from cosmos.resolve.catalogue import Candidate, Library, preferred


@dataclass(frozen=True, slots=True)
class Wanted:
    """`who` wants a star that is or provides `name`."""

    name: StarName
    constraint: Constraint
    who: str


@dataclass(frozen=True, slots=True)
class Exact:
    """That very star, because it was chosen to provide a name."""

    star: Candidate
    who: str

    @property
    def name(self) -> StarName:
        """The star's name."""
        return self.star.name


@dataclass(frozen=True, slots=True)
class Barred:
    """`who` cannot stand beside such a version of `name`."""

    name: StarName
    constraint: Constraint
    who: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """`by` provides `name`."""

    name: StarName
    version: Version
    by: Candidate

    @property
    def who(self) -> str:
        """The star that provides it, for people."""
        return str(self.by)


@dataclass(frozen=True, slots=True)
class Disputed:
    """`by` cannot stand beside another star that provides such a version of `name`."""

    name: StarName
    constraint: Constraint
    by: Candidate

    @property
    def who(self) -> str:
        """The star that conflicts with it, for people."""
        return str(self.by)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A star."""

    star: Candidate

    @property
    def name(self) -> StarName:
        """The star's name."""
        return self.star.name


@dataclass(frozen=True, slots=True)
class Provided:
    """A name that `star` provides."""

    name: StarName
    version: Version
    star: Candidate


@dataclass(frozen=True, slots=True)
class Absent:
    """No star of that name."""

    name: StarName


@dataclass(frozen=True, slots=True)
class Undisputed:
    """Claims and disputes of one name that go together."""

    name: StarName
    heard: frozenset[Claimed | Disputed]


Requirement: TypeAlias = Wanted | Exact | Barred | Claimed | Disputed
Choice: TypeAlias = Chosen | Provided | Absent | Undisputed
Key: TypeAlias = tuple[str, StarName]
_CLAIMS = (Claimed, Disputed, Undisputed)


class Search(AbstractProvider[Requirement, Choice, Key]):
    """The questions that resolvelib asks, answered from a library. Pure: it keeps nothing."""

    def __init__(
        self, library: Library, arch: Arch, kept: Mapping[StarName, Version], wished: frozenset[StarName]
    ) -> None:
        self._library = library
        self._arch = arch
        self._kept = kept
        self._wished = wished

    def identify(self, requirement_or_candidate: Requirement | Choice) -> Key:
        """Return what a requirement is on, or what a choice is for."""
        kind = "claim" if isinstance(requirement_or_candidate, _CLAIMS) else "star"
        return kind, requirement_or_candidate.name

    def get_preference(  # type: ignore[override]  # resolvelib hands everything by name; we need two of five
        self, identifier: Key, *, backtrack_causes: Sequence[Any], **_: object
    ) -> tuple[bool, bool, StarName]:
        """Return a key that puts what caused the last conflict first, then names in order: always the same way."""
        is_cause = any(self.identify(cause.requirement) == identifier for cause in backtrack_causes)
        return not is_cause, identifier[0] == "claim", identifier[1]

    def find_matches(
        self,
        identifier: Key,
        requirements: Mapping[Key, Iterator[Requirement]],
        incompatibilities: Mapping[Key, Iterator[Choice]],
    ) -> Callable[[], Iterator[Choice]] | Sequence[Choice]:
        """Return the choices for `identifier` that satisfy all `requirements`, best first."""
        kind, name = identifier
        demands, excluded = list(requirements[identifier]), set(incompatibilities[identifier])
        if kind == "claim":
            heard = self._undisputed(name, demands)
            return [heard] if go_together(demands) and heard not in excluded else []
        if not any(isinstance(demand, Wanted | Exact) for demand in demands):
            return [Absent(name)] if Absent(name) not in excluded else []

        def fitting() -> Iterator[Choice]:  # lazily: the facts of a candidate may have to be fetched
            for choice in self._choices(name):
                fits = choice not in excluded and all(self.is_satisfied_by(demand, choice) for demand in demands)
                if fits and self._library.facts(choice.star).arch.runs_on(self._arch):
                    yield choice

        return fitting

    def is_satisfied_by(self, requirement: Requirement, candidate: Choice) -> bool:
        """Return whether `candidate` answers `requirement`, which is on the same identifier."""
        match candidate:
            case Undisputed():
                return requirement in candidate.heard
            case Absent():
                return isinstance(requirement, Barred)
            case Chosen():
                version = candidate.star.version
            case Provided():
                version = candidate.version
        match requirement:
            case Wanted():
                return requirement.constraint.allows(version)
            case Exact():
                return isinstance(candidate, Chosen) and candidate.star == requirement.star
            case Barred():  # a star that provides the name is judged by its claim
                return isinstance(candidate, Provided) or not bars(requirement.constraint, version)
            case _:
                return False

    def get_dependencies(self, candidate: Choice) -> Iterable[Requirement]:
        """Return what `candidate` demands, in a fixed order."""
        match candidate:
            case Chosen():
                return self._demands_of(candidate.star)
            case Provided():
                return [Exact(candidate.star, f"{candidate.name}, which it provides,")]
            case _:
                return []

    def _demands_of(self, star: Candidate) -> Iterator[Requirement]:
        facts = self._library.facts(star)
        for name, constraint in sorted(facts.conflicts.items()):
            if name != star.name:
                yield Barred(name, constraint, str(star))
            yield Disputed(name, constraint, star)
        for name, version in sorted(facts.provides.items()):
            yield Claimed(name, version, star)
        for name, constraint in sorted(facts.dependencies.items()):
            yield Wanted(name, constraint, str(star))

    def _choices(self, name: StarName) -> Iterator[Chosen | Provided]:
        versions = preferred(self._library.versions(name), self._kept)
        if versions:
            yield from (Chosen(star) for star in versions)
            return
        providers = preferred(self._library.providers(name), self._kept)
        for star in sorted(providers, key=lambda star: (star.name not in self._wished, star.name)):
            yield Provided(name, self._library.facts(star).provides[name], star)

    def _undisputed(self, name: StarName, demands: Iterable[Requirement]) -> Undisputed:
        return Undisputed(name, frozenset(demand for demand in demands if isinstance(demand, Claimed | Disputed)))


def go_together(demands: Sequence[Requirement]) -> bool:
    """Return whether no one disputes what another one claims."""
    return not any(
        isinstance(dispute, Disputed)
        and isinstance(claim, Claimed)
        and dispute.by.name != claim.by.name
        and bars(dispute.constraint, claim.version)
        for dispute in demands
        for claim in demands
    )


def bars(constraint: Constraint, version: Version) -> bool:
    """Return whether a conflict with `constraint` means `version`; here a pre-release is a version like any other.

    >>> bars(Constraint.parse("*"), Version.parse("2.0.0-beta")), bars(Constraint.parse("<2"), Version.parse("2.0.0"))
    (True, False)
    """
    return all(comparator.allows(version) for comparator in constraint.comparators)
