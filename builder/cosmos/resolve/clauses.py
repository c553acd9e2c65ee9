"""A SAT solver with conflict-driven clause learning; the caller makes the decisions.

A **literal** is a variable or its opposite: variable v is the literal 2v, its opposite 2v+1, so that `literal ^ 1`
turns one into the other. A **clause** is a list of literals of which one at least must be true. Variables of one
**group** exclude each other: at most one is true.

The caller decides: it calls `decide` for an unassigned literal, then `propagate`. On a conflict, `learn` goes back to
the level where a decision is refuted, and returns that level. The learned clause follows from the clauses and from the
earlier decisions. So the decisions that are never refuted are the first ones in the caller's order.

Clauses may be added at any time, also during propagation: `on_true` is called for each variable that becomes true, and
adds the clauses of this variable.

Sources: Marques-Silva & Sakallah, GRASP (1996): learning, the first unique implication point. Moskewicz et al., Chaff
(2001): two watched literals.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

Literal = int


class Clause:
    """Literals of which one must be true. `why`: the reason for this rule (None: it always holds). `parents` of a
    learned clause: the clauses that it follows from, and variables that were assigned before any decision.
    """

    __slots__ = ("literals", "parents", "why")

    def __init__(self, literals: list[Literal], why: Hashable, parents: Sequence[Clause | int] = ()) -> None:
        self.literals = literals
        self.why = why
        self.parents = parents


@dataclass(eq=False)
class Contradiction(Exception):
    """The clauses have no solution; the named clauses are enough to show it."""

    clauses: list[Clause]


class Clauses:
    """The clauses, the assignment so far, and the reason for each assigned variable."""

    def __init__(self, on_true: Callable[[int], object]) -> None:
        self.truth: list[int] = []  # by literal: 1 true, -1 false, 0 not known
        self.level = 0  # how many decisions stand
        self._on_true = on_true
        self._watching: list[list[Clause]] = []  # by literal: the clauses to look at when it becomes false
        self._group: list[list[int] | None] = []  # by variable
        self._reason: list[Clause | None] = []  # by variable
        self._level_of: list[int] = []  # by variable
        self._trail: list[Literal] = []
        self._starts: list[int] = []  # of each level, in the trail
        self._looked_at = 0
        self._broken: Clause | None = None

    @property
    def known(self) -> int:
        """The number of assigned variables."""
        return len(self._trail)

    def variable(self, group: list[int] | None = None) -> int:
        """Return a new variable, one of `group`."""
        new = len(self._reason)
        self.truth += (0, 0)
        self._watching += ([], [])
        self._group.append(group)
        self._reason.append(None)
        self._level_of.append(0)
        if group is not None:
            group.append(new)
        return new

    def add(self, literals: Iterable[Literal], why: Hashable = None) -> None:
        """Add a clause; the next `propagate` finds its consequences."""
        self._attach(Clause(list(dict.fromkeys(literals)), why))

    def decide(self, literal: Literal) -> None:
        """Suppose the unassigned `literal`, one level up."""
        self._starts.append(len(self._trail))
        self.level += 1
        self._assign(literal, None)

    def propagate(self) -> Clause | None:
        """Assign every literal that follows; return a broken clause, or None if all clauses hold."""
        while self._broken is None and self._looked_at < len(self._trail):
            literal = self._trail[self._looked_at]
            self._looked_at += 1
            if not literal & 1:
                self._bar_group(literal)
                self._on_true(literal >> 1)
            if self._broken is None:
                self._broken = self._look_at(literal ^ 1)
        broken, self._broken = self._broken, None
        return broken

    def learn(self, broken: Clause) -> int:
        """Go back to the level where one decision is refuted, and return that level. Raises `Contradiction`."""
        deepest = max((self._level_of[literal >> 1] for literal in broken.literals), default=0)
        if deepest == 0:
            raise Contradiction(self._origins(broken))
        self._back_to(deepest)
        clause = self._first_unique(broken)
        levels = [self._level_of[literal >> 1] for literal in clause.literals[1:]]
        self._back_to(max(levels, default=0))
        self._attach(clause)
        return self.level

    def _assign(self, literal: Literal, reason: Clause | None) -> None:
        variable = literal >> 1
        self.truth[literal] = 1
        self.truth[literal ^ 1] = -1
        self._reason[variable] = reason
        self._level_of[variable] = self.level
        self._trail.append(literal)

    def _attach(self, clause: Clause) -> None:
        """Watch two literals that are not false, or the two that became false last."""
        literals, truth = clause.literals, self.truth
        if len(literals) == 1:
            literals.append(literals[0])
        if len(literals) > 1:
            if len(literals) > 2 or truth[literals[0]] < 0 or truth[literals[1]] < 0:  # else they are in order
                literals.sort(key=self._how_late, reverse=True)
            self._watching[literals[0]].append(clause)
            if literals[1] != literals[0]:
                self._watching[literals[1]].append(clause)
        if not literals or truth[literals[0]] < 0:
            self._broken = self._broken or clause
        elif truth[literals[0]] == 0 and (literals[0] == literals[1] or truth[literals[1]] < 0):
            self._assign(literals[0], clause)

    def _how_late(self, literal: Literal) -> int:
        return self._level_of[literal >> 1] if self.truth[literal] < 0 else self.level + 1

    def _bar_group(self, literal: Literal) -> None:
        group = self._group[literal >> 1]
        for other in group or ():
            barred = 2 * other
            if barred == literal or self.truth[barred] < 0:
                continue
            clause = Clause([barred ^ 1, literal ^ 1], None)
            if self.truth[barred] > 0:
                self._broken = clause
                return
            self._assign(barred ^ 1, clause)

    def _look_at(self, false: Literal) -> Clause | None:
        """Check the clauses that watch `false`; return a broken one, or None."""
        truth, watching = self.truth, self._watching
        clauses, kept = watching[false], []
        for at, clause in enumerate(clauses):
            literals = clause.literals
            if literals[0] == false:
                literals[0], literals[1] = literals[1], false
            first = literals[0]
            if truth[first] > 0:
                kept.append(clause)
                continue
            for place in range(2, len(literals)):
                other = literals[place]
                if truth[other] >= 0:
                    literals[1], literals[place] = other, false
                    watching[other].append(clause)
                    break
            else:
                kept.append(clause)
                if truth[first] < 0:
                    watching[false] = kept + clauses[at + 1 :]
                    return clause
                self._assign(first, clause)
        watching[false] = kept
        return None

    def _back_to(self, level: int) -> None:
        if level >= self.level:
            return
        start = self._starts[level]
        for literal in self._trail[start:]:
            self.truth[literal] = self.truth[literal ^ 1] = 0
            self._reason[literal >> 1] = None
        del self._trail[start:], self._starts[level:]
        self.level = level
        self._looked_at = len(self._trail)

    def _first_unique(self, broken: Clause) -> Clause:
        """Return the clause that says which single literal of this level, with earlier ones, breaks `broken`."""
        seen: set[int] = set()
        earlier: list[Literal] = []
        parents: list[Clause | int] = []
        place, open_here = len(self._trail), 0
        clause = broken
        while True:
            parents.append(clause)
            for literal in clause.literals:
                variable = literal >> 1
                if variable in seen or self.truth[literal] > 0:
                    continue
                seen.add(variable)
                if self._level_of[variable] == self.level:
                    open_here += 1
                elif self._level_of[variable]:
                    earlier.append(literal)
                else:
                    parents.append(variable)
            place -= 1
            while self._trail[place] >> 1 not in seen:
                place -= 1
            open_here -= 1
            literal = self._trail[place]
            if not open_here:
                return Clause([literal ^ 1, *earlier], None, parents)
            reason = self._reason[literal >> 1]
            assert reason is not None, "only a decision has no reason, and it is the first of its level"
            clause = reason

    def _origins(self, broken: Clause) -> list[Clause]:
        """Return the original clauses from which `broken` follows without any decision."""
        found: list[Clause] = []
        seen: set[int] = set()
        waiting: list[Clause | int] = [broken, *(literal >> 1 for literal in broken.literals)]
        while waiting:
            one = waiting.pop()
            if isinstance(one, int):
                if ~one in seen:
                    continue
                seen.add(~one)
                reason = self._reason[one]
                if reason is not None:
                    waiting += (reason, *(literal >> 1 for literal in reason.literals))
            elif id(one) not in seen:
                seen.add(id(one))
                waiting += one.parents
                if not one.parents:
                    found.append(one)
        return found
