"""A library as clauses, as far as the search needs it: a star's own rules are added when it is first supposed.

    variables      one for each version of a star; one for each demand (`Ask`); one for each star of the old lock;
                   one for each version but one of a star to upgrade
    a wish         its demand holds
    a need         the star is not chosen, or one of the alternatives' demands holds
    a demand       it does not hold, or one of its answers is chosen; and no version of a star that it rules out
    a conflict     not both stars
    an arch        the star is not chosen
    the old lock   the lock does not hold, or no other version of the star is chosen
    an upgrade     none of the newest N versions fits, or no older one is chosen

So the library gives the facts only of stars that some choice would bring in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cosmos.model.demand import Demand, Need
from cosmos.model.facts import Facts
from cosmos.model.names import Arch, StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Candidate, Library, Wish, preferred
from cosmos.resolve.clauses import Clauses
from cosmos.resolve.together import Together


@dataclass(frozen=True, slots=True)
class Wants:
    """`who` wants one of the alternatives."""

    who: str
    need: Need


@dataclass(frozen=True, slots=True)
class Bars:
    """`who` conflicts with `barred`, which is or provides what the conflict names."""

    who: str
    conflict: Demand
    barred: Candidate


@dataclass(frozen=True, slots=True)
class StandsFor:
    """`who` was made from the package that `barred` is."""

    who: str
    barred: Candidate


Reason: TypeAlias = Wants | Bars | StandsFor


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A demand, and the variables of its answers: versions of the star of that name, the preferred first, then stars
    that provide it, those of the old lock first. `listed`: there is a star of that name.
    """

    demand: Demand
    literal: int
    stars: tuple[int, ...]
    providers: tuple[int, ...]
    listed: bool


