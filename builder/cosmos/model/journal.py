"""The journal of one transaction on a live system: the changes that it began, and how far it came.

`/var/lib/cosmos/journal/install`, one canonical JSON document a line. Each line is on the disk before the step that it
allows:

    {"cosmos-journal":6,"command":"install","tag":"3f9c0a1b2c4d"}
                                                        begun; the names of temporaries have this tag in them
    {"star":"nano","mounts":["/usr"],"changes":[CHANGE, …]}
                                                        these may be prepared, under temporary names (model.changes)
    {"prepared":true}                                   all is written: now the paths themselves may change
    {"history":"{\\"number\\":7,…}"}                      the line that the system's history gets (model.history)
    {"committed":{"universe":"sha256:…"}}               all paths have changed: from here on nothing is undone

`mounts` are the folders above these changes at which something was mounted: without them, nobody finds the paths again.
A star with many changes has several such lines, so that no line is long.

The temporary of the Nth change (counted from 0, over all lines) is `.cosmos-TAG-N`, in the folder of its path.
`universe` is the digest of the universe.toml that comes with the changes, or "" if that file does not change. A last
line without its newline was cut off, and does not count.

A `replace` in which one side is a folder is new in format 6: until the commit, what was in the folder has its own names
in the old one, and what comes into a new folder is prepared in the new one's temporary (device.transaction).

Format 5 has no such `replace`, format 4 also no `command`, format 3 also no `history`, and format 2 also no `mounts`.
Format 1 had installations only. Cosmos still reads all five, and repairs a system that an older cosmos left half done.

    {"cosmos-journal":1,"before":"sha256:…"}            of universe.toml as the installation found it
    {"star":"nano","folders":["/usr/share/nano"],"entries":[
      {"path":"/usr/bin/nano","temporary":".cosmos-7","kind":"file","identity":"sha256:…"}]}

In format 1 universe.toml alone tells whether the installation took place: it did if the file differs from `before`.
A journal of any other format is refused, and nothing on the system changes: this cosmos cannot know what to undo.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, Literal, Self, TypeAlias

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_JOURNAL_BYTES, MAX_NAME_BYTES
from cosmos.model.changes import Change, Identity, Place, change_json, read_change
from cosmos.model.history import HistoryLine, command_name
from cosmos.model.installed_entry import slashed
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath

JOURNAL_VERSION: Final = 6
_FOURTH_VERSION: Final = 4
_THIRD_VERSION: Final = 3
_SECOND_VERSION: Final = 2
_FIRST_VERSION: Final = 1
_FIRST_KINDS: Final = ("file", "hardlink", "symlink", "char", "block", "fifo")
_TAG = re.compile(r"[0-9a-z]{1,64}")

Phase: TypeAlias = Literal["begun", "prepared", "committed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One change, and the name beside its path under which the new entry is prepared, or the old one is kept."""

    change: Change
    temporary: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalDocument:
    """A journal, parsed.

    `universe` is the digest of the new universe.toml, if the transaction changes that file. `before` stands in format 1
    in place of a phase: the digest of the universe.toml that the installation found. `mounts` are the folders at which
    something was mounted; in formats 1 and 2 they are not known. `history` is the new line of the system's history; a
    transaction that changes nothing has none, and one of an older format neither. `command` is the command that made
    the change, or "" if the journal does not name it.
    """

    phase: Phase
    steps: tuple[Step, ...] = ()
    universe: Digest | None = None
    before: Digest | None = None
    mounts: tuple[TreePath, ...] = ()
    history: bytes | None = None
    command: str = ""

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the journal in `data`, without a last line that was cut off; raises `Malformed`."""
        return cls.read(io.BytesIO(data), source)

    @classmethod
    def read(cls, stream: BinaryIO, source: str) -> Self:
        """Return the journal in `stream`, line by line, without a last line that was cut off; raises `Malformed`."""
        tables = (_table(line, f"{source}: line {number}") for number, line in enumerate(_whole_lines(stream), 1))
        head = next(tables, None)
        if head is None:
            return cls(phase="begun")
        version = head.count("cosmos-journal")
        if version == _FIRST_VERSION:
            return cls._of_first_format(head, tables)
        if version not in range(_SECOND_VERSION, JOURNAL_VERSION + 1):
            head.fail(
                "cosmos-journal",
                f"want {JOURNAL_VERSION}: another cosmos began this change; finish it with that one",
            )
        return cls._of_this_format(head, tables, version)

    @classmethod
    def _of_this_format(cls, head: Table, lines: Iterable[Table], version: int) -> Self:
        tag = head.read("tag", _tag)
        command = head.read("command", command_name) if version > _FOURTH_VERSION else ""
        head.end()
        phase: Phase = "begun"
        steps, universe, mounts, history = list[Step](), None, set[TreePath](), None
        for line in lines:
            if "star" in line and phase == "begun":
                line.need("star", str)
                mounts |= set(line.parsed_strings("mounts", slashed)) if version > _SECOND_VERSION else set()
                changes = (read_change(row) for row in line.tables("changes"))
                steps += [step_of(change, tag, number) for number, change in enumerate(changes, len(steps))]
            elif "prepared" in line and phase == "begun":
                line.need("prepared", bool)
                phase = "prepared"
            elif "history" in line and phase == "prepared" and history is None and version > _THIRD_VERSION:
                history = line.read("history", _history)
                command = command or HistoryLine.parse(history, "the line of the history").command
            elif "committed" in line and phase == "prepared":
                end = line.table("committed")
                universe = end.read("universe", lambda text: Digest.parse(text) if text else None)
                end.end()
                phase = "committed"
            else:
                line.fail("", f"does not follow a journal that is {phase}")
            line.end()
        return cls(
            phase=phase,
            steps=tuple(steps),
            universe=universe,
            mounts=tuple(sorted(mounts)),
            history=history,
            command=command,
        )

    @classmethod
    def _of_first_format(cls, head: Table, lines: Iterable[Table]) -> Self:
        before = head.read("before", Digest.parse)
        head.end()
        steps = list[Step]()
        for line in lines:
            line.need("star", str)
            nothing = Digest.of(b"")
            for path in line.parsed_strings("folders", slashed):
                folder = Identity(kind="dir", digest=nothing, attributes=None)
                steps.append(Step(change=Place(path=path, new=folder), temporary=b""))
            steps += [_first_step(row) for row in line.tables("entries")]
            line.end()
        return cls(phase="prepared", steps=tuple(steps), before=before, command="install")


def change_words(command: str) -> str:
    """Return how a message names the change of `command`, which may be unknown.

    >>> change_words("update"), change_words("")
    ('cosmos update', 'a change')
    """
    return f"cosmos {command}" if command else "a change"


def beside(path: TreePath, temporary: bytes) -> TreePath:
    """Return the path of `temporary` in the folder of `path`. It may be longer than a path of the tree may be."""
    parent = path.parent
    return TreePath(parent + b"/" + temporary if parent else temporary)


def step_of(change: Change, tag: str, number: int) -> Step:
    """Return the step of the change with this number, counted from 0.

    >>> from cosmos.treepath import TreePath
    >>> nothing = Identity(kind="fifo", digest=Digest.of(b""), attributes=None)
    >>> step_of(Place(path=TreePath(b"run/pipe"), new=nothing), "3f9c", 7).temporary
    b'.cosmos-3f9c-7'
    """
    return Step(change=change, temporary=f".cosmos-{tag}-{number}".encode())


def head_line(tag: str, command: str) -> bytes:
    """Return the line that begins the journal of `command`."""
    return _line({"cosmos-journal": JOURNAL_VERSION, "command": command_name(command), "tag": tag})


def changes_line(star: str, changes: Iterable[Change], mounts: Iterable[TreePath] = ()) -> bytes:
    """Return the line after which the changes of `star` may be prepared. `mounts`: see the module's docstring."""
    above: list[Json] = [f"/{path.text}" for path in sorted(mounts)]
    return _line({"star": star, "mounts": above, "changes": [change_json(change) for change in changes]})


