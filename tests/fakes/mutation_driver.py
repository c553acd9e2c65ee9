"""Reads mutations of documents, with 1 GiB of address space and 30 s for each.

    python mutation_driver.py FIRST COUNT [KIND]...

It prints a JSON object for each kind, a line each: the outcomes with their counts, the failures, and the most memory
and time. A failure is any exception that is none of `cosmos.errors`. It names the mutation by its number.
"""

from __future__ import annotations

import collections
import json
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cosmos.errors import CosmosError
from fakes.document_kinds import KINDS
from fakes.mutations import mutated

MEMORY_BYTES = 1 << 30
SECONDS = 30


class TooLong(BaseException):
    """A reader took more than `SECONDS`. It is no `Exception`, so that no reader catches it."""


def _too_long(number: int, frame: FrameType | None) -> NoReturn:
    raise TooLong


def outcome_of(data: bytes, read: Callable[[bytes], object]) -> str:
    """Return what comes of reading `data`: "read", the exit code of a refusal, or what went wrong and where."""
    signal.alarm(SECONDS)
    try:
        read(data)
    except CosmosError as error:
        str(error).encode("utf-8", "backslashreplace")
        return f"exit {error.exit_code}"
    except (Exception, TooLong) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
    finally:
        signal.alarm(0)
    return "read"


def tried(name: str, first: int, count: int) -> dict[str, object]:
    """Return what came of the mutations `first` to `first + count - 1` of one kind."""
    kind = KINDS[name]
    seeds = kind.seeds()
    assert seeds, f"{name} has no examples"
    for seed in seeds:
        kind.read(seed)  # an honest example must pass, or nothing is tried
    outcomes: collections.Counter[str] = collections.Counter()
    failures: dict[str, str] = {}
    slowest_seconds = 0.0
    for number in range(first, first + count):
        data = mutated(seeds, number)
        start = time.perf_counter()
        outcome = outcome_of(data, kind.read)
        slowest_seconds = max(slowest_seconds, time.perf_counter() - start)
        outcomes[outcome] += 1
        if outcome != "read" and not outcome.startswith("exit "):
            failures.setdefault(outcome, f"mutation {number}: {data[:200]!r}")
    peak_kib = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return {
        "kind": name,
        "outcomes": dict(sorted(outcomes.items())),
        "failures": failures,
        "peak-mib": peak_kib >> 10,
        "slowest-ms": round(slowest_seconds * 1000),
    }


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    for one in sys.argv[3:] or KINDS:
        print(json.dumps(tried(one, int(sys.argv[1]), int(sys.argv[2]))), flush=True)
