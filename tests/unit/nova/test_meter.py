"""What the units miscount is bounded by the builder's own processor time."""

from __future__ import annotations

import time

import pytest

from cosmos.nova.meter import BudgetError, Meter


def busy(seconds: float) -> None:
    """Use the processor for so long."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_verbs_that_cost_more_than_they_are_charged_are_stopped():
    meter = Meter(max_seconds=0.01)
    busy(0.02)
    with pytest.raises(BudgetError, match=r"its verbs took more than 0\.01 seconds"):
        meter.charge(600_000)


def test_what_has_bounds_of_its_own_is_not_counted():
    meter = Meter(max_seconds=0.01)
    with meter.program():
        busy(0.02)
    meter.charge(600_000)


def test_a_receipt_is_bounded_in_bytes():
    meter = Meter()
    with pytest.raises(BudgetError, match="its receipt has more than 16 MiB"):
        for _ in range(17):
            meter.count_event(1 << 20)
