"""The state file: the newest versions that this machine has seen (`trust.memory`), so that it refuses older ones.

    HOME/trust/state.toml                     of a builder
    ROOT/var/lib/cosmos/trust-state.toml      of a running system (device.memory reads and writes it)

Its mode is 0600. It is written durably, by one process at a time. Without it nobody can judge a rollback, and the
command that needs it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import tomli_w

from cosmos.folders import FileIn, folder_at
from cosmos.limits import MAX_DOCUMENT_BYTES, SETTINGS_SECONDS
from cosmos.records import dataclass
from cosmos.trust.memory import Memory

NO_MEMORY: Final = "this machine remembers no earlier versions, so that a rollback cannot be judged"
_TITLE: Final = "# what this machine has seen; kept so that nothing older is taken for new\n"
STATE_MODE: Final = 0o600
SYSTEM_STATE_NAME: Final = "trust-state.toml"
_LOCK: Final = "lock"  # beside the file, for its owner alone


class State(Protocol):
    """The memory of a home or a system."""

    @property
    def path(self) -> Path:
        """The file's path, for messages."""

    def read(self) -> Memory | None:
        """Return the memory, or None before the first command that remembers. Raises `Malformed` or `WorldFailed`."""

    def change(self, change: Callable[[Memory], Memory]) -> None:
        """Write the memory that `change` returns. If `change` raises, nothing is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateFile:
    """The memory of a builder's home."""

    file: FileIn

    @property
    def path(self) -> Path:
        """The file's path, for messages."""
        return self.file.path

    def read(self) -> Memory | None:
        """Return the memory, or None if there is no state file yet; raises `Malformed` or `WorldFailed`."""
        data = self.file.read(MAX_DOCUMENT_BYTES)
        return None if data is None else Memory.parse(data, str(self.path))

    def change(self, change: Callable[[Memory], Memory]) -> None:
        """Write the memory that `change` returns. If `change` raises, nothing is written.

        The kernel frees the lock if this process is killed. Raises `WorldFailed` if another process holds it too long.
        """
        now = self.read()
        if now is not None and change(now) == now:
            return  # so that a home on a medium that is read-only can be used
        with self.file.folder.locked_in_time(_LOCK, SETTINGS_SECONDS, str(self.path)):
            before = self.read()
            after = change(before or Memory())
            if before is None or after != before:
                self.file.write(state_bytes(after), mode=STATE_MODE)


def state_bytes(memory: Memory) -> bytes:
    """Return the bytes of the state file that holds `memory`."""
    return (_TITLE + tomli_w.dumps(memory.to_toml())).encode()


def home_state(home: Path) -> StateFile:
    """Return where a builder's home keeps its memory."""
    return StateFile(file=folder_at(home / "trust").file("state.toml"))
