"""The file of a system's history: the next line, and the step that adds it (`model.history` specifies the lines).

The journal has the whole line before its transaction is committed, and the line is added when the committed transaction
is finished (device.recovery). So a line is there if, and only if, its transaction took place: a cut at any moment can
neither lose a line nor invent one.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import HISTORY_ASIDE_PATH, HISTORY_PATH
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_HISTORY_BYTES, MAX_HISTORY_LINE_BYTES, demand_within
from cosmos.model.history import (
    NO_UNIVERSE,
    StarChange,
    is_readable,
    next_change,
    star_changes,
    versions_of,
    with_change,
)
from cosmos.model.names import StarName
from cosmos.model.universe import UNIVERSE_PATH, Universe


def next_line(
    root: LiveRoot,
    *,
    command: str,
    paths: int,
    before: bytes | None,
    after: bytes | None,
    stars: Sequence[StarChange] | None,
) -> bytes:
    """Return the line of a transaction that begins with the universe `before`, and ends with `after` (None: the same).

    `stars` are the stars that change, if the caller knows them. Otherwise both universes are read for that.
    """
    known = stars if stars is not None or after is None else star_changes(_versions(before), _versions(after))
    start = NO_UNIVERSE if before is None else Digest.of(before)
    line = next_change(
        history_bytes(root),
        command=command,
        paths=paths,
        before=start,
        after=start if after is None else Digest.of(after),
        stars=known or (),
    ).line
    demand_within(len(line), MAX_HISTORY_LINE_BYTES, shown(HISTORY_PATH))
    return line


def add_line(root: LiveRoot, line: bytes) -> None:
    """Add `line` to the history, unless it is its end already. A history that nobody can read is set aside."""
    data = history_bytes(root)
    new = with_change(data, line)
    if new is None:
        return
    if data is not None and not is_readable(data):
        root.replace_document(HISTORY_ASIDE_PATH, data)
    root.replace_document(HISTORY_PATH, new)


def history_bytes(root: LiveRoot) -> bytes | None:
    """Return the bytes of the history, or None before the first line. Raises `Malformed` if it is too long."""
    return root.document(HISTORY_PATH, max_bytes=MAX_HISTORY_BYTES)


def _versions(universe: bytes | None) -> dict[StarName, str]:
    """Return the versions in a universe. One that nobody can read had no stars that could be named."""
    if universe is None:
        return {}
    try:
        return versions_of(Universe.parse(universe, shown(UNIVERSE_PATH)))
    except Malformed:
        return {}
