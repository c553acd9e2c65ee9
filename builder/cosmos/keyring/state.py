"""The state file: the newest versions that this machine has seen (`trust.memory`), so that it refuses older ones.

    HOME/trust/state.toml                     of a builder
    ROOT/var/lib/cosmos/trust-state.toml      of a running system

Its mode is 0600. It is written durably, by one process at a time. Without it nobody can judge a rollback, and the
command that needs it says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tomli_w

from cosmos.durable import blaming, make_folder, write_durably
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.locking import take
from cosmos.reading import read_if_there
from cosmos.trust.memory import Memory

NO_MEMORY: Final = "this machine remembers no earlier versions, so that a rollback cannot be judged"
_TITLE: Final = "# what this machine has seen; kept so that nothing older is taken for new\n"
STATE_MODE: Final = 0o600
SYSTEM_STATE_NAME: Final = "trust-state.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class StateFile:
    """The memory on disk."""

    path: Path

    def read(self) -> Memory | None:
        """Return the memory, or None if there is no state file yet; raises `Malformed` or `WorldFailed`."""
        data = read_if_there(self.path, MAX_DOCUMENT_BYTES)
        return None if data is None else Memory.parse(data, str(self.path))

    def change(self, change: Callable[[Memory], Memory]) -> None:
        """Write the memory that `change` returns. If `change` raises, nothing is written."""
        with self._alone():
            before = self.read()
            after = change(before or Memory())
            if before is None or after != before:
                write_durably(self.path, state_bytes(after), mode=STATE_MODE)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the state file against other processes; the kernel frees it if this process is killed."""
        with blaming(self.path):
            make_folder(self.path.parent)
            number = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            take(number, "alone")
            yield
        finally:
            os.close(number)


def state_bytes(memory: Memory) -> bytes:
    """Return the bytes of the state file that holds `memory`."""
    return (_TITLE + tomli_w.dumps(memory.to_toml())).encode()


def home_state(home: Path) -> StateFile:
    """Return where a builder's home keeps its memory."""
    return StateFile(path=home / "trust" / "state.toml")


def system_state(root: Path) -> StateFile:
    """Return where the system at `root` keeps its memory."""
    return StateFile(path=root / "var" / "lib" / "cosmos" / SYSTEM_STATE_NAME)
