"""A pytest plugin: every security objective of docs/security/objectives.toml is proved by the tests that the map names.

A test carries `@pytest.mark.objective("SO-nn", …)`, and the map names the test. Both must say the same, so that neither
a renamed test nor a forgotten marker takes a proof away in silence. A test may prove several objectives.

Any run is red when a marker names an id that the map does not know, when a marked test is not in the map, when a test
that the map names was collected without its marker, or when the map itself is malformed (an id or a test twice).

A **full run** (the folder `tests`, with nothing deselected but what is exhaustive) is red besides when a test of the
map was not run, when an objective had fewer cases than its `min-cases`, or when any of its cases was skipped, expected
to fail, or failed.

Any run is red, too, if a row of docs/security/promises.md leads nowhere (`plugins.promises`).

Works under pytest-xdist: what a worker saw travels to the controller in the reports' `user_properties`.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plugins.promises import PAGE, BadPage, dead_ends, read_promises

MAP = "docs/security/objectives.toml"
_KEYS = {
    "objective": {"id", "promise", "tests", "min-cases", "mutant", "also", "waits-for"},
    "risk": {"id", "accepted", "tests", "min-cases", "waits-for"},
}
_PROPERTY = "objective"
_PROVED = "proved"
_ALL_THAT_PROVE = (
    "",
    "not exhaustive",
)  # the -m of a full run: `make test` leaves to `make test-slow` what is exhaustive


class BadMap(Exception):
    """The map is not what this module's docstring says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A one-line change that takes the protection away: in `file`, `old` (found there once) becomes `new`.

    `by` is the one test that must notice; without it, any test of the objective may.
    """

    file: str
    old: str
    new: str
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """A promise, or an accepted risk, and the tests that show it; `waits_for`: what must land before there are any.

    `also` are further mutants, of protections that another one would hide: each names the test that must notice.
    """

    id: str
    text: str
    tests: tuple[str, ...]
    min_cases: int
    mutant: Mutant | None
    waits_for: str
    also: tuple[Mutant, ...] = ()

    @property
    def is_promise(self) -> bool:
        """Whether it is an objective, and no accepted risk."""
        return self.id.startswith("SO-")

    @property
    def mutants(self) -> tuple[Mutant, ...]:
        """Every mutant of the objective."""
        return self.also if self.mutant is None else (self.mutant, *self.also)


def read_map(text: str) -> dict[str, Objective]:
    """Return the objectives and the risks by id; raises `BadMap`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadMap(f"is no TOML: {error}") from error
    rows = [("objective", row) for row in document.pop("objective", [])]
    rows += [("risk", row) for row in document.pop("risk", [])]
    if document:
        raise BadMap(f"unknown keys: {', '.join(sorted(document))}")
    found = [_objective(kind, row) for kind, row in rows]
    for name, times in Counter(row.id for row in found).items():
        if times > 1:
            raise BadMap(f"{name} stands there {times} times")
    if not found:
        raise BadMap("holds no objective")
    return {row.id: row for row in found}


def _objective(kind: str, row: Mapping[str, object]) -> Objective:
    name = str(row.get("id"))
    also = row.get("also", [])
    if unknown := set(row) - _KEYS[kind]:
        raise BadMap(f"{name}: unknown keys: {', '.join(sorted(unknown))}")
    tests, mutant = row.get("tests", []), row.get("mutant")
    objective = Objective(
        id=name,
        text=str(row["promise" if kind == "objective" else "accepted"]),
        tests=tuple(tests) if isinstance(tests, list) else (),
        min_cases=int(str(row.get("min-cases", 0))),
        mutant=Mutant(**mutant) if isinstance(mutant, dict) else None,
        waits_for=str(row.get("waits-for", "")),
        also=tuple(Mutant(**one) for one in also) if isinstance(also, list) else (),
    )
    if objective.waits_for:
        if objective.tests or objective.mutant:
            raise BadMap(f"{name}: waits for {objective.waits_for}, and names tests all the same")
        return objective
    if not objective.tests or len(set(objective.tests)) != len(objective.tests):
        raise BadMap(f"{name}: names no test, or one of them twice")
    if objective.min_cases < len(objective.tests):
        raise BadMap(f"{name}: min-cases is below the number of its tests")
    if kind == "objective" and objective.mutant is None:
        raise BadMap(f"{name}: names no mutant")
    for mutant in objective.also:
        if mutant.by not in objective.tests:
            raise BadMap(f"{name}: also: want one of its tests under by, got {mutant.by!r}")
    return objective


