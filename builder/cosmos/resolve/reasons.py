"""Find a minimal set of reasons why there is no solution: without any one of them there is one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from cosmos.resolve.clauses import Clause, Clauses, Contradiction

MAX_TRIED_REASONS: Final = 200  # a second's work; people's conflicts have 2 to 20


def needed_reasons(clauses: Sequence[Clause]) -> list[Hashable]:
    """Return why `clauses` have no solution: a minimal set of reasons, in a fixed order.

    It leaves out each reason in turn. If there is still no solution, the reason is not needed. If there are more than
    `MAX_TRIED_REASONS` (a long chain) it returns all, because each try costs as much as there are reasons.
    """
    core = [(tuple(clause.literals), clause.why) for clause in clauses]
    waiting = sorted({clause.why for clause in clauses if clause.why is not None}, key=str)
    needed: list[Hashable] = []
    if len(waiting) > MAX_TRIED_REASONS:
        return waiting
    while waiting:
        one = waiting.pop(0)
        smaller = _contradiction([row for row in core if row[1] != one])
        if smaller is None:
            needed.append(one)
        else:
            core = smaller
            left = {why for _, why in core}
            waiting = [why for why in waiting if why in left]
    return needed


_Row = tuple[tuple[int, ...], Hashable]


def _contradiction(rows: Sequence[_Row]) -> list[_Row] | None:
    """Return some of `rows` that have no solution together, or None if all rows together have one."""
    clauses = Clauses(lambda _: None)
    numbers: dict[int, int] = {}
    for literals, why in rows:
        for literal in literals:
            if literal >> 1 not in numbers:
                numbers[literal >> 1] = clauses.variable()
        clauses.add([2 * numbers[literal >> 1] + (literal & 1) for literal in dict.fromkeys(literals)], why)
    back = {number: variable for variable, number in numbers.items()}
    try:
        _solve(clauses, len(numbers))
    except Contradiction as found:
        return [
            (tuple(2 * back[literal >> 1] + (literal & 1) for literal in clause.literals), clause.why)
            for clause in found.clauses
        ]
    return None


def _solve(clauses: Clauses, variables: int) -> None:
    """Find any solution; raises `Contradiction`."""
    starts: list[int] = []
    at = 0
    while True:
        broken = clauses.propagate()
        if broken is not None:
            level = clauses.learn(broken)
            if level < len(starts):
                at = starts[level]
                del starts[level:]
            continue
        while at < variables and clauses.truth[2 * at]:
            at += 1
        if at == variables:
            return
        starts.append(at)
        clauses.decide(2 * at + 1)
