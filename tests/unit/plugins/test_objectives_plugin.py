"""Sabotage the objective map and the tests that it names, one way at a time: each turns a run red and is named."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from plugins.mutants import in_order_of, mutate
from plugins.objectives import BadMap, Mutant, objectives_of, read_map
from plugins.promises import BadPage, read_promises

MAP = """
[[objective]]
id = "SO-01"
promise = "doors are locked"
tests = ["tests/test_doors.py::test_a_door_is_locked", "tests/test_doors.py::test_a_window_is_locked"]
min-cases = 3
mutant = { file = "door.py", old = "locked = True", new = "locked = False" }

[[objective]]
id = "SO-02"
promise = "lights are out"
waits-for = "lamps"

[[risk]]
id = "RR-01"
accepted = "walls can be broken"
tests = ["tests/test_doors.py::test_a_wall_breaks"]
min-cases = 1
"""
TESTS = """
import pytest

@pytest.mark.objective("SO-01")
@pytest.mark.parametrize("door", ["front", "back"])
def test_a_door_is_locked(door):
    assert door

@pytest.mark.objective("SO-01")
def test_a_window_is_locked():
    pass

@pytest.mark.objective("RR-01")
def test_a_wall_breaks():
    pass

def test_something_else():
    pass
"""

PROMISES = """
| from | promise, probe or risk | leads to |
|---|---|---|
| a castle | gates are shut | SO-01, `tests/test_doors.py::test_a_wall_breaks` |
| a castle | walls are thick | RR-01, [0001](../decisions/0001-thick-walls.md) |
"""


class Sabotaged:
    """A checkout with a map and tests, in which one thing at a time is changed."""

    def __init__(self, pytester: pytest.Pytester, tests_folder: Path) -> None:
        self.pytester = pytester
        self.map, self.tests, self.promises = MAP, TESTS, PROMISES
        pytester.makeini(
            f"[pytest]\npythonpath = {shlex.quote(str(tests_folder))}\naddopts = --strict-markers -p no:cacheprovider\n"
            "markers =\n  objective(id): proves it\n  exhaustive: tries very many cases\n"
        )

    def swap(self, old: str, new: str) -> None:
        """Replace `old`, in the map or in the tests."""
        assert (old in self.map) != (old in self.tests), old
        self.map, self.tests = self.map.replace(old, new), self.tests.replace(old, new)

    def run(self, *words: str) -> tuple[int, str]:
        """Run pytest there; return its exit code and what it said."""
        folder = self.pytester.path
        for name, text in (
            ("docs/security/objectives.toml", self.map),
            ("docs/security/promises.md", self.promises),
            ("docs/decisions/0001-thick-walls.md", "walls are thick"),
            ("tests/conftest.py", 'pytest_plugins = ["plugins.objectives"]\n'),
            ("tests/test_doors.py", self.tests),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        result = self.pytester.runpytest(*(words or ("tests",)))
        return int(result.ret), result.stdout.str()


@pytest.fixture
def checkout(pytester: pytest.Pytester, repo: Path) -> Sabotaged:
    return Sabotaged(pytester, repo / "tests")


def test_a_map_that_fits_its_tests_is_green(checkout: Sabotaged) -> None:
    code, said = checkout.run()
    assert (code, "security objectives" in said) == (0, False), said


def test_under_several_processes_it_is_green_as_well_and_red_where_it_should_be(checkout: Sabotaged) -> None:
    code, said = checkout.run("-n", "2", "tests")
    assert (code, "security objectives" in said) == (0, False), said
    checkout.swap('"front", "back"', '"front"')
    code, said = checkout.run("-n", "2", "tests")
    assert code == 1
    assert "SO-01: 2 cases were run, min-cases is 3" in said


SABOTAGES: dict[str, tuple[str, str, str]] = {
    "an unknown id": ('@pytest.mark.objective("RR-01")', '@pytest.mark.objective("RR-99")', "RR-99: unknown"),
    "a doubled id": ('id = "SO-02"', 'id = "SO-01"', "SO-01 stands there 2 times"),
    "a test that is missing": (
        '@pytest.mark.objective("RR-01")\ndef test_a_wall_breaks():\n    pass\n',
        "",
        "RR-01: tests/test_doors.py::test_a_wall_breaks was not run",
    ),
    "a test that was renamed": (
        "def test_a_window_is_locked",
        "def test_a_pane_is_locked",
        "test_a_window_is_locked was not run",
    ),
    "a test that lost its marker": (
        '@pytest.mark.objective("RR-01")\n',
        "",
        "RR-01: tests/test_doors.py::test_a_wall_breaks is not marked with it",
    ),
    "a marked test that the map does not name": (
        "def test_something_else",
        '@pytest.mark.objective("SO-01")\ndef test_something_else',
        "SO-01: tests/test_doors.py::test_something_else is marked with it, but the map does not name",
    ),
    "a case taken out": ('"front", "back"', '"front"', "SO-01: 2 cases were run, min-cases is 3"),
    "a case that is skipped": ("    assert door\n", '    pytest.skip("later")\n', "[front] proves nothing: skipped"),
    "a case that is expected to fail": (
        '@pytest.mark.parametrize("door"',
        '@pytest.mark.xfail\n@pytest.mark.parametrize("door"',
        "[front] proves nothing: expected to fail",
    ),
    "a case that fails": ("assert door", "assert not door", "[back] proves nothing: failed"),
    "a case whose clearing up fails": (
        "def test_a_window_is_locked():",
        "def test_a_window_is_locked(broken):",
        "test_a_window_is_locked proves nothing: failed",
    ),
    "a promise that waits and has tests": (
        'waits-for = "lamps"',
        'waits-for = "lamps"\ntests = ["a::b"]',
        "waits for lamps",
    ),
    "a promise without a mutant": ("mutant = {", "# mutant = {", "SO-01: names no mutant"),
    "a further mutant that no test of it notices": (
        'waits-for = "lamps"',
        'tests = ["tests/test_doors.py::test_a_wall_breaks"]\nmin-cases = 1\n'
        'mutant = { file = "a", old = "b", new = "c" }\nalso = [{ file = "a", old = "b", new = "c", by = "x::y" }]',
        "SO-02: also: want one of its tests under by, got 'x::y'",
    ),
    "a promise without tests": ('waits-for = "lamps"', "min-cases = 0", "SO-02: names no test"),
    "an unknown key": ("min-cases = 1", "min-case = 1", "unknown keys: min-case"),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_each_sabotage_turns_a_full_run_red_and_is_named(checkout: Sabotaged, sabotage: str) -> None:
    old, new, said = SABOTAGES[sabotage]
    checkout.tests += "\n@pytest.fixture\ndef broken():\n    yield\n    raise OSError\n"
    checkout.swap(old, new)
    code, output = checkout.run()
    assert code == 1, output
    assert said in output


ROWS: dict[str, tuple[str, str, str]] = {
    "an objective that is not in the map": ("| SO-01,", "| SO-09,", "SO-09 is no objective and no risk of the map"),
    "an objective that waits": ("| SO-01,", "| SO-02,", "SO-02 is no objective and no risk of the map that has a test"),
    "a test that is not there": ("test_a_wall_breaks`", "test_a_wall_holds`", "there is no test tests/test_doors.py::"),
    "a file of tests that is not there": ("test_doors", "test_gates", "there is no test tests/test_gates.py::"),
    "a decision that is not there": ("0001", "0002", "there is no decision 0002-thick-walls.md"),
    "a word that is no reference": ("| RR-01,", "| the walls,", "want SO-nn, RR-nn, "),
    "a row that leads nowhere": ("| RR-01, [0001](../decisions/0001-thick-walls.md) |", "| |", "want three cells"),
    "a promise that stands there twice": ("walls are thick", "gates are shut", "'gates are shut' stands there twice"),
    "a page without its table": ("|---|---|---|", "", "want one table"),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_that_leads_nowhere_turns_every_run_red(checkout: Sabotaged, row: str) -> None:
    checkout.promises = checkout.promises.replace(*ROWS[row][:2])
    code, output = checkout.run("-k", "window", "tests")
    assert code == 1, output
    assert f"docs/security/promises.md: {ROWS[row][2]}" in output or ROWS[row][2] in output


def test_a_missing_page_of_promises_turns_a_run_red(checkout: Sabotaged) -> None:
    checkout.run()
    (checkout.pytester.path / "docs/security/promises.md").unlink()
    assert checkout.pytester.runpytest_subprocess("tests").ret == 1


def test_each_model_that_stands_behind_this_project_leads_somewhere(repo: Path) -> None:
    rows = read_promises((repo / "docs/security/promises.md").read_text())
    count = {source: sum(row.source == source for row in rows) for source in ("package manager", "relay", "registry")}
    assert all(number >= least for number, least in zip(count.values(), (15, 18, 23), strict=True)), count


def test_a_page_that_is_no_page_is_told() -> None:
    for text in ("", "| from |", PROMISES.replace("leads to", "goes to"), PROMISES.replace("| a castle |", "| |")):
        with pytest.raises(BadPage):
            read_promises(text)


def test_a_missing_map_turns_a_run_red(checkout: Sabotaged) -> None:
    checkout.run()
    (checkout.pytester.path / "docs/security/objectives.toml").unlink()
    result = checkout.pytester.runpytest_subprocess("tests")
    assert result.ret == 1


@pytest.mark.parametrize("words", [("-k", "window"), ("tests/test_doors.py",), ("-m", "not objective")])
def test_a_part_of_the_tests_is_not_judged_as_the_whole(checkout: Sabotaged, words: tuple[str, ...]) -> None:
    checkout.swap("min-cases = 3", "min-cases = 9")
    code, said = checkout.run(*words)
    assert code == 0, said
    assert checkout.run("tests")[0] == 1


def test_a_run_of_all_but_what_is_exhaustive_is_judged_as_the_whole_and_misses_a_proof_that_is(
    checkout: Sabotaged,
) -> None:
    words = ("-m", "not exhaustive", "tests")
    checkout.swap("def test_something_else", "@pytest.mark.exhaustive\ndef test_something_else")
    assert checkout.run(*words)[0] == 0
    checkout.swap("def test_a_window_is_locked", "@pytest.mark.exhaustive\ndef test_a_window_is_locked")
    code, said = checkout.run(*words)
    assert code == 1
    assert "SO-01: tests/test_doors.py::test_a_window_is_locked was not run" in said


def test_a_part_of_the_tests_is_judged_for_its_markers(checkout: Sabotaged) -> None:
    checkout.swap('@pytest.mark.objective("RR-01")', '@pytest.mark.objective("RR-99")')
    assert checkout.run("-k", "wall")[0] == 1


OBJECTIVES = [f"SO-{number:02}" for number in range(1, 30)] + [f"RR-{number:02}" for number in range(1, 14)]


def test_the_map_names_every_objective_and_every_accepted_risk(repo: Path) -> None:
    assert list(objectives_of(repo)) == OBJECTIVES


def test_every_mutant_of_the_map_fits_the_program_as_it_is(repo: Path) -> None:
    """`make mutants` takes minutes; that its changes can be applied is seen here."""
    misfits = []
    for objective in objectives_of(repo).values():
        for mutant in objective.mutants:
            text = (repo / mutant.file).read_text()
            if text.count(mutant.old) != 1 or "\n" in mutant.old + mutant.new:
                misfits.append(f"{objective.id}: {mutant.old}")
    assert misfits == []


def test_a_commit_chooses_the_same_mutants_for_everybody_and_another_commit_others(repo: Path) -> None:
    cases = [(row, mutant) for row in objectives_of(repo).values() for mutant in row.mutants]
    one, other = in_order_of("1" * 40, cases), in_order_of("2" * 40, cases)
    assert one == in_order_of("1" * 40, cases[::-1])
    assert sorted(map(repr, one)) == sorted(map(repr, cases)) == sorted(map(repr, other))
    assert one[:8] != other[:8]


def test_every_objective_stands_in_the_threat_model(repo: Path) -> None:
    prose = (repo / "docs/security/threat-model.md").read_text()
    assert [name for name in OBJECTIVES if name not in prose] == []


@pytest.mark.parametrize(
    ("mutant", "problem"),
    [
        (Mutant(file="door.py", old="locked = True", new="locked = False"), ""),
        (Mutant(file="door.py", old="open", new="shut"), "it is there 0 times"),
        (Mutant(file="door.py", old="\n", new=""), "it is there 2 times"),
        (Mutant(file="gone.py", old="locked", new=""), "it is there 0 times"),
        (Mutant(file="door.py", old="locked = True", new="locked = ("), "is no Python"),
        (Mutant(file="door.py", old="locked = True", new="locked = True"), "want a change"),
        (Mutant(file="door.lua", old="true", new="false"), ""),
        (Mutant(file="door.lua", old="true", new="("), "is no Lua"),
    ],
)
def test_a_mutant_that_changes_nothing_is_told(tmp_path: Path, mutant: Mutant, problem: str) -> None:
    (tmp_path / "door.py").write_text("locked = True\n\n")
    (tmp_path / "door.lua").write_text("locked = true\n")
    assert problem in mutate(tmp_path, mutant)
    assert bool(problem) == bool(mutate(tmp_path, mutant)) or not problem


def test_a_map_that_is_no_map_is_told() -> None:
    for text in ("", "x = 1", "[[objective]", "[[risk]]\nid = 'RR-01'\naccepted = 'x'\ntests = []"):
        with pytest.raises(BadMap):
            read_map(text)
