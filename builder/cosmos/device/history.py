"""The history of a system as `cosmos history` judges it: the file holds together, and ends with the present universe.

No lock is taken, so another cosmos may change the system meanwhile. Universe and history are read until both were read
between two changes. While a change is going on, or was cut off, the end of the history is not judged.
"""

from __future__ import annotations

from cosmos.device.history_file import history_bytes
from cosmos.device.journal import Standing, changing_command, standing
from cosmos.device.recovery import universe_digest
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import HISTORY_PATH, demand_system
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.history import Fault, History, HistoryHead, HistoryLine
from cosmos.records import dataclass

_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedHistory:
    """The changes of a system, the oldest first. `head` is None if the system has no history yet.

    `faults` are the lines that do not hold together. `universe` is the digest of universe.toml now.
    """

    head: HistoryHead | None
    changes: tuple[HistoryLine, ...]
    faults: tuple[Fault, ...]
    universe: Digest
    standing: Standing
    command: str = ""  # whose change is running or was cut off


def judged_history(root: LiveRoot) -> JudgedHistory:
    """Return the history of the system, with its faults; raises `NoSystem` if there is no universe."""
    demand_system(root)
    for _ in range(_TRIES):
        before = standing(root), universe_digest(root)
        data = history_bytes(root)
        after = standing(root), universe_digest(root)
        if before == after:
            break
    state, universe = after
    command = "" if state == "idle" else changing_command(root)
    if data is None:
        return JudgedHistory(head=None, changes=(), faults=(), universe=universe, standing=state, command=command)
    try:
        found = History.parse(data, shown(HISTORY_PATH))
    except Malformed as error:
        fault = Fault(line=1, problem=error.problem)
        return JudgedHistory(head=None, changes=(), faults=(fault,), universe=universe, standing=state, command=command)
    faults = found.faults
    if before == after and state == "idle":
        faults = (*faults, *_end_faults(found, universe))
    return JudgedHistory(
        head=found.head, changes=found.changes, faults=faults, universe=universe, standing=state, command=command
    )


def _end_faults(found: History, universe: Digest) -> tuple[Fault, ...]:
    last = found.last
    if last is None or last.after == universe:
        return ()
    problem = (
        f"the history ends with the universe {last.after}, but universe.toml is {universe}: lines after it are gone, "
        "or something else changed universe.toml"
    )
    return (Fault(line=found.lines, problem=problem),)
