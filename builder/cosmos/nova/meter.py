"""Limit the cost of one script's verbs: work, bytes written or copied, entries, events, log, programs.

Work is counted in units, so that a script stops at the same place on every machine. In case the units count too little,
the processor time that this process spends on a script's verbs is limited as well.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Final, Self

from cosmos.limits import (
    MAX_NOVA_EVENTS,
    MAX_NOVA_LOG_BYTES,
    MAX_NOVA_PROGRAMS_SECONDS,
    MAX_NOVA_RECEIPT_BYTES,
    MAX_NOVA_VERB_SECONDS,
    MAX_NOVA_WORK,
    MAX_NOVA_WRITTEN_BYTES,
    MAX_STAR_ENTRIES,
    MAX_STAR_UNPACKED_BYTES,
    MIB,
)
from cosmos.records import dataclass

CALL_COST: Final = 800  # of one verb and its messages, in units of about 0.1 microseconds
LOOK_COST: Final = 10  # of one component of a path
ENTRY_COST: Final = 100  # of one entry copied
_UNITS_A_LOOK: Final = 500_000  # at the processor clock: 50 milliseconds of work that is counted as it should be


class BudgetError(Exception):
    """A script passed a limit. Nothing in the script can catch it. The text names the limit."""


class VerbError(Exception):
    """A verb failed. A script may catch it; uncaught, it is a `ScriptFailed`. `hint` says what to write instead."""

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


@dataclass(kw_only=True, slots=True)
class Meter:
    """The running totals. Each method raises `BudgetError` past its limit."""

    max_work: int = MAX_NOVA_WORK
    max_seconds: float = MAX_NOVA_VERB_SECONDS
    max_copied_bytes: int = MAX_STAR_UNPACKED_BYTES
    work: int = 0
    written_bytes: int = 0
    copied_bytes: int = 0
    log_bytes: int = 0
    entries: int = 0
    events: int = 0
    receipt_bytes: int = 0
    programs_seconds: float = 0
    _began: float = field(default_factory=time.process_time)
    _next_look: int = _UNITS_A_LOOK

    @classmethod
    def unbounded(cls) -> Self:
        """Return a meter without limits, for work that no script causes: the archive has its own limits."""
        return cls(max_work=sys.maxsize, max_seconds=math.inf)

    def lift(self) -> None:
        """Count work without a limit from now on, for what no script causes."""
        self.max_work, self.max_seconds = sys.maxsize, math.inf

    def charge(self, units: int) -> None:
        """Count `units` of work."""
        self.work += units
        if self.work > self.max_work:
            raise BudgetError(f"it did more work through its verbs than the limit of {self.max_work} units")
        if self.work > self._next_look:
            self._next_look = self.work + _UNITS_A_LOOK
            if time.process_time() - self._began > self.max_seconds:
                raise BudgetError(f"its verbs took more than {self.max_seconds} seconds")

    @contextmanager
    def program(self) -> Iterator[None]:
        """Count the time that a program of `run()` takes. This process's own time is not counted: the program, its
        input and its output have their own limits.
        """
        began, spent = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            self.programs_seconds += time.monotonic() - began
            self._began += time.process_time() - spent
        if self.programs_seconds > MAX_NOVA_PROGRAMS_SECONDS:
            raise BudgetError(f"its programs took more than {MAX_NOVA_PROGRAMS_SECONDS} seconds together")

    def count_written(self, size_bytes: int) -> None:
        """Count bytes that a script writes."""
        self.written_bytes += size_bytes
        if self.written_bytes > MAX_NOVA_WRITTEN_BYTES:
            raise BudgetError(f"it wrote more than {MAX_NOVA_WRITTEN_BYTES // MIB} MiB")

    def count_log(self, size_bytes: int) -> None:
        """Count bytes of log, each line with its share of the receipt."""
        self.log_bytes += size_bytes + 16
        if self.log_bytes > MAX_NOVA_LOG_BYTES:
            raise BudgetError(f"it logged more than {MAX_NOVA_LOG_BYTES // MIB} MiB")

    def count_event(self, size_bytes: int) -> None:
        """Count one event of the receipt, and its bytes."""
        self.events += 1
        self.receipt_bytes += size_bytes
        if self.receipt_bytes > MAX_NOVA_RECEIPT_BYTES:
            raise BudgetError(f"its receipt has more than {MAX_NOVA_RECEIPT_BYTES // MIB} MiB")
        if self.events > MAX_NOVA_EVENTS:
            raise BudgetError(f"it did or saw more than {MAX_NOVA_EVENTS} things")

    def count_entry(self, size_bytes: int) -> None:
        """Count one entry put into the layer, and its content's bytes."""
        self.charge(ENTRY_COST)
        self.entries += 1
        self.copied_bytes += size_bytes
        if self.entries > MAX_STAR_ENTRIES:
            raise BudgetError(f"it made more than {MAX_STAR_ENTRIES} entries")
        if self.copied_bytes > self.max_copied_bytes:
            raise BudgetError(f"it copied more than {self.max_copied_bytes // MIB} MiB")