@dataclass(kw_only=True)
class Seen:
    """What a run showed: per test function its ids, and per case of it how it ended."""

    marked: dict[str, frozenset[str]] = field(default_factory=dict)
    cases: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, report: pytest.TestReport) -> None:
        """Take one report in: a case is proved by its call alone, and lost by anything else that is not a pass."""
        function = function_of(report.nodeid)
        self.marked[function] = frozenset(str(value) for key, value in report.user_properties if key == _PROPERTY)
        cases = self.cases.setdefault(function, {})
        if hasattr(report, "wasxfail"):
            cases[report.nodeid] = "expected to fail"
        elif report.outcome != "passed":
            cases[report.nodeid] = report.outcome
        elif report.when == "call":
            cases.setdefault(report.nodeid, _PROVED)

    def problems(self, objectives: Mapping[str, Objective], *, is_full: bool) -> list[str]:
        """Return one sentence for each way in which the tests and the map do not fit together."""
        found = [*self._disagreements(objectives)]
        if is_full:
            for objective in objectives.values():
                found += self._unproved(objective)
        return found

    def _disagreements(self, objectives: Mapping[str, Objective]) -> Iterable[str]:
        for function, ids in sorted(self.marked.items()):
            for name in sorted(ids):
                if name not in objectives:
                    yield f"{name}: unknown, but {function} is marked with it"
                elif function not in objectives[name].tests:
                    yield f"{name}: {function} is marked with it, but the map does not name that test"
            for objective in objectives.values():
                if function in objective.tests and objective.id not in ids:
                    yield f"{objective.id}: {function} is not marked with it"

    def _unproved(self, objective: Objective) -> Iterable[str]:
        for function in objective.tests:
            if function not in self.cases:
                yield f"{objective.id}: {function} was not run: is it missing or renamed?"
        cases = {case: end for function in objective.tests for case, end in self.cases.get(function, {}).items()}
        for case, end in sorted(cases.items()):
            if end != _PROVED:
                yield f"{objective.id}: {case} proves nothing: {end}"
        if len(cases) < objective.min_cases:
            yield f"{objective.id}: {len(cases)} cases were run, min-cases is {objective.min_cases}"


def function_of(nodeid: str) -> str:
    """Return the test function that a case belongs to.

    >>> function_of("tests/unit/test_x.py::test_a_thing[one-two]")
    'tests/unit/test_x.py::test_a_thing'
    >>> function_of("tests/boot/test_y.py::test_another@boot")  # of a group, in a parallel run
    'tests/boot/test_y.py::test_another'
    """
    return nodeid.partition("[")[0].partition("@")[0]


class Judge:
    """Watches a run and turns it red."""

    def __init__(self, config: pytest.Config, objectives: Mapping[str, Objective], problems: list[str]) -> None:
        self._config = config
        self._objectives = objectives
        self._problems = problems
        self._seen = Seen()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take each phase of each test in."""
        self._seen.note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge the whole run, unless it was broken off or is red for another reason than its tests."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or self._config.option.collectonly:
            return
        found = self._seen.problems(self._objectives, is_full=is_full(self._config))
        self._problems += [f"{MAP}: {problem}" for problem in found]
        if self._problems:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is wrong, one line each."""
        if self._problems:
            terminalreporter.section("security objectives", red=True, bold=True)
            for problem in self._problems:
                terminalreporter.line(problem, red=True)


def is_full(config: pytest.Config) -> bool:
    """Return whether everything below `tests` was asked for, with nothing deselected but what is exhaustive."""
    option = config.option
    narrowed = (
        option.keyword,
        option.markexpr not in _ALL_THAT_PROVE,
        option.deselect,
        option.ignore,
        option.ignore_glob,
        option.maxfail,
        config.getoption("lf", False),
        config.getoption("stepwise", False),
    )
    if any(narrowed):
        return False
    folders = [(config.invocation_params.dir / str(word)).resolve() for word in config.args]
    tests = config.rootpath / "tests"
    return any(folder == tests or folder in tests.parents for folder in folders)


def promises_without_answer(repo: Path, objectives: Mapping[str, Objective]) -> list[str]:
    """Return one sentence for each row of the page of promises that leads nowhere; what waits is no answer."""
    answered = {row.id for row in objectives.values() if row.tests}
    try:
        return [f"{PAGE}: {problem}" for problem in dead_ends(read_promises((repo / PAGE).read_text()), answered, repo)]
    except (BadPage, OSError, ValueError) as error:
        return [f"{PAGE}: {type(error).__name__}: {error}"]


def pytest_configure(config: pytest.Config) -> None:
    """Read the map; only the controller judges."""
    if hasattr(config, "workerinput"):
        return
    objectives: Mapping[str, Objective] = {}
    problems: list[str] = []
    try:
        objectives = read_map((config.rootpath / MAP).read_text())
    except (BadMap, OSError, KeyError, TypeError, ValueError) as error:
        problems.append(f"{MAP}: {type(error).__name__}: {error}")
    else:
        problems += promises_without_answer(config.rootpath, objectives)
    config.pluginmanager.register(Judge(config, objectives, problems), "objectives-judge")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the reports of each marked test say what it is marked with."""
    for item in items:
        ids = dict.fromkeys(str(name) for mark in item.iter_markers("objective") for name in mark.args)
        item.user_properties += [(_PROPERTY, name) for name in ids]


def objectives_of(repo: Path) -> dict[str, Objective]:
    """Return the map of the checkout `repo`."""
    return read_map((repo / MAP).read_text())
