"""What the units miscount is bounded by the builder's own processor time."""

from __future__ import annotations

import time

import pytest

from cosmos.errors import ScriptFailed
from cosmos.nova import meter as module
from cosmos.nova.meter import BudgetError, Meter
from cosmos.nova.virtual_root import VirtualRoot
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


class Processor:
    """The processor clock of this process, on which no other thread and no collection of garbage counts."""

    def __init__(self) -> None:
        self.seconds = 7.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Processor:
    clock = Processor()
    monkeypatch.setattr(module.time, "process_time", clock)
    return clock


def test_a_meter_begins_at_the_processor_clock_of_now():
    before = time.process_time()
    assert before <= Meter()._began <= time.process_time()


def test_verbs_that_cost_more_than_they_are_charged_are_stopped(processor):
    meter = Meter(max_seconds=0.2, _began=processor())
    processor.seconds += 0.1
    meter.charge(600_000)
    processor.seconds += 0.3
    with pytest.raises(BudgetError, match=r"its verbs took more than 0\.2 seconds"):
        meter.charge(600_000)


def test_what_has_bounds_of_its_own_is_not_counted(processor):
    meter = Meter(max_seconds=0.2, _began=processor())
    with meter.program():
        processor.seconds += 0.4
    meter.charge(600_000)


@pytest.mark.slow
def test_a_file_that_leaves_its_hard_links_behind_is_paid_for_by_each_of_them(install, entry):
    files = [entry("h/f"), *(entry(f"h/l{number:03}", "hardlink", target=b"h/f") for number in range(500))]
    with pytest.raises(ScriptFailed, match="more work through its verbs than the limit"):
        install('for _ = 1, 7 do copy("h/", "/h/") end', files=files)


def test_folders_that_nobody_names_are_paid_for_where_a_glob_goes_through_them():
    meter = Meter()
    path = TreePath(b"/".join([b"d"] * 60))
    root = VirtualRoot(own={path: Entry(path=path, kind="file", mode=0o644)}, lower={}, epoch=0, meter=meter,
                       on_read=lambda *_: None)  # fmt: skip
    root.own_paths(TreePath(b"d"))
    assert meter.work >= 60


def test_a_receipt_is_bounded_in_bytes():
    meter = Meter()
    with pytest.raises(BudgetError, match="its receipt has more than 16 MiB"):
        for _ in range(17):
            meter.count_event(1 << 20)
