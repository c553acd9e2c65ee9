"""Random libraries: what is chosen is what the rule says, and there is a solution just where brute force finds one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos.errors import NoSolution
from cosmos.model.names import Arch
from cosmos.resolve.judging import faults
from cosmos.resolve.resolving import Resolved, resolve
from fakes.naive_resolver import by_the_rule
from fakes.random_libraries import RandomCase, random_case

MACHINE = Arch("x86_64")
BLOCK = 3_000
BLOCKS = 20


def solve(case: RandomCase) -> tuple[Resolved, ...]:
    return resolve(case.wishes, case.offered, MACHINE, case.kept, upgraded=case.upgraded)


def compare(seed: int) -> bool:
    """Compare one case; return whether it has a solution."""
    case = random_case(seed)
    expected = by_the_rule(case)
    try:
        found = solve(case)
    except NoSolution as error:
        assert expected is None, f"seed {seed}: {expected} is a solution, but {error}"
        assert error.hint
        return False
    rows = {str(row.star): ({str(name) for name in row.dependencies}, set(row.wanted_by)) for row in found}
    assert rows == expected, f"seed {seed}"
    assert faults(case.wishes, [row.placed for row in found], MACHINE) == ()
    return True


def test_what_is_chosen_is_what_the_rule_says() -> None:
    solved = sum(compare(seed) for seed in range(3_000))
    assert 750 < solved < 2_850, "both kinds of cases are there"


def test_the_order_in_which_things_are_written_changes_nothing_and_neither_does_a_second_freeze() -> None:
    for seed in range(500):
        case = random_case(seed)
        try:
            found = solve(case)
        except NoSolution:
            continue
        turned = {name: dict(reversed(stars.items())) for name, stars in case.galaxies.items()}
        other = replace(case, galaxies=turned, wishes=case.wishes[::-1], kept=dict(reversed(case.kept.items())))
        again = solve(other)
        assert again == found, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("block", range(BLOCKS))
def test_what_is_chosen_is_what_the_rule_says_in_sixty_thousand_libraries(block: int) -> None:
    for seed in range(10_000 + block * BLOCK, 10_000 + (block + 1) * BLOCK):
        compare(seed)
