"""`Receipt`: what one script read and did, in order.

Each event is a JSON object with `do` and what that verb needs:

    {"do": "read", "path": "usr/bin", "saw": "dir 0755 0:0"}     looked up below the script's own layer; each path once
    {"do": "glob", "pattern": "usr/lib/*.so", "saw": "sha256:…"}  digest of the paths found there, joined by NUL
    {"do": "copy", "from": "files/bin/x", "path": "usr/bin/x", "entries": 1}
    {"do": "write", "path": "etc/x", "mode": "0644", "size": 12, "digest": "sha256:…"}
    {"do": "render", "template": "files/x.in", …}                then as write
    {"do": "mkdir"|"chmod", "path": …, "mode": "0755"}   {"do": "chown", "path": …, "uid": 0, "gid": 5}
    {"do": "symlink", "path": …, "target": …}   {"do": "setcap", "path": …, "caps": …}
    {"do": "mknod", "path": …, "kind": "char", "major": 1, "minor": 3, "mode": "0666"}
    {"do": "run", "words": […], "env": {…}, "status": 0, "tools": "sha256:…", "before": "sha256:…", "after": "sha256:…"}
                      content roots: of the tree that the program had at /, "host" where that was the machine's own; of
                      the script's tree when the program began, and when it had ended
    {"do": "log", "text": …}   {"do": "filemap", "path": …}

Paths are in text form (see treepath). What a script reads of its own star needs no event: the archive's digest pins it.
A layer may be reused while every read still holds (`Receipt.holds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.nova.globs import Glob
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped, unescaped

Fact: TypeAlias = "str | int | list[str] | dict[str, str]"
ReadKind: TypeAlias = Literal["read", "glob"]

ABSENT: Final = "absent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that a script did, or one thing that it saw."""

    verb: str
    facts: Mapping[str, Fact]

    def to_json(self) -> dict[str, Json]:
        """Return the event as a JSON object."""
        return {"do": self.verb, **{name: _json(fact) for name, fact in self.facts.items()}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What one script did."""

    script: str
    function: str
    events: tuple[Event, ...] = field(default=())

    def to_json(self) -> Json:
        """Return the receipt as a JSON value."""
        return {
            "receipt-version": 1,
            "script": self.script,
            "function": self.function,
            "events": [event.to_json() for event in self.events],
        }

    def to_bytes(self) -> bytes:
        """Return the receipt as canonical JSON."""
        return canonical_json(self.to_json())

    @property
    def logs(self) -> tuple[str, ...]:
        """What the script said with `log`, in order."""
        return tuple(str(event.facts["text"]) for event in self.events if event.verb == "log")

    def holds(self, lower: Mapping[TreePath, Entry]) -> bool:
        """Whether a script would see on `lower` (the layers of its dependencies) what it saw then."""
        folders = {parent for path in lower for parent in path.parents}
        for event in self.events:
            if event.verb == "read":
                path = TreePath.from_text(str(event.facts["path"]))
                if seen(lower.get(path), is_implied=path in folders) != event.facts["saw"]:
                    return False
            elif event.verb == "glob" and "saw" in event.facts:
                glob = Glob.parse(unescaped(str(event.facts["pattern"])))
                found = [path for path in sorted({*lower, *folders}) if glob.matches(path)]
                if found_digest(found) != event.facts["saw"]:
                    return False
        return True


def seen(entry: Entry | None, *, is_implied: bool = False) -> str:
    """Return how a read states what lay at a path: its kind, and what of it a script's outcome can depend on."""
    if entry is None:
        return "dir 0755 0:0" if is_implied else ABSENT
    if entry.kind == "dir":
        return f"dir {entry.mode:04o} {entry.uid}:{entry.gid}"
    return f"symlink {escaped(entry.target)}" if entry.kind == "symlink" else entry.kind


def found_digest(paths: Iterable[TreePath]) -> Digest:
    """Return how a read states which paths a glob found."""
    return Digest.of(b"\0".join(paths))


def _json(fact: Fact) -> Json:
    if isinstance(fact, list):
        return list(fact)
    return dict(fact) if isinstance(fact, dict) else fact
