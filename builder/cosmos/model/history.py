"""`history.jsonl`: what was changed on one system, by which command, in which order.

`/var/lib/cosmos/history.jsonl` has one canonical JSON document a line. The first line is the head:

    {"cosmos-history":1,"changes":41,"last":"sha256:…","dropped":{"changes":0,"digest":""}}

Each further line is one transaction that took place, the oldest first:

    {"number":41,"previous":"sha256:…","command":"install","paths":12,"before":"sha256:…","after":"sha256:…",
     "stars":[{"name":"nano","old":"","new":"8.2.0"}]}

    number    counts the changes of this system, from 1
    previous  the digest of the line before (without its newline); of number 1: ""
    command   the command that made the change
    paths     how many paths it changed, besides cosmos's own documents
    before    the digest of universe.toml before the change; the digest of no bytes if there was no universe
    after     the same after it; equal to `before` if the universe did not change
    stars     the stars that came ("old" is ""), went ("new" is "") or got another version, by name

The file has no clock: a device may have none. `changes` is the number of the last line, and `last` its digest.

The file is bounded (HISTORY_BYTES). Its oldest lines fall away. `dropped` states how many, and the digest of the last
of them: it is `previous` of the oldest line that is left. A history whose head this program cannot read is set aside,
and a new one begins: its head then states `"changes":0` dropped, and the digest of the whole file that was set aside.

**What the chain shows.** A line that was edited, removed, added or moved does not fit the line after it, or the head. A
history that was cut at its end, or is an older copy, does not end with the universe that the system has. KNOWN GAP: a
person who can write as root can write the whole file again, or remove it. To see that too, keep the digest of the last
line somewhere else: `cosmos history` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Self

from cosmos.canon import canonical_json
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import HISTORY_BYTES, MAX_HISTORY_BYTES
from cosmos.model.names import StarName
from cosmos.model.universe import Universe
from cosmos.model.version import MAX_TEXT
from cosmos.records import dataclass
from cosmos.tables import Table

HISTORY_VERSION: Final = 1
NO_UNIVERSE: Final = Digest.of(b"")
_COMMAND: Final = re.compile(r"[a-z][a-z-]{0,31}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StarChange:
    """A star with its version before and after a change. An empty version: it was not installed."""

    name: StarName
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryLine:
    """One transaction that took place."""

    number: int
    previous: Digest | None
    command: str
    paths: int
    before: Digest
    after: Digest
    stars: tuple[StarChange, ...] = ()

    @classmethod
    def parse(cls, line: bytes, source: str) -> Self:
        """Return the line's change; raises `Malformed`, also for a line that is not written as cosmos writes it."""
        table = Table.from_json(line, source, max_bytes=MAX_HISTORY_BYTES)
        change = cls(
            number=table.count("number", least=1),
            previous=table.read("previous", _digest_or_none),
            command=table.read("command", command_name),
            paths=table.count("paths"),
            before=table.read("before", Digest.parse),
            after=table.read("after", Digest.parse),
            stars=tuple(_star_change(row) for row in table.tables("stars")),
        )
        table.end()
        if change.line != line:
            raise Malformed(source, "is not written as cosmos writes it")
        return change

    @property
    def line(self) -> bytes:
        """The line, without its newline."""
        return canonical_json(
            {
                "number": self.number,
                "previous": str(self.previous or ""),
                "command": self.command,
                "paths": self.paths,
                "before": str(self.before),
                "after": str(self.after),
                "stars": [{"name": str(star.name), "old": star.old, "new": star.new} for star in self.stars],
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryHead:
    """The first line. `dropped` changes fell away; the last of them had the digest `dropped_digest`."""

    changes: int
    last: Digest
    dropped: int = 0
    dropped_digest: Digest | None = None

    @classmethod
    def parse(cls, line: bytes, source: str) -> Self:
        """Return the head in `line`; raises `Malformed`, also for a newer format."""
        table = Table.from_json(line, source, max_bytes=MAX_HISTORY_BYTES)
        version = table.count("cosmos-history")
        if version != HISTORY_VERSION:
            table.fail("cosmos-history", f"want {HISTORY_VERSION}, got {version}: another cosmos wrote this file")
        dropped = table.table("dropped")
        head = cls(
            changes=table.count("changes", least=1),
            last=table.read("last", Digest.parse),
            dropped=dropped.count("changes"),
            dropped_digest=dropped.read("digest", _digest_or_none),
        )
        dropped.end()
        table.end()
        if head.line != line:
            raise Malformed(source, "is not written as cosmos writes it")
        return head

    @property
    def line(self) -> bytes:
        """The line, without its newline."""
        return canonical_json(
            {
                "cosmos-history": HISTORY_VERSION,
                "changes": self.changes,
                "last": str(self.last),
                "dropped": {"changes": self.dropped, "digest": str(self.dropped_digest or "")},
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A line of the file that does not fit the others. Lines are counted from 1, the head."""

    line: int
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """A history as it was read, of so many `lines`. `faults` are all the places where it does not hold together."""

    head: HistoryHead
    changes: tuple[HistoryLine, ...]
    faults: tuple[Fault, ...]
    lines: int

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return what `data` says, with its faults: a damaged line hides no other. Raises `Malformed` for the head."""
        lines = data.split(b"\n")
        head = HistoryHead.parse(lines[0], f"{source}: line 1")
        faults = list[Fault]()
        if lines[-1]:
            faults.append(Fault(line=len(lines), problem="is cut off: it has no end"))
        rows = lines[1:-1]
        if head.dropped == 0 and head.dropped_digest is not None:
            problem = f"an earlier history, {head.dropped_digest}, could not be read and was set aside"
            faults.append(Fault(line=1, problem=problem))
        previous, number, after = head.dropped_digest if head.dropped else None, head.dropped, None
        changes = list[HistoryLine]()
        for place, row in enumerate(rows, 2):
            number += 1
            try:
                change = HistoryLine.parse(row, source)
            except Malformed as error:
                faults.append(Fault(line=place, problem=error.problem))
                previous, after = Digest.of(row), None
                continue
            faults += [Fault(line=place, problem=said) for said in _unfit(change, number, previous, after)]
            changes.append(change)
            number, previous, after = change.number, Digest.of(row), change.after
        if not rows or (head.changes, head.last) != (number, previous):
            problem = f"it says that the history ends with change {head.changes}, {head.last}, but it ends otherwise"
            faults.append(Fault(line=1, problem=problem))
        return cls(head=head, changes=tuple(changes), faults=tuple(faults), lines=1 + len(rows))

    @property
    def last(self) -> HistoryLine | None:
        """The last change that can be read."""
        return self.changes[-1] if self.changes else None


def _unfit(change: HistoryLine, number: int, previous: Digest | None, after: Digest | None) -> list[str]:
    """Return why `change` does not follow the line before it, whose digest is `previous`."""
    if change.previous != previous:
        return ["does not follow the line before it: one of the two was edited, or a line between them is gone"]
    if change.number != number:
        return [f"is change {change.number}, but change {number} comes here"]
    if after is not None and change.before != after:
        return ["begins with another universe than the line before it ends with: something else changed universe.toml"]
    return []


def next_change(
    data: bytes | None, *, command: str, paths: int, before: Digest, after: Digest, stars: Sequence[StarChange]
) -> HistoryLine:
    """Return the line that follows the history in `data`, which may be missing, or damaged in any way."""
    head, _ = _read_leniently(data)
    return HistoryLine(  # it follows what the head says, so that an edit of the last line stays in sight
        number=1 if head is None else head.changes + 1,
        previous=None if head is None else head.last,
        command=command_name(command),
        paths=paths,
        before=before,
        after=after,
        stars=tuple(stars),
    )


def with_change(data: bytes | None, line: bytes) -> bytes | None:
    """Return the history of `data` with `line` at its end; None if the line is its end already.

    The oldest lines fall away as far as the bound asks for it. What was damaged stays as it is, for a person to see.
    """
    head, rows = _read_leniently(data)
    if rows and rows[-1] == line:
        return None
    dropped, dropped_digest = 0, None
    if head is not None:
        dropped, dropped_digest = head.dropped, head.dropped_digest
    elif data is not None:
        dropped_digest = Digest.of(data)
    rows = [*rows, line]
    size, start = sum(map(len, rows)) + len(rows), 0
    while size > HISTORY_BYTES and start < len(rows) - 1:
        size -= len(rows[start]) + 1
        dropped, dropped_digest = dropped + 1, Digest.of(rows[start])
        start += 1
    number = HistoryLine.parse(line, "the new change").number
    new = HistoryHead(changes=number, last=Digest.of(line), dropped=dropped, dropped_digest=dropped_digest)
    return b"".join(row + b"\n" for row in (new.line, *rows[start:]))


def is_readable(data: bytes) -> bool:
    """Return whether this program can read the head of `data`, so that lines may be added to it."""
    return _read_leniently(data)[0] is not None


def star_changes(before: Mapping[StarName, str], after: Mapping[StarName, str]) -> tuple[StarChange, ...]:
    """Return the stars whose versions differ, by name.

    >>> [(one.name, one.old, one.new) for one in star_changes({StarName("a"): "1"}, {StarName("b"): "2"})]
    [('a', '1', ''), ('b', '', '2')]
    """
    names = sorted(before.keys() | after.keys())
    rows = (StarChange(name=name, old=before.get(name, ""), new=after.get(name, "")) for name in names)
    return tuple(row for row in rows if row.old != row.new)


def versions_of(universe: Universe) -> dict[StarName, str]:
    """Return the version of each installed star."""
    return {name: str(star.version) for name, star in universe.installed.items()}


def command_name(text: str) -> str:
    """Return `text` as the name of a command, or raise `ValueError`."""
    if not _COMMAND.fullmatch(text):
        raise ValueError(f"want up to 32 of a-z and hyphens, got {text[:80]!r}")
    return text


def _read_leniently(data: bytes | None) -> tuple[HistoryHead | None, list[bytes]]:
    """Return the head and the lines after it. No head: there is no history, or this program cannot add to it."""
    if data is None:
        return None, []
    first, _, rest = data.partition(b"\n")
    try:
        head = HistoryHead.parse(first, "")
    except Malformed:
        return None, []
    rows = rest.split(b"\n")
    return head, [*rows[:-1], *(rows[-1:] if rows[-1] else [])]


def _digest_or_none(text: str) -> Digest | None:
    return Digest.parse(text) if text else None


def _star_change(row: Table) -> StarChange:
    change = StarChange(name=row.read("name", StarName.parse), old=row.read("old", _text), new=row.read("new", _text))
    row.end()
    return change


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"want up to {MAX_TEXT} characters, got {len(text)}")
    return text
