"""`Receipt`: the reads and the actions of one script, in order.

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
                      content roots: of the tree that the program had at /, "host" if that was the machine's own; of
                      the script's tree when the program began, and when it had ended
    {"do": "log", "text": …}   {"do": "filemap", "path": …}

What makes or changes a path, and `run`, has "line" besides: the script's line that called it, as the script's worker
says. Receipts of older programs have none. Facts of an event are open: a reader passes over those it does not know.

`receipt-version` is 1. Where the operator waived that programs give the same result twice ([policy] unsteady), it is 2,
and the receipt has `"unsteady": true`: who knows version 1 only refuses the receipt instead of missing that.

Paths are in text form (see treepath). A read of the star's own archive needs no event: the archive's digest pins it. A
layer is used again while every read still gives the same result: `Receipt.changed` returns the first that does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, Self, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.globs import Glob
from cosmos.nova.indexed_tree import IndexedTree
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped, unescaped

Fact: TypeAlias = "str | int | list[str] | dict[str, str]"

ABSENT: Final = "absent"
_VERSION: Final = 1
_WITH_WAIVER: Final = 2


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
    """The receipt of one script. `unsteady`: its programs may give another result each time, and the operator knows."""

    script: str
    function: str
    events: tuple[Event, ...] = field(default=())
    unsteady: bool = False

    def to_json(self) -> Json:
        """Return the receipt as a JSON value."""
        return {
            "receipt-version": _WITH_WAIVER if self.unsteady else _VERSION,
            **({"unsteady": True} if self.unsteady else {}),
            "script": self.script,
            "function": self.function,
            "events": [event.to_json() for event in self.events],
        }

    def to_bytes(self) -> bytes:
        """Return the receipt as canonical JSON."""
        return canonical_json(self.to_json())

    @property
    def ran_programs(self) -> bool:
        """Whether the script ran a program."""
        return any(event.verb == "run" for event in self.events)

    @property
    def logs(self) -> tuple[str, ...]:
        """The script's `log` lines, in order."""
        return tuple(str(event.facts["text"]) for event in self.events if event.verb == "log")

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the receipt that `table` states; raises `Malformed`."""
        version = table.need("receipt-version", int)
        if version not in (_VERSION, _WITH_WAIVER):
            table.fail("receipt-version", f"want {_VERSION} or {_WITH_WAIVER}")
        if version == _WITH_WAIVER and table.need("unsteady", bool) is not True:
            table.fail("unsteady", "want true")
        receipt = cls(
            script=table.need("script", str),
            function=table.need("function", str),
            events=tuple(_event(row) for row in table.tables("events")),
            unsteady=version == _WITH_WAIVER,
        )
        table.end()
        return receipt

    @property
    def reads(self) -> tuple[Event, ...]:
        """The reads that the script's result depends on, besides its own star: the paths that it looked up below its
        layer, and the tools of its programs.
        """
        return tuple(event for event in self.events if "saw" in event.facts or event.verb == "run")

    def changed(self, lower: IndexedTree, tools: Digest | None) -> str | None:
        """Return, in words, the first read that would give another result now; None if all would give the same.

        `lower` is the tree below its own layer now, `tools` the content root of its programs' tools now.
        """
        for event in self.reads:
            saw = event.facts.get("saw")
            if event.verb == "run":
                if tools is None or str(tools) != event.facts["tools"]:
                    return "the tools of its programs are others"
            elif event.verb == "read":
                path = TreePath.from_text(str(event.facts["path"]))
                now = seen(lower.entry_at(path))
                if now != saw:
                    return f"/{path.text} was {saw}, is {now}"
            else:
                glob = Glob.parse(unescaped(str(event.facts["pattern"])))
                found = (path for path in lower.paths(TreePath(b"/".join(glob.fixed))) if glob.matches(path))
                if found_digest(found) != saw:
                    return f"/{event.facts['pattern']} finds other paths"
        return None


def seen(entry: Entry | None) -> str:
    """Return the text for an entry in a read: its kind, and the fields that a script's result can depend on."""
    if entry is None:
        return ABSENT
    if entry.kind == "dir":  # mkdir takes a folder over as it is
        xattrs = "".join(f" {escaped(name)}={value.hex()}" for name, value in entry.xattrs)
        return f"dir {entry.mode:04o} {entry.uid}:{entry.gid}{xattrs}"
    return f"symlink {escaped(entry.target)}" if entry.kind == "symlink" else entry.kind


def found_digest(paths: Iterable[TreePath]) -> Digest:
    """Return the text for the paths that a glob found, in a read."""
    return Digest.of(b"\0".join(paths))


def _json(fact: Fact) -> Json:
    if isinstance(fact, list):
        return list(fact)
    return dict(fact) if isinstance(fact, dict) else fact


def _event(row: Table) -> Event:
    verb = row.need("do", str)
    return Event(verb=verb, facts={name: _fact(row, name) for name in tuple(row.keys()) if name != "do"})


def _fact(row: Table, name: str) -> Fact:
    value = row.value(name)
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, list):
        return list(row.strings(name))
    if not isinstance(value, dict):
        row.fail(name, "want text, a number, a list or a table")
    return {key: str(item) for key, item in value.items()}
