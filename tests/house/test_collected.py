"""Every tracked test runs: compare the tests that pytest collects with those in the files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOTS = ("tests", "builder")
EXAMPLE = ">>> "


def functions_in(tree: ast.Module) -> list[str]:
    """Return the test functions of a module, as often as they are defined; a method as `Class::method`."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found += [f"{node.name}::{name}" for name in _test_functions(node.body)]
    return found + list(_test_functions(tree.body))


def _test_functions(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield node.name


def examples_in(tree: ast.Module, module: str) -> list[str]:
    """Return the dotted names of everything with examples in its docstring, in the module of that dotted name."""
    found = []

    def look(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> None:
        if EXAMPLE in (ast.get_docstring(node) or ""):
            found.append(name)
        if isinstance(node, ast.Module | ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    look(inner, f"{name}.{inner.name}")

    look(tree, module)
    return found


def written(file: Path, text: str) -> Counter[str]:
    """Return the node ids that pytest should give to the tests and examples of `file`, a path in the repository."""
    tree = ast.parse(text, filename=str(file))
    tests = functions_in(tree) if file.parts[0] == "tests" else []
    parts = file.with_suffix("").parts[1 if file.parts[0] == "builder" else 0 :]
    module = ".".join(parts).removesuffix(".__init__")
    return Counter(f"{file}::{name}" for name in [*tests, *examples_in(tree, module)])


@pytest.fixture(scope="session")
def sources(tracked_texts: dict[Path, str], repo: Path) -> dict[Path, str]:
    """The Python that git tracks where pytest looks for tests, by path in the repository."""
    named = {path.relative_to(repo): text for path, text in tracked_texts.items()}
    return {file: text for file, text in named.items() if file.suffix == ".py" and file.parts[0] in ROOTS}


@pytest.fixture(scope="session")
def written_down(sources: dict[Path, str]) -> Counter[str]:
    """The node ids of all tests and examples in the sources, as often as they are there."""
    times = Counter[str]()
    for file, text in sources.items():
        times += written(file, text)
    return times


def _collected_apart(repo: Path) -> list[str]:
    """Return the node ids that a run of everything has; it imports every test, which takes half a minute."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *ROOTS]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.slow
def test_every_test_and_example_that_git_tracks_is_collected(
    sources: dict[Path, str],
    written_down: Counter[str],
    repo: Path,
    pytestconfig: pytest.Config,
    collected_here: list[str],
) -> None:
    nodes = collected_here if set(ROOTS) <= set(pytestconfig.args) else _collected_apart(repo)
    collected = {node.partition("[")[0] for node in nodes}
    wanted = set(written_down)
    assert len(wanted) > 1000
    assert sorted(wanted - collected) == [], "never run"
    untracked = {name for name in collected - wanted if Path(name.partition("::")[0]) in sources}
    assert sorted(untracked) == [], "collected, but not found by this test"


def test_no_test_takes_the_place_of_another_of_the_same_name(written_down: Counter[str]) -> None:
    assert [name for name, count in written_down.items() if count > 1] == []


def test_tests_are_in_files_that_pytest_looks_into(sources: dict[Path, str]) -> None:
    hidden = [str(file) for file, text in sources.items() if not file.name.startswith("test_") and _has_tests(text)]
    assert [name for name in hidden if name.startswith("tests/")] == []


def _has_tests(text: str) -> bool:
    return bool(functions_in(ast.parse(text)))


def test_what_is_written_is_found_as_pytest_names_it() -> None:
    text = '"""M.\n\n>>> 1\n1\n"""\nclass TestA:\n    def test_b(self): ...\n\ndef test_c(): ...\n\ndef test_c(): ...\n'
    assert written(Path("tests/unit/x.py"), text) == {
        "tests/unit/x.py::tests.unit.x": 1,
        "tests/unit/x.py::TestA::test_b": 1,
        "tests/unit/x.py::test_c": 2,
    }
