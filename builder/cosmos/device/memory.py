"""A system's memory of the numbers that it has verified (`keyring.state`), and its trust anchors, judged by the memory.

All files are opened through the system's own root, so a link in it never leads outside. Who changes one of them is the
only writer of the system (`device.journal.at_work`), so this module needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER, TRUST_PATH, trust_bytes, trust_envelope
from cosmos.digest import Digest
from cosmos.errors import of_document
from cosmos.folders import FileIn
from cosmos.keyring.anchors import CHAIN
from cosmos.keyring.state import STATE_MODE, SYSTEM_STATE_NAME, state_bytes
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_ENVELOPE_BYTES
from cosmos.model.lock import LockedTrust
from cosmos.records import dataclass
from cosmos.trust.chain import step_file
from cosmos.trust.memory import Memory
from cosmos.trust.roots import TrustRoots, verify_roots

NOTHING_PINNED: Final = TrustRoots(version=0, roles={})
MEMORY_PATH: Final = STATE_FOLDER.joined(SYSTEM_STATE_NAME.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemTrust:
    """A system's trust anchors and its memory; `locked` and `memory` are None if it has none."""

    roots: TrustRoots
    locked: LockedTrust | None
    memory: Memory | None


@dataclass(frozen=True, slots=True)
class SystemState:
    """A system's memory, as `keyring` changes it. The caller is the only writer of the system."""

    root: LiveRoot

    @property
    def path(self) -> Path:
        """The file's path, for messages."""
        return self.root.path / MEMORY_PATH.text

    def read(self) -> Memory | None:
        """Return the memory, or None before the first command that remembers. Raises `Malformed` or `WorldFailed`."""
        return read_memory(self.root)

    def change(self, change: Callable[[Memory], Memory]) -> None:
        """Write the memory that `change` returns. If `change` raises, nothing is written."""
        remember(self.root, change)


def system_anchor(root: LiveRoot) -> FileIn:
    """Return where a system keeps its trust anchors."""
    return root.below(SETTINGS_FOLDER).file(TRUST_PATH.name.decode())


def read_memory(root: LiveRoot) -> Memory | None:
    """Return the system's memory; None if there is no such file."""
    data = root.document(MEMORY_PATH, max_bytes=MAX_DOCUMENT_BYTES)
    return None if data is None else Memory.parse(data, shown(MEMORY_PATH))


def remember(root: LiveRoot, change: Callable[[Memory], Memory]) -> None:
    """Change the memory by `change`, durably. If `change` raises, the memory stays as it was."""
    before = read_memory(root)
    after = change(before or Memory())
    if after != before:
        root.replace_document(MEMORY_PATH, state_bytes(after), mode=STATE_MODE)


def system_trust(root: LiveRoot) -> SystemTrust:
    """Return the keys that this system's operator trusts: none if no trust.toml was ever accepted.

    Raises `Refused` for trust anchors that are older than the memory, or that differ from it under the same version.
    """
    data, memory = trust_bytes(root), read_memory(root)
    if data is None:
        return SystemTrust(roots=NOTHING_PINNED, locked=None, memory=memory)
    with of_document(data):
        roots = verify_roots(data, _envelope(root, data), shown(TRUST_PATH))
    if memory is not None:
        memory.with_trust(roots.version, Digest.of(data), shown(TRUST_PATH))
    return SystemTrust(roots=roots, locked=LockedTrust(version=roots.version, digest=Digest.of(data)), memory=memory)


def _envelope(root: LiveRoot, data: bytes) -> bytes | None:
    """Return the envelope of the anchors: from chain/ if it has the same bytes, else from beside the anchors."""
    name = step_file(TrustRoots.parse(data, shown(TRUST_PATH)).version)
    folder = SETTINGS_FOLDER.joined(CHAIN.encode())
    if root.document(folder.joined(name.encode()), max_bytes=MAX_DOCUMENT_BYTES) == data:
        return root.document(folder.joined(f"{name}.dsse".encode()), max_bytes=MAX_ENVELOPE_BYTES)
    return trust_envelope(root)
