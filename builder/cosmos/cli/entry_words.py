"""The lines and rows of paths that a star brings, for both programs."""

from __future__ import annotations

from typing import Protocol

from cosmos.canon import Json
from cosmos.treepath import TreePath, escaped


class Brought(Protocol):
    """A path with the fields that a person looks at: an entry of a tree, or of a universe."""

    @property
    def path(self) -> TreePath:
        """Its path."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def mode(self) -> int:
        """Its twelve mode bits."""

    @property
    def uid(self) -> int:
        """Its owner's number."""

    @property
    def gid(self) -> int:
        """Its group's number."""


def entry_line(entry: Brought, size_bytes: int | None, target: bytes | None) -> str:
    """Return kind, mode, owner, size and path of an entry, and where a link leads to."""
    size = "?" if size_bytes is None else f"{size_bytes:,}"
    leads = f" -> {escaped(target)}" if target else ""
    return f"{entry.kind:8} {entry.mode:04o} {entry.uid}:{entry.gid} {size:>14} /{entry.path.text}{leads}"


def entry_row(entry: Brought, size_bytes: int | None, target: bytes | None) -> dict[str, Json]:
    """Return the same as a row."""
    return {
        "path": f"/{entry.path.text}",
        "kind": entry.kind,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size-bytes": size_bytes,
        "target": escaped(target) if target else None,
    }
