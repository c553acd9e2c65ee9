"""How long the trusted side waits for a worker: the worker's own time counts, not what else the machine does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.nova.confine import run_confined
from cosmos.nova.outcome import Limits, Outcome
from cosmos.nova.workers import WORKER
from cosmos.sandbox import conversation
from cosmos.sandbox.conversation import Patience
from cosmos.sandbox.probe import demand_sandbox
from fakes.waiting import forked, soon

HOGS = 6  # on a machine that is otherwise quiet, a script takes seven times as long among them
ROUNDS = 20
SCRIPT = b"function install() for _ = 1, 4000000 do end end"


def taken(seconds: float) -> float:
    """Run the script with so much patience, and return how long it took."""
    began = time.monotonic()
    patience = Patience(seconds=seconds)
    outcome = run_confined(SCRIPT, "x", "install", Limits(), patience, lambda *_: (True, None))
    assert outcome == Outcome(ending="done", problem="")
    return time.monotonic() - began


def busy_for_ever() -> None:
    os.setsid()  # the kernel gives each session an equal share, as it does to the zygote's
    while True:
        pass


def alone_and_among_hogs() -> None:
    """Run a script alone on one processor, then in the same time among programs that want the same processor.

    Again and again until the second took twice as long: other programs of the machine may come and go meanwhile.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    conversation._zygotes.clear()  # a new one is bound to the same processor
    demand_sandbox(WORKER)
    for _ in range(ROUNDS):
        alone = min(taken(600) for _ in range(3))
        if among_hogs(lambda patience=alone: max(taken(patience) for _ in range(3))) > 2 * alone:
            return
    raise AssertionError("the processor was not shared, and nothing was tried")


def among_hogs(work: Callable[[], float]) -> float:
    hogs = [forked(busy_for_ever) for _ in range(HOGS)]
    try:
        return work()
    finally:
        for hog in hogs:
            os.kill(hog, signal.SIGKILL)
            os.waitpid(hog, 0)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count who waits")
def test_a_script_is_not_stopped_for_what_else_the_machine_does():
    assert os.waitstatus_to_exitcode(os.waitpid(forked(alone_and_among_hogs), 0)[1]) == 0


def test_time_that_a_worker_only_sleeps_is_not_given_back():
    sleeper = forked(lambda: time.sleep(600))
    try:
        assert soon(lambda: Path(f"/proc/{sleeper}/stat").read_text().rpartition(")")[2].split()[0] == "S")
        waited = conversation._queued_seconds(str(sleeper)) - conversation._queued_seconds("thread-self")
        patience = Patience(seconds=-1000)
        time.sleep(0.3)
        assert not patience.give_back(str(sleeper))
        waited += conversation._queued_seconds("thread-self")
        assert patience.seconds < -999.9 + waited, "no more than both waited for a processor"
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)


def test_a_busy_machine_gives_back_no_more_than_its_share(monkeypatch):
    queued = {"thread-self": 0.0, "7": 0.0}
    monkeypatch.setattr(conversation, "_queued_seconds", lambda process: queued[process])
    patience = Patience(seconds=0, _load_seconds=10)
    queued.update({"7": 4.0})
    assert patience.give_back("7")
    assert patience.seconds == 4
    queued.update({"7": 4.5, "thread-self": 1})
    patience.give_back("7")
    assert patience.seconds == 5.5, "only what is new since the last time"
    queued.update({"7": 1e6})
    patience.give_back("7")
    assert patience.seconds == 10
