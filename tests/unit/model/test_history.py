"""A history's lines are chained: what was cut, edited, added or moved is seen, and its line is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import HISTORY_BYTES
from cosmos.model.history import (
    History,
    HistoryHead,
    HistoryLine,
    StarChange,
    is_readable,
    next_change,
    with_change,
)
from cosmos.model.names import StarName


def universe(number: int) -> Digest:
    return Digest.of(b"universe %d" % number)


def after(data: bytes | None, number: int, *stars: StarChange) -> bytes:
    """Return the history in `data` with one more change, which ends with `universe(number)`."""
    line = next_change(
        data, command="install", paths=1, before=universe(number - 1), after=universe(number), stars=stars
    ).line
    new = with_change(data, line)
    assert new is not None
    assert with_change(new, line) is None, "a line is added once"
    return new


def of_changes(count: int) -> bytes:
    data: bytes | None = None
    for number in range(1, count + 1):
        data = after(data, number, StarChange(name=StarName("nano"), old=str(number - 1), new=str(number)))
    assert data is not None
    return data


def faults(data: bytes) -> list[int]:
    return [fault.line for fault in History.parse(data, "history").faults]


def test_a_whole_history_has_no_fault() -> None:
    found = History.parse(of_changes(4), "history")
    assert found.faults == ()
    assert [change.number for change in found.changes] == [1, 2, 3, 4]
    assert found.changes[0].previous is None
    assert found.head == HistoryHead(changes=4, last=Digest.of(found.changes[-1].line))


LINES = of_changes(5).splitlines(keepends=True)
TAMPERINGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], set[int]]] = {
    "a line in the middle is gone": (lambda lines: [*lines[:2], *lines[3:]], {3}),
    "the first change is gone": (lambda lines: [lines[0], *lines[2:]], {2}),
    "the last change is gone": (lambda lines: lines[:-1], {1}),
    "all changes are gone": (lambda lines: lines[:1], {1}),
    "two lines changed places": (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], {3, 4, 5}),
    "a line is there twice": (lambda lines: [*lines[:3], lines[2], *lines[3:]], {4}),
    "a command was edited": (lambda lines: edited(lines, 2, b'"install"', b'"update"'), {4}),
    "the last command was edited": (lambda lines: edited(lines, 5, b'"install"', b'"update"'), {1}),
    "a version was edited": (lambda lines: edited(lines, 3, b'"new":"3"', b'"new":"9"'), {5}),
    "a line is no JSON": (lambda lines: edited(lines, 3, b"{", b"["), {4, 5}),
    "a line is written otherwise": (lambda lines: edited(lines, 3, b",", b", "), {4, 5}),
    "the head names another end": (lambda lines: edited(lines, 0, b'"changes":5', b'"changes":6'), {1}),
    "the end has no newline": (lambda lines: [*lines[:-1], lines[-1][:-1]], {1, 6}),
    "a change was added by hand": (lambda lines: [*lines, added(lines)], {1}),
}


def edited(lines: list[bytes], place: int, old: bytes, new: bytes) -> list[bytes]:
    assert old in lines[place]
    return [*lines[:place], lines[place].replace(old, new, 1), *lines[place + 1 :]]


def added(lines: list[bytes]) -> bytes:
    last = HistoryLine.parse(lines[-1][:-1], "last")
    new = HistoryLine(
        number=6, previous=Digest.of(last.line), command="update", paths=0, before=last.after, after=last.after
    )
    return new.line + b"\n"


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_cut_or_an_edit_is_seen_and_its_line_named(name: str) -> None:
    tamper, lines = TAMPERINGS[name]
    assert set(faults(b"".join(tamper(list(LINES))))) == lines


@pytest.mark.parametrize("name", sorted(set(TAMPERINGS) - {"the end has no newline"}))  # there nothing is lost
def test_what_was_tampered_with_stays_in_sight_after_the_next_changes(name: str) -> None:
    tamper, _ = TAMPERINGS[name]
    data = b"".join(tamper(list(LINES)))
    for number in (6, 7, 8):
        data = after(data, number)
        assert faults(data), data


def test_the_oldest_lines_fall_away_into_a_stated_digest() -> None:
    data: bytes | None = None
    stars = [StarChange(name=StarName(f"star-{number}"), old="1.0.0", new="2.0.0") for number in range(1_000)]
    for number in range(1, 41):
        data = after(data, number, *stars)
    assert data is not None
    assert len(data) < HISTORY_BYTES + 1_000
    found = History.parse(data, "history")
    assert found.faults == ()
    assert found.head.dropped > 0
    assert found.head.dropped + len(found.changes) == 40
    assert found.changes[0].previous == found.head.dropped_digest
    fewer = data.replace(found.changes[0].line + b"\n", b"")
    assert faults(fewer) == [2]


def test_a_line_that_is_longer_than_the_bound_is_kept_alone() -> None:
    many = [StarChange(name=StarName(f"star-{number}"), old="", new="1.0.0") for number in range(40_000)]
    data = after(of_changes(3), 4, *many)
    found = History.parse(data, "history")
    assert (found.head.dropped, len(found.changes), found.faults) == (3, 1, ())


@pytest.mark.parametrize("damaged", [b"", b"\n", b"garbage\n", b'{"cosmos-history":2,"more":1}\n{"new":1}\n'])
def test_a_history_that_nobody_can_read_is_set_aside_and_the_new_one_says_so(damaged: bytes) -> None:
    assert not is_readable(damaged)
    with pytest.raises(Malformed):
        History.parse(damaged, "history")
    data = after(damaged, 1)
    assert HistoryHead.parse(data.splitlines()[0], "head").dropped_digest == Digest.of(damaged)
    assert faults(data) == [1]
    assert faults(after(data, 2)) == [1]


def test_another_program_s_change_between_two_lines_is_seen() -> None:
    data = of_changes(2)
    line = next_change(data, command="install", paths=1, before=universe(9), after=universe(10), stars=()).line
    changed = with_change(data, line)
    assert changed is not None
    (fault,) = History.parse(changed, "history").faults
    assert fault.line == 4
    assert "something else changed universe.toml" in fault.problem
