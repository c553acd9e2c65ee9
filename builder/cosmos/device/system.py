"""The documents of a system: where each lies, its universe and its trust anchors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_ENVELOPE_BYTES, MAX_UNIVERSE_BYTES, demand_within
from cosmos.model.image import GalaxySource
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.treepath import TreePath

SETTINGS_FOLDER: Final = SETTINGS_PATH.parent
TRUST_PATH: Final = SETTINGS_FOLDER.joined(b"trust.toml")
STATE_FOLDER: Final = TreePath(b"var/lib/cosmos")
LOCK_NAME: Final = b"lock"  # in the state folder: its holder is the only process that changes this system
JOURNAL_FOLDER: Final = STATE_FOLDER.joined(b"journal")
JOURNAL_PATH: Final = JOURNAL_FOLDER.joined(b"install")  # every version of cosmos uses this name
NEXT_UNIVERSE_PATH: Final = JOURNAL_FOLDER.joined(b"universe.toml")  # the universe.toml of after the commit

HISTORY_PATH: Final = STATE_FOLDER.joined(b"history.jsonl")
HISTORY_ASIDE_PATH: Final = STATE_FOLDER.joined(b"history.set-aside")  # one that this program could not read


class NoSystem(Malformed):
    """A tree has no universe, so that it is not a cosmos system. `root` is its option in a command."""

    def __init__(self, root: LiveRoot) -> None:
        hint = f"to make a system of this tree: cosmos init{root.option}"
        if not root.option:  # a workstation: nobody wants it to become a system by a command that they copy
            hint = "to work on a system in a folder, add: --root FOLDER; to make one there: cosmos init --root FOLDER"
        super().__init__(str(root.path), f"is no cosmos system: it has no {shown(UNIVERSE_PATH)}", hint=hint)


def read_universe(root: LiveRoot) -> Universe:
    """Return the universe of the system; raises `NoSystem` if the tree is not a cosmos system, and `Malformed`."""
    return Universe.parse(_demanded(root), shown(UNIVERSE_PATH))


def demand_system(root: LiveRoot) -> None:
    """Raise `NoSystem` if the tree is not a cosmos system, because it has no universe."""
    _demanded(root)


def demand_anchors(root: LiveRoot, galaxies: Iterable[GalaxySource]) -> None:
    """Raise `Refused` if this system has no trust anchors, but every one of `galaxies` must be signed."""
    sources = tuple(galaxies)
    if not sources or trust_bytes(root) is not None or any(galaxy.allow_unsigned for galaxy in sources):
        return
    raise Refused(
        shown(TRUST_PATH),
        "no trust anchors were accepted for this system",
        hint=f"cosmos trust init FILE --sha256 DIGEST{root.option}",
    )


def is_own(path: TreePath) -> bool:
    """Return whether `path` belongs to cosmos itself, whose commands change what an image brought there."""
    return any(own == path or own in path.parents for own in (STATE_FOLDER, SETTINGS_FOLDER))


def universe_bytes(root: LiveRoot) -> bytes | None:
    """Return the exact bytes of the universe, or None if the file is missing."""
    return root.document(UNIVERSE_PATH, max_bytes=MAX_UNIVERSE_BYTES)


def _demanded(root: LiveRoot) -> bytes:
    data = universe_bytes(root)
    if data is None:
        raise NoSystem(root)
    return data


def rendered(universe: Universe) -> bytes:
    """Return the bytes of the universe's document; raises `Refused` if they are too large for its readers."""
    data = universe.rendered()
    demand_within(len(data), MAX_UNIVERSE_BYTES, shown(UNIVERSE_PATH))
    return data


def trust_bytes(root: LiveRoot) -> bytes | None:
    """Return the trust document that the operator accepted, or None before the first one."""
    return root.document(TRUST_PATH, max_bytes=MAX_DOCUMENT_BYTES)


def trust_envelope(root: LiveRoot) -> bytes | None:
    """Return the envelope beside the trust document, or None for an unsigned document."""
    path = TRUST_PATH.parent.joined(TRUST_PATH.name + b".dsse")
    return root.document(path, max_bytes=MAX_ENVELOPE_BYTES)
