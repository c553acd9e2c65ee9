"""Make a system of a bare tree: settings, and an empty universe that comes with the first line of its history."""

from __future__ import annotations

from cosmos.device.journal import journal
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.settings import SETTINGS_PATH, write_settings
from cosmos.device.system import rendered, universe_bytes
from cosmos.device.transaction import Transaction
from cosmos.digest import Digest
from cosmos.limits import MAX_DOCUMENT_BYTES
from cosmos.model.names import Arch
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.records import dataclass
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class Initialised:
    """The documents that `initialise` wrote, and those that it found and kept."""

    wrote: tuple[TreePath, ...]
    kept: tuple[TreePath, ...]


def initialise(root: LiveRoot, *, arch: Arch, version: str) -> Initialised:
    """Write the settings and an empty universe if they are missing. Existing documents stay as they are.

    The caller is the only writer of the system (`device.journal.at_work`).
    """
    wrote, kept = list[TreePath](), list[TreePath]()
    if root.document(SETTINGS_PATH, max_bytes=MAX_DOCUMENT_BYTES) is None:
        write_settings(root, Settings())
        wrote.append(SETTINGS_PATH)
    else:
        kept.append(SETTINGS_PATH)
    if universe_bytes(root) is None:
        recover_journal(root)
    if universe_bytes(root) is None:
        empty = rendered(Universe(arch=arch, version=version))
        with journal(root, tag=Digest.of(empty).short, command="init") as going_on:
            transaction = Transaction(root, going_on)
            transaction.publish()
            transaction.commit(empty)
        wrote.append(UNIVERSE_PATH)
    else:
        kept.append(UNIVERSE_PATH)
    return Initialised(wrote=tuple(wrote), kept=tuple(kept))
