"""The journal of changes as a document: what is written reads back, also cut off; what is strange is refused."""

from __future__ import annotations

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.changes import Attributes, Change, Identity, Place, Remove, Replace, SetAttributes
from cosmos.model.history import HistoryLine
from cosmos.model.journal import (
    JournalDocument,
    Step,
    changes_line,
    committed_line,
    head_line,
    history_line,
    prepared_line,
    step_of,
)
from cosmos.treepath import TreePath

PLAIN = Attributes(mode=0o644, uid=0, gid=0)
SPECIAL = Attributes(mode=0o4755, uid=7, gid=4294967295, xattrs=((b"security.capability", b"\x01\x00"),))
OLD = Identity(kind="symlink", digest=Digest.of(b"a"), attributes=PLAIN)
NEW = Identity(kind="file", digest=Digest.of(b"b"), attributes=SPECIAL)
PATH = TreePath(b"usr/caf\xe9 \\x")
CHANGES: list[Change] = [
    Place(path=PATH, new=NEW),
    Replace(path=PATH, old=OLD, new=NEW),
    Remove(path=PATH, old=OLD),
    SetAttributes(path=PATH, kind="dir", old=PLAIN, new=SPECIAL),
]
UNIVERSE = Digest.of(b"universe")
HEAD = head_line("t", "install")
WHOLE = (
    head_line("3f9c", "install") + changes_line("s", CHANGES) + changes_line("t", []) + changes_line("u", CHANGES[:1])
)


def steps(*changes: Change) -> tuple[Step, ...]:
    return tuple(step_of(change, "3f9c", number) for number, change in enumerate(changes))


def of_format(number: int, data: bytes) -> bytes:
    """Return the journal `data` in an older format, 2 to 4, without a command in its first line."""
    return data.replace(b'"command":"install","cosmos-journal":6', b'"cosmos-journal":%d' % number)


def test_what_is_written_reads_back() -> None:
    begun = JournalDocument.parse(WHOLE, "j")
    assert begun == JournalDocument(phase="begun", steps=steps(*CHANGES, CHANGES[0]), command="install")
    assert begun.steps[4].temporary == b".cosmos-3f9c-4"
    assert JournalDocument.parse(WHOLE + prepared_line(), "j").phase == "prepared"
    ended = JournalDocument.parse(WHOLE + prepared_line() + committed_line(UNIVERSE), "j")
    assert (ended.phase, ended.universe) == ("committed", UNIVERSE)
    assert JournalDocument.parse(WHOLE + prepared_line() + committed_line(None), "j").universe is None


def test_a_journal_that_was_cut_off_anywhere_says_what_its_whole_lines_say() -> None:
    data = WHOLE + prepared_line() + committed_line(UNIVERSE)
    for end in range(len(data)):
        whole = data[: data.rfind(b"\n", 0, end) + 1]
        assert JournalDocument.parse(data[:end], "j") == JournalDocument.parse(whole, "j")


@pytest.mark.parametrize("number", [0, 7, 99])
def test_a_journal_of_an_unknown_format_is_refused(number: int) -> None:
    with pytest.raises(Malformed, match="j: line 1: cosmos-journal: want 6: another cosmos began this change"):
        JournalDocument.parse(b'{"cosmos-journal":%d,"tag":"a"}\n{"anything":true}\n' % number, "j")


def test_a_journal_names_what_was_mounted_above_its_changes() -> None:
    mounts = TreePath(b"usr"), TreePath(b"opt/\xff")
    data = head_line("a", "install") + changes_line("s", CHANGES, mounts) + changes_line("t", [], mounts[:1])
    assert JournalDocument.parse(data, "j").mounts == (mounts[1], mounts[0])


def test_a_journal_of_the_second_format_is_read() -> None:
    data = of_format(2, WHOLE + prepared_line()).replace(b'"mounts":[],', b"")
    assert b"mounts" not in data
    assert JournalDocument.parse(data, "j") == JournalDocument(phase="prepared", steps=steps(*CHANGES, CHANGES[0]))


def test_a_journal_has_the_line_of_the_history_before_its_commit() -> None:
    line = HistoryLine(number=7, previous=UNIVERSE, command="install", paths=2, before=UNIVERSE, after=UNIVERSE).line
    before = WHOLE + prepared_line()
    read = JournalDocument.parse(before + history_line(line) + committed_line(None), "j")
    assert (read.phase, read.history) == ("committed", line)
    assert JournalDocument.parse(before + history_line(line), "j").phase == "prepared"
    for wrong in (history_line(line) * 2, committed_line(None) + history_line(line), history_line(line[:-1] + b" }")):
        with pytest.raises(Malformed):
            JournalDocument.parse(before + wrong, "j")
    third = of_format(3, before)
    with pytest.raises(Malformed, match="does not follow a journal that is prepared"):
        JournalDocument.parse(third + history_line(line), "j")
    assert JournalDocument.parse(third + committed_line(None), "j").history is None