def prepared_line() -> bytes:
    """Return the line after which the paths may be changed."""
    return _line({"prepared": True})


def history_line(line: bytes) -> bytes:
    """Return the line that says which line of its history the system gets with the commit."""
    return _line({"history": line.decode()})


def committed_line(universe: Digest | None) -> bytes:
    """Return the line after which the changes are finished, and are not undone."""
    return _line({"committed": {"universe": str(universe or "")}})


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    return (line.removesuffix(b"\n") for line in stream if line.endswith(b"\n"))


def _line(value: Json) -> bytes:
    return canonical_json(value) + b"\n"


def _first_step(table: Table) -> Step:
    identity = Identity(
        kind=table.choice("kind", _FIRST_KINDS), digest=table.read("identity", Digest.parse), attributes=None
    )
    path, name = table.read("path", slashed), table.need("temporary", str).encode("utf-8", "surrogatepass")
    if not name.startswith(b".cosmos-") or b"/" in name or b"\0" in name or len(name) > MAX_NAME_BYTES:
        table.fail("temporary", "is not a name that cosmos gives")
    table.end()
    return Step(change=Place(path=path, new=identity), temporary=name)


def _history(text: str) -> bytes:
    try:
        return HistoryLine.parse(text.encode("utf-8", "surrogatepass"), "the line of the history").line
    except Malformed as error:
        raise ValueError(error.problem) from error


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError(f"want up to 64 of a-z and 0-9, got {text[:80]!r}")
    return text


def _table(line: bytes, source: str) -> Table:
    try:
        return Table.from_json(line, source, max_bytes=MAX_JOURNAL_BYTES)
    except Malformed as error:
        hint = "it was damaged: look at the file, then remove it"
        raise Malformed(source, error.problem, hint=hint) from error