class Problem:
    """The clauses for the stars of `library` on `arch`, and the meaning of their variables."""

    def __init__(self, library: Library, arch: Arch, kept: Mapping[StarName, Version]) -> None:
        self.clauses = Clauses(self.add_rules)
        self._library = library
        self._arch = arch
        self._kept = kept
        self._candidates: list[Candidate | None] = []  # by variable
        self._versions: dict[StarName, list[int]] = {}
        self._providers: dict[StarName, list[int]] = {}
        self._facts: dict[int, Facts] = {}
        self._asks: dict[tuple[StarName, str, bool], Ask] = {}
        self._needs: dict[int, tuple[tuple[Ask, ...], ...]] = {}  # of each star whose rules were added
        self._claims: dict[StarName, list[int]] = {}  # who of them provides a name
        self._disputes: dict[StarName, list[tuple[int, Demand]]] = {}  # who of them conflicts with it
        self._replacing: dict[StarName, list[int]] = {}  # who of them stands for it

    def candidate(self, variable: int) -> Candidate:
        """Return the star of this variable."""
        found = self._candidates[variable]
        assert found is not None, "a star's variable"
        return found

    def facts(self, variable: int) -> Facts:
        """Return the star's facts; the library is asked once."""
        if variable not in self._facts:
            self._facts[variable] = self._library.facts(self.candidate(variable))
        return self._facts[variable]

    def needs(self, variable: int) -> tuple[tuple[Ask, ...], ...]:
        """Return the needs of a chosen star, each a list of alternatives."""
        return self._needs[variable]

    def answering(self, together: Together, chosen: Mapping[StarName, int], need: Iterable[Ask]) -> StarName:
        """Return the star in `together` that answers the need: the first one of the first alternative that has any.

        `chosen` maps each star to its variable, because an index may list two stars of one version by architecture.
        """
        return next(
            star.name
            for ask in need
            for star in together.answers(ask.demand)
            if (one := chosen[star.name]) in ask.stars or one in ask.providers
        )

    def wish(self, wish: Wish) -> Ask:
        """Add a wish, and return its demand. If a star of that name is listed, only this star answers it."""
        ask = self.wished(wish)
        self.clauses.add([ask.literal], Wants(wish.who, (wish.demand,)))
        return ask

    def wished(self, wish: Wish) -> Ask:
        """Return a wish's demand."""
        return self._ask(wish.demand, only_that_star=True)

    def keep(self, name: StarName) -> int | None:
        """Return a literal that allows only the kept version of `name`, or None if that version is gone."""
        versions = self.versions(name)
        if not any(self.candidate(one).version == self._kept[name] for one in versions):
            return None
        literal = 2 * self._variable(None)
        for one in versions:
            if self.candidate(one).version != self._kept[name]:
                self.clauses.add([literal ^ 1, 2 * one + 1])
        return literal

    def move(self, name: StarName) -> list[int]:
        """Return literals that allow only the newest version of `name`, the newest two, the newest three, and so on."""
        literals: list[int] = []
        for older in self.versions(name)[1:]:
            literals.append(2 * self._variable(None))
            self.clauses.add([literals[-1] ^ 1, 2 * older + 1])
            if len(literals) > 1:  # what bars all but so many bars the next one's, too
                self.clauses.add([literals[-2] ^ 1, literals[-1]])
        return literals

    def versions(self, name: StarName) -> list[int]:
        """Return the variables of the star's versions, the preferred first."""
        if name not in self._versions:
            group: list[int] = []
            self._versions[name] = group
            for candidate in preferred(self._library.versions(name), self._kept):
                variable = self._variable(candidate, group)
                for other, conflict in self._disputes.get(name, ()):
                    self._bar(other, conflict, variable)
                for other in self._replacing.get(name, ()):
                    self._bar_replaced(other, variable)
        return self._versions[name]

    def _variable(self, candidate: Candidate | None, group: list[int] | None = None) -> int:
        variable = self.clauses.variable(group)
        self._candidates.append(candidate)
        return variable

    def _ask(self, demand: Demand, *, only_that_star: bool = False) -> Ask:
        key = demand.name, demand.constraint.text, only_that_star
        if key not in self._asks:
            versions = self.versions(demand.name)
            stars = [one for one in versions if demand.constraint.allows(self.candidate(one).version)]
            others: Iterable[int] = () if only_that_star and versions else self._providers_of(demand.name)
            fitting = set(stars)
            providers = [one for one in others if one not in fitting and self.facts(one).provides_for(demand)]
            literal = 2 * self._variable(None)
            self.clauses.add([literal ^ 1, *(2 * one for one in stars), *(2 * one for one in providers)])
            self._rule_out(literal, [*stars, *providers])
            self._asks[key] = Ask(demand, literal, tuple(stars), tuple(providers), bool(versions))
        return self._asks[key]

    def _rule_out(self, literal: int, answers: list[int]) -> None:
        """If one star's versions alone answer, rule out its other versions. For a single version this follows."""
        names = {self.candidate(one).name for one in answers}
        if len(names) == 1 and len(answers) > 1:
            fitting = set(answers)
            for one in self.versions(names.pop()):
                if one not in fitting:
                    self.clauses.add([literal ^ 1, 2 * one + 1])

    def _providers_of(self, name: StarName) -> list[int]:
        """Return the variables of stars that provide `name` and run here, those of the old lock first, then by name."""
        if name not in self._providers:
            by_name: dict[StarName, set[Candidate]] = {}
            for candidate in self._library.providers(name):
                by_name.setdefault(candidate.name, set()).add(candidate)
            self._providers[name] = [
                variable
                for star in sorted(by_name, key=lambda star: (star not in self._kept, star))
                for variable in self.versions(star)
                if self.candidate(variable) in by_name[star] and self.facts(variable).arch.runs_on(self._arch)
            ]
        return self._providers[name]

    def add_rules(self, variable: int) -> bool:
        """Add the star's own rules; return whether they were new."""
        candidate = self._candidates[variable]
        if candidate is None or variable in self._needs:
            return False
        facts = self.facts(variable)
        if not facts.arch.runs_on(self._arch):
            self._needs[variable] = ()
            self.clauses.add([2 * variable + 1])
            return True
        self._add_needs(variable, str(candidate), facts)
        self._add_conflicts(variable, candidate, facts)
        return True

    def _add_needs(self, variable: int, who: str, facts: Facts) -> None:
        needs: list[tuple[Ask, ...]] = []
        for need in facts.needs:
            asks = tuple(self._ask(demand) for demand in need)
            if not any(variable in ask.stars or variable in ask.providers for ask in asks):
                self.clauses.add([2 * variable + 1, *(ask.literal for ask in asks)], Wants(who, need))
                needs.append(asks)
        self._needs[variable] = tuple(needs)

    def _add_conflicts(self, variable: int, candidate: Candidate, facts: Facts) -> None:
        for conflict in facts.conflicts:
            self._disputes.setdefault(conflict.name, []).append((variable, conflict))
            for other in (*self._versions.get(conflict.name, ()), *self._claims.get(conflict.name, ())):
                self._bar(variable, conflict, other)
        for name in sorted(facts.replaces_whole - {candidate.name}):
            self._replacing.setdefault(name, []).append(variable)
            for other in self._versions.get(name, ()):
                self._bar_replaced(variable, other)
        for name in sorted(facts.provides):
            self._claims.setdefault(name, []).append(variable)
            for other, conflict in self._disputes.get(name, ()):
                self._bar(other, conflict, variable)

    def _bar(self, against: int, conflict: Demand, variable: int) -> None:
        """Add a clause against `against` with `variable`, if the latter is or provides the name in the conflict."""
        star = self.candidate(variable)
        if star.name == self.candidate(against).name:
            return
        is_barred = star.name == conflict.name and conflict.bars(star.version)
        if is_barred or (variable in self._facts and self._facts[variable].provides_barred(conflict)):
            why = Bars(str(self.candidate(against)), conflict, star)
            self.clauses.add([2 * against + 1, 2 * variable + 1], why)

    def _bar_replaced(self, against: int, variable: int) -> None:
        why = StandsFor(str(self.candidate(against)), self.candidate(variable))
        self.clauses.add([2 * against + 1, 2 * variable + 1], why)
