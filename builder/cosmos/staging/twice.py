"""Make a layer twice if its script runs programs, and refuse a program whose result is not the same both times.

A program can read a clock, random bytes and much of the machine. So a layer that programs made would hold something of
the builder, in silence. The second time is a later one: its clock shows other seconds, also where a format counts in
steps of two (zip). `sandbox.circumstances` says what else is changed.

Both times the script gets the same answers, until a program gives another result: that program is named, with the
path and the field. A date changes too seldom to differ in a second run, so the day is searched for in what the
programs made (`dates_of`): names, targets of links, and bytes.

KNOWN GAP: a program that uses the month or the year alone, or packs the day into compressed bytes, is not found here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from cosmos.content import pieces
from cosmos.errors import ScriptFailed
from cosmos.model.names import StarName
from cosmos.nova.job import ProgramRunner
from cosmos.nova.meter import VerbError
from cosmos.records import dataclass
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.staging.stage import StagedStar
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath, escaped

Tree: TypeAlias = Mapping[TreePath, Entry]
_STEP_SECONDS: Final = 2  # the coarsest clock that a usual format has: the times in a zip file
_DATES: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%m/%d/%y", "%d-%m-%Y",
    "%d %b %Y", "%e %b %Y", "%b %d %Y", "%b %e %Y", "%d-%b-%Y", "%d %B %Y", "%e %B %Y", "%B %d, %Y", "%B %e, %Y",
)  # fmt: skip
_MAX_SHOWN: Final = 300  # characters of a command in an error
_PLAIN_WORD: Final = re.compile(rb"[\w./=:@%+,-]+")
_SEAM_BYTES: Final = 32  # more than the longest date


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsteady:
    """What an error about a program that is not steady needs, and the image's time.

    `waiver` says how the operator allows it.
    """

    star: StarName
    waiver: str
    epoch: int

    def refused(self, words: Sequence[bytes], problem: str) -> VerbError:
        """Return the error about the program `words`; Nova adds star, script and line."""
        shown = " ".join(_word(word) for word in words)
        return VerbError(
            f"{shown[:_MAX_SHOWN]} {problem}",
            hint="let the program use SOURCE_DATE_EPOCH instead of the clock, and nothing random; or make the file in "
            f"build(); or, if two builds may differ, {self.waiver}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One program's result, without bytes: what it changed in its tree, and what it removed."""

    words: tuple[bytes, ...]
    status: int
    changed: Mapping[TreePath, tuple[ManifestLine, int]]
    removed: frozenset[TreePath]

    @classmethod
    def of(cls, words: tuple[bytes, ...], before: Tree, outcome: RunOutcome) -> Made:
        """Return the result `outcome` of the program `words`, which began with the tree `before`."""
        changed = {path: entry for path, entry in outcome.tree.items() if before.get(path) is not entry}
        return cls(
            words=words,
            status=outcome.status,
            changed={path: _seen(entry) for path, entry in changed.items()},
            removed=frozenset(before.keys() - outcome.tree.keys()),
        )

    def at(self, path: TreePath, before: Tree) -> tuple[ManifestLine, int] | None:
        """Return what is at `path` afterwards, with its time; None if nothing is."""
        if path in self.changed:
            return self.changed[path]
        there = None if path in self.removed else before.get(path)
        return None if there is None else _seen(there)

    def difference(self, other: Made, before: Tree) -> str | None:
        """Return the first difference from the `other` result in words; None if they are the same."""
        if self.status != other.status:
            return f"ends with status {self.status}, and the second time with {other.status}"
        for path in sorted({*self.changed, *other.changed, *self.removed, *other.removed}):
            one, two = self.at(path, before), other.at(path, before)
            if one != two:
                return f"makes something else the second time: /{path.text}: {_fields(one, two)}"
        return None


class Remembering:
    """Runs programs, and remembers the result of each."""

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner
        self.made: list[Made] = []

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Tree) -> RunOutcome:
        """Run the program."""
        outcome = self._runner.run(words, env, tree)
        self.made.append(Made.of(words, tree, outcome))
        return outcome


