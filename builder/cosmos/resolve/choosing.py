"""The rule that chooses the stars: docs/formats/lock.md, "What is chosen".

Each step takes the first choice that still leaves a solution:

  1. each star to upgrade, by name: its newest version. Then each other star of the old lock, by name: only its locked
     version
  2. each demand that one star alone can answer, first wishes by name, then as the stars came in: the locked version,
     else the newest; pre-releases last
  3. each demand that several stars can answer: no new star if a chosen star answers it already; else a star of the old
     lock; else the alternatives as written. For each alternative: the star of that name first, then the stars that
     provide it, by name; of each the newest version. Then step 2 again, for the demands of the new stars
  4. a star that no other star needs in the end, because a later star answers as well, is left out (resolve.resolving)

The search tries each choice. If a choice leaves no solution, the search learns why, goes back to it and makes the later
choices again. To go back less often, it adds the rules of a star's likely dependencies before it takes the star.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from cosmos.model.names import StarName
from cosmos.model.version import Version
from cosmos.resolve.catalogue import Wish
from cosmos.resolve.problem import Ask, Problem

MAX_STEPS: Final = 3_000_000  # suppositions, half a minute's work; 10,000 stars without conflicts need 20,000

_END, _AGAIN = -1, -2
_Mark: TypeAlias = tuple[int, int, int, int, int, int]


class TooLong(Exception):
    """The search was given up after `MAX_STEPS`."""


class Chooser:
    """Makes the choices of the rule; a refuted choice is made again."""

    def __init__(
        self, problem: Problem, wishes: Sequence[Wish], kept: Mapping[StarName, Version], upgraded: Collection[StarName]
    ) -> None:
        self._problem = problem
        self._clauses = problem.clauses
        self._locked = {*kept, *upgraded}
        ordered = sorted(wishes, key=lambda wish: (wish.name, wish.constraint.text, wish.who))
        asks = [problem.wish(wish) for wish in ordered]
        held = (problem.keep(name) for name in sorted(kept))
        self._held = [literal for name in sorted(upgraded) for literal in problem.move(name)]
        self._held += [literal for literal in held if literal is not None]
        self._chosen: list[int] = []
        self._is_chosen: set[int] = set()
        self._one: list[tuple[Ask, ...]] = []  # the demands that one star alone can answer
        self._several: list[tuple[Ask, ...]] = []
        self._sort_in((ask,) for ask in asks)
        self._at_held = self._at_one = self._at_several = 0
        self._stamp = 1  # changes when the first choice may have changed
        self._known: int | None = None  # the number of assigned variables before the newest rules were added
        self._looked: defaultdict[int, int] = defaultdict(int)  # by star: the stamp when it was last looked at
        self._marks: list[_Mark] = []  # where each decision was made

    def choose(self) -> list[int]:
        """Return the variables of the chosen stars; raises `Contradiction`, `TooLong`."""
        for _ in range(MAX_STEPS):
            broken = self._clauses.propagate()
            if self._known is not None:
                self._stamp += self._clauses.known > self._known
                self._known = None
            if broken is not None:
                self._return_to(self._clauses.learn(broken))
                self._stamp += 1
                continue
            literal = self._next()
            if literal == _END:
                return self._chosen
            if literal == _AGAIN:
                continue
            self._marks.append(self._mark())
            self._clauses.decide(literal)
        raise TooLong

    def _next(self) -> int:
        """Go on to the next literal to suppose, and return it; or `_AGAIN` if rules were added, or `_END`."""
        truth = self._clauses.truth
        while self._at_held < len(self._held):
            if not truth[self._held[self._at_held]]:
                return self._held[self._at_held]
            self._at_held += 1
        while True:
            if self._at_one < len(self._one):
                need = self._one[self._at_one]
                first = None if self._is_answered(need) else self._first(need[0].stars)
                if first is not None and not truth[2 * first]:
                    return 2 * first
                if first is not None and self._looks_ahead(first):
                    return _AGAIN
                self._at_one += 1
                if first is not None:
                    self._take(first)
                elif not self._is_answered(need):
                    self._several.append(need)
            elif self._at_several < len(self._several):
                need = self._several[self._at_several]
                if not self._is_answered(need):
                    first = self._first(self._in_order(need))
                    if first is None:  # not refuted yet: suppose it, to find out
                        return next(ask.literal for ask in need if not truth[ask.literal])
                    if not truth[2 * first]:
                        return 2 * first
                    if self._looks_ahead(first):
                        return _AGAIN
                    self._take(first)
                self._at_several += 1
            else:
                return _END

    def _is_answered(self, need: tuple[Ask, ...]) -> bool:
        chosen = self._is_chosen
        return any(one in chosen for ask in need for answers in (ask.stars, ask.providers) for one in answers)

    def _first(self, choices: Iterable[int]) -> int | None:
        truth = self._clauses.truth
        return next((one for one in choices if truth[2 * one] >= 0), None)

    def _in_order(self, need: tuple[Ask, ...]) -> Iterator[int]:
        answers = [one for ask in need for one in (*ask.stars, *ask.providers)]
        yield from (one for one in answers if self._problem.candidate(one).name in self._locked)
        yield from answers

    def _looks_ahead(self, variable: int) -> bool:
        """Add the rules of the star's likely dependencies; return whether any rule was new."""
        new, stamp, waiting, known = False, self._stamp, [variable], self._clauses.known
        while waiting:
            one = waiting.pop()
            if self._looked[one] == stamp:
                continue
            self._looked[one] = stamp
            new = self._problem.add_rules(one) or new
            for need in self._problem.needs(one):
                first = None if self._is_answered(need) else self._first(self._in_order(need))
                if first is not None and self._looked[first] != stamp:
                    waiting.append(first)
        if new:
            self._known = known
        return new

    def _take(self, variable: int) -> None:
        self._chosen.append(variable)
        self._is_chosen.add(variable)
        self._sort_in(self._problem.needs(variable))

    def _sort_in(self, needs: Iterable[tuple[Ask, ...]]) -> None:
        for need in needs:
            (self._one if len(need) == 1 and need[0].listed else self._several).append(need)

    def _mark(self) -> _Mark:
        lengths = len(self._chosen), len(self._one), len(self._several)
        return (*lengths, self._at_held, self._at_one, self._at_several)

    def _return_to(self, level: int) -> None:
        if level >= len(self._marks):
            return
        chosen, one, several, self._at_held, self._at_one, self._at_several = self._marks[level]
        self._is_chosen.difference_update(self._chosen[chosen:])
        del self._chosen[chosen:], self._one[one:], self._several[several:], self._marks[level:]
