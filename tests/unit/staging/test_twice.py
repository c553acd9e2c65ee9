"""What a second run finds: each field in which two results of a program differ, on results that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from cosmos.errors import ScriptFailed
from cosmos.model.names import StarName
from cosmos.nova.meter import VerbError
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.staging.twice import Comparing, Made, Remembering, Unsteady, dates_of
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NOVEMBER = 1_795_948_765  # 2026-11-29
UNSTEADY = Unsteady(star=StarName("tool"), waiver="write unsteady", epoch=5)
GIVEN = Entry(path=TreePath(b"given"), kind="file", mode=0o644, content=b"given")
FILE = Entry(path=TreePath(b"made"), kind="file", mode=0o644, content=b"x", mtime=5)


@dataclass
class Programs:
    """A runner whose programs all give one result."""

    entries: tuple[Entry, ...]
    status: int = 0
    began: int = 0
    seen: list[tuple[bytes, ...]] = field(default_factory=list)

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        self.seen.append(words)
        return RunOutcome(status=self.status, tree={one.path: one for one in self.entries}, began=self.began)


def compared(
    first: Programs,
    second: Programs,
    tools: Callable[[], tuple[Entry, ...]] = tuple,
    env: bytes = b"",
    *,
    word: bytes = b"x",
) -> None:
    before = {GIVEN.path: GIVEN}
    remembering = Remembering(first)
    remembering.run((word,), {b"A": env}, before)
    comparing = Comparing(second, remembering.made, tools, UNSTEADY)
    comparing.run((word,), {b"A": env}, dict(before))
    comparing.demand_steady()


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (replace(FILE, content=b"y"), "/made: its bytes differ (1 with "),
        (replace(FILE, mode=0o755), "/made: its mode differs (0644, 0755)"),
        (replace(FILE, mtime=4), "/made: its time differs (5, 4)"),
        (replace(FILE, xattrs=((b"user.a", b"b"),)), "/made: its xattrs differs"),
        (replace(FILE, kind="dir", content=b""), "/made: its kind differs (file, dir)"),
        (replace(FILE, kind="hardlink", content=b"", target=b"given"), "/made: its kind differs (file, hardlink)"),
        (replace(FILE, path=TreePath(b"other")), "/made: is made the first time only"),
    ],
)
def test_the_field_that_differs_is_named(second: Entry, problem: str) -> None:
    with pytest.raises(VerbError) as caught:
        compared(Programs((GIVEN, FILE)), Programs((GIVEN, second)))
    assert caught.value.problem.startswith(f"x makes something else the second time: {problem}")


def test_a_status_that_differs_is_named() -> None:
    with pytest.raises(VerbError, match="x ends with status 0, and the second time with 3"):
        compared(Programs((GIVEN,)), Programs((GIVEN,), status=3))


def test_a_file_that_is_removed_once_is_named() -> None:
    with pytest.raises(VerbError, match="/given: is made the second time only"):
        compared(Programs(()), Programs((GIVEN,)))


def test_the_same_bytes_written_anew_are_no_difference() -> None:
    compared(Programs((GIVEN, FILE)), Programs((replace(GIVEN), replace(FILE))))


def test_a_program_that_is_not_run_again_is_refused() -> None:
    made = Made(words=(b"x",), status=0, changed={}, removed=frozenset())
    comparing = Comparing(Programs(()), [made], tuple, UNSTEADY)
    with pytest.raises(ScriptFailed, match="tool: x was not run the second time"):
        comparing.demand_steady()
    with pytest.raises(VerbError, match="y was not run the first time"):
        comparing.run((b"y",), {}, {})
    with pytest.raises(ScriptFailed, match="y was not run the first time"):  # although a script caught it
        comparing.demand_steady()


@pytest.mark.parametrize("date", sorted(dates_of(NOVEMBER)))
def test_the_day_of_the_build_is_found_in_every_usual_form(date: bytes) -> None:
    dated = replace(FILE, content=b"built on " + date + b"\n")
    with pytest.raises(VerbError, match=r"x writes the day of the build, .*: /made"):
        compared(Programs((GIVEN, dated)), Programs((GIVEN, dated), began=NOVEMBER))


@pytest.mark.parametrize("content", [b"120261129", b"20261129000", b"2026-11-28"])
def test_another_number_is_no_day_of_the_build(content: bytes) -> None:
    dated = replace(FILE, content=content)
    compared(Programs((GIVEN, dated)), Programs((GIVEN, dated), began=NOVEMBER))


def test_a_day_that_stands_in_what_the_program_had_is_not_the_builders() -> None:
    dated = replace(FILE, content=b"2026-11-29")
    programs = Programs((GIVEN, dated)), Programs((GIVEN, dated), began=NOVEMBER)
    tool = replace(FILE, path=TreePath(b"usr/share/news"), content=b"of 2026-11-29")
    compared(*programs, lambda: (tool,))
    compared(*programs, env=b"2026-11-29")
    compared(*programs, word=b"2026-11-29")


@pytest.mark.parametrize(
    "entry",
    [
        replace(FILE, path=TreePath(b"made-20261129.log")),
        replace(FILE, kind="symlink", content=b"", target=b"2026-11-29"),
    ],
    ids=["name", "target"],
)
def test_the_day_of_the_build_is_found_in_a_name_and_in_the_target_of_a_link(entry: Entry) -> None:
    with pytest.raises(VerbError, match="writes the day of the build, 2026"):
        compared(Programs((GIVEN, entry)), Programs((GIVEN, entry), began=NOVEMBER))