class Comparing:
    """Runs programs for the second time; raises `VerbError` at the first that is not steady.

    A script can catch that; `demand_steady` raises it again.
    """

    def __init__(
        self, runner: ProgramRunner, made: Iterable[Made], tools: Callable[[], Iterable[Entry]], unsteady: Unsteady
    ) -> None:
        self._runner = runner
        self._made = iter(made)
        self._tools = tools
        self._unsteady = unsteady
        self._found: VerbError | None = None

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Tree) -> RunOutcome:
        """Run the program, and compare its result with that of the first time."""
        try:
            return self._compared(words, env, tree)
        except VerbError as error:
            self._found = self._found or error
            raise

    def demand_steady(self) -> None:
        """Raise `ScriptFailed` if a program was not steady, or was not run again."""
        missed = next(self._made, None)
        found = self._found or (missed and self._unsteady.refused(missed.words, "was not run the second time"))
        if found:
            raise ScriptFailed(str(self._unsteady.star), found.problem, hint=found.hint)

    def _compared(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Tree) -> RunOutcome:
        outcome = self._runner.run(words, env, tree)
        first = next(self._made, None)
        if first is None or first.words != words:
            raise self._unsteady.refused(words, "was not run the first time")
        difference = first.difference(Made.of(words, tree, outcome), tree)
        if difference is not None:
            raise self._unsteady.refused(words, difference)
        self._demand_no_date(words, env, tree, outcome)
        return outcome

    def _demand_no_date(
        self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Tree, outcome: RunOutcome
    ) -> None:
        """Refuse the day of the build in what the program made, unless it stands in what the program had."""
        dates = dates_of(outcome.began) - dates_of(self._unsteady.epoch)
        given = b"\0".join((*words, *env.values()))
        for path, entry in outcome.tree.items():
            if tree.get(path) is entry:
                continue
            found = {date for date in _dates_in(entry, dates) if date not in given}
            for other in (*tree.values(), *self._tools()) if found else ():
                found -= _dates_in(other, found)
            for date in sorted(found):
                raise self._unsteady.refused(words, f"writes the day of the build, {date.decode()}: /{path.text}")


def staged_twice(
    stage: Callable[[ProgramRunner], StagedStar],
    first: ProgramRunner,
    second: ProgramRunner,
    tools: Callable[[], Iterable[Entry]],
    unsteady: Unsteady,
) -> StagedStar:
    """Return the layer that `stage` makes with programs. If a program ran, the layer is made again and compared.

    Raises `ScriptFailed` for a program that is not steady. It takes the time of both, and two seconds.
    """
    remembering = Remembering(first)
    staged = stage(remembering)
    if not remembering.made:
        return staged
    time.sleep(_STEP_SECONDS)
    comparing = Comparing(second, remembering.made, tools, unsteady)
    again = stage(comparing)  # a script that does not catch the error ends here
    comparing.demand_steady()
    if again.receipt != staged.receipt or _lines(again) != _lines(staged):
        raise ScriptFailed(str(unsteady.star), "its script made something else the second time")
    return staged


def dates_of(seconds: int) -> frozenset[bytes]:
    """Return the day of a time since 1970 in the usual forms.

    >>> sorted(dates_of(0))[:3]
    [b' 1 Jan 1970', b' 1 January 1970', b'01 Jan 1970']
    """
    day = datetime.fromtimestamp(seconds, UTC)
    return frozenset(day.strftime(form).encode() for form in _DATES)


def _dates_in(entry: Entry, dates: Iterable[bytes]) -> set[bytes]:
    """Return those of `dates` that stand in the entry, without a digit beside them."""
    wanted = re.compile(rb"(?<!\d)(?:%s)(?!\d)" % b"|".join(map(re.escape, dates)))
    return {found[0] for piece in _seamless(entry) for found in wanted.finditer(piece)} if dates else set()


def _seamless(entry: Entry) -> Iterator[bytes]:
    """Yield the entry's path, its target, and a file's bytes in pieces that overlap."""
    yield from (bytes(entry.path), entry.target)
    end = b""
    for piece in pieces(entry.content) if entry.kind == "file" else ():
        yield end + piece
        end = (end + piece)[-_SEAM_BYTES:]


def _lines(staged: StagedStar) -> list[tuple[ManifestLine, int]]:
    return [_seen(entry) for entry in staged.entries.values()]


def _seen(entry: Entry) -> tuple[ManifestLine, int]:
    return ManifestLine.of(entry), entry.mtime


def _fields(one: tuple[ManifestLine, int] | None, two: tuple[ManifestLine, int] | None) -> str:
    """Return the fields that differ."""
    if one is None or two is None:
        return "is made the second time only" if one is None else "is made the first time only"
    (line, mtime), (other, other_mtime) = one, two
    if line.digest != other.digest and line.kind == other.kind:
        return f"its bytes differ ({line.size} with {_short(line)}, {other.size} with {_short(other)})"
    for name in ("kind", "mode", "uid", "gid", "rdev", "xattrs", "target"):
        was, now = getattr(line, name), getattr(other, name)
        if was != now:
            return f"its {name} differs ({_text(name, was)}, {_text(name, now)})"
    return f"its time differs ({mtime}, {other_mtime})"


def _word(word: bytes) -> str:
    """Return a word of a command as a shell takes it.

    >>> _word(b"a b"), _word(b"-c")
    ("'a b'", '-c')
    """
    return escaped(word) if _PLAIN_WORD.fullmatch(word) else f"'{escaped(word)}'"


def _short(line: ManifestLine) -> str:
    return line.digest.short if line.digest is not None else "-"


def _text(name: str, value: object) -> str:
    if isinstance(value, bytes):
        return escaped(value)
    return f"{value:04o}" if name == "mode" and isinstance(value, int) else str(value)