def test_a_journal_names_its_command_from_its_first_line_and_an_older_one_with_its_commit() -> None:
    assert JournalDocument.parse(head_line("3f9c", "autoremove"), "j").command == "autoremove"
    fourth = of_format(4, WHOLE + prepared_line())
    assert JournalDocument.parse(fourth, "j").command == ""
    line = HistoryLine(number=7, previous=UNIVERSE, command="update", paths=2, before=UNIVERSE, after=UNIVERSE).line
    assert JournalDocument.parse(fourth + history_line(line), "j").command == "update"
    with pytest.raises(Malformed, match="line 1: command: unknown key"):
        JournalDocument.parse(head_line("3f9c", "install").replace(b":6", b":4"), "j")
    with pytest.raises(Malformed, match="line 1: command: want up to 32 of a-z and hyphens"):
        JournalDocument.parse(head_line("3f9c", "install").replace(b'"install"', b'"rm -r /"'), "j")


def test_a_journal_of_the_first_format_is_read() -> None:
    digest = Digest.of(b"x")
    data = (
        b'{"cosmos-journal":1,"before":"%s"}\n{"star":"nano","folders":["/usr/a"],"entries":['
        b'{"path":"/usr/a/b","temporary":".cosmos-7","kind":"hardlink","identity":"%s"}]}\n{"star":'
    ) % (UNIVERSE.encode(), digest.encode())
    folder = Place(path=TreePath(b"usr/a"), new=Identity(kind="dir", digest=Digest.of(b""), attributes=None))
    link = Place(path=TreePath(b"usr/a/b"), new=Identity(kind="hardlink", digest=digest, attributes=None))
    assert JournalDocument.parse(data, "j") == JournalDocument(
        phase="prepared",
        steps=(Step(change=folder, temporary=b""), Step(change=link, temporary=b".cosmos-7")),
        before=UNIVERSE,
        command="install",
    )


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (HEAD + committed_line(None), "line 2: does not follow a journal that is begun"),
        (
            HEAD + prepared_line() + changes_line("s", CHANGES),
            "does not follow a journal that is prepared",
        ),
        (HEAD + prepared_line() * 2, "line 3: does not follow a journal that is prepared"),
        (
            HEAD + prepared_line() + committed_line(None) * 2,
            "does not follow a journal that is committed",
        ),
        (b'{"cosmos-journal":2,"tag":"../x"}\n', "line 1: tag: want up to 64 of a-z and 0-9"),
        (
            HEAD + b'{"star":"s","mounts":[],"changes":[{"change":"burn","path":"/x"}]}\n',
            "want one of place, replace",
        ),
        (HEAD + b'{"star":"s","mounts":[],"changes":[],"more":1}\n', "line 2: more: unknown key"),
        (HEAD + changes_line("s", CHANGES).replace(b"/usr", b"/.."), "component"),
        (
            HEAD + changes_line("s", [Replace(path=PATH, old=NEW, new=NEW)]).replace(b'"file"', b'"dir"'),
            "a folder is not replaced by a folder",
        ),
        (HEAD + changes_line("s", CHANGES).replace(b'"0644"', b'"644"'), "want four octal digits"),
    ],
)
def test_a_strange_line_is_refused(lines: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        JournalDocument.parse(lines, "j")


@pytest.mark.parametrize("name", [".cosmos-" + "a" * 300, ".cosmos-\\u0000", "cosmos-7", ".cosmos-/7"])
def test_a_temporary_of_the_first_format_is_a_name_that_cosmos_gave(name: str) -> None:
    row = f'{{"path":"/usr/b","temporary":"{name}","kind":"file","identity":"{UNIVERSE}"}}'
    data = f'{{"cosmos-journal":1,"before":"{UNIVERSE}"}}\n{{"star":"s","folders":[],"entries":[{row}]}}\n'
    with pytest.raises(Malformed, match="temporary: is not a name that cosmos gives"):
        JournalDocument.parse(data.encode(), "j")


def test_a_folder_is_not_replaced_by_a_folder_and_may_change_places_with_another_entry() -> None:
    folder = Identity(kind="dir", digest=Digest.of(b""), attributes=PLAIN)
    with pytest.raises(ValueError, match="a folder is not replaced by a folder"):
        Replace(path=PATH, old=folder, new=folder)
    turns = (Replace(path=PATH, old=folder, new=NEW), Replace(path=PATH, old=NEW, new=folder))
    document = JournalDocument.parse(HEAD + changes_line("s", turns), "j")
    assert [step.change for step in document.steps] == [*turns]


@pytest.mark.parametrize(
    "line",
    [
        b'{"star":"s","changes":[' + b"{}," * 1_000_000 + b"{}]}",
        b'{"star":"s","changes":[' + b"[" * 100_000 + b"]}",
        b'{"star":"s","star":"t","changes":[]}',
        b'{"star":"\\ud800","changes":[]}',
        b'{"star":1.5}',
        b'{"star":' + b"9" * 5000 + b"}",
        b"\xff",
        b"[]",
    ],
    ids=range(8),
)
def test_a_damaged_line_of_any_size_is_refused_with_its_number_and_the_way_out(line: bytes) -> None:
    with pytest.raises(Malformed, match=r"^j: line 2: ") as caught:
        JournalDocument.parse(head_line("3f9c", "install") + line + b"\n", "j")
    assert caught.value.hint == "it was damaged: look at the file, then remove it"
