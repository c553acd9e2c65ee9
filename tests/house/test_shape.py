"""The shape of the source: sizes, docstrings, names of modules, and a reason beside every exception."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40

# module -> why it is one module all the same
LONG_MODULES: dict[str, str] = {
    "process": "programs start in one module, by the rule of test_outside_world",
    "cli.cosmos.main": "a table of commands, with a function for each, so that tools see the imports",
}
# module:function -> why it is one function all the same
LONG_FUNCTIONS: dict[str, str] = {
    "cli.cosmos.build:build": "click hands in an argument for each option; the rest is a look, and one call",
}

BANNED_MODULE_NAMES = re.compile(r"(?:^|_)(?:utils?|helpers?|common|core|misc|managers?|handlers?|tools|stuff)(?:_|$)")
SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma|nosec|mypy:|ruff:)(?P<rest>[^#\n]*)(?P<reason>#[^\n]*)?")
LEAST_REASON = 8  # characters: "see #12" is none yet

Planter = Callable[..., object]


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of the function's lines, without its docstring and its decorators."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function and method with its qualified name."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, child
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from walk(child, f"{prefix}{child.name}." if named else prefix)

    return walk(tree, "")


def bare_suppressions(text: str) -> list[str]:
    """Return the lines that silence a linter without a reason."""
    found = []
    for line in text.splitlines():
        for match in SUPPRESSION.finditer(line):
            after_codes = re.sub(
                r"^:?\s*(?:\[[\w, -]+\]|[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)?[\s:—-]*", "", match["rest"]
            )
            reason = (after_codes + (match["reason"] or "")).strip("# \t")
            if len(reason) < LEAST_REASON:
                found.append(line.strip())
    return found


def test_no_module_is_past_its_length_without_a_reason(modules: tuple) -> None:
    long = {module.name: len(module.text.splitlines()) for module in modules}
    assert {name: lines for name, lines in long.items() if lines > MAX_MODULE_LINES and name not in LONG_MODULES} == {}
    assert {name for name in LONG_MODULES if long.get(name, 0) <= MAX_MODULE_LINES} == set(), "no longer needed"


def test_no_function_is_past_its_length_without_a_reason(modules: tuple) -> None:
    lines = {f"{module.name}:{name}": code_lines(node) for module in modules for name, node in functions(module.tree)}
    long = {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES}
    assert {name: count for name, count in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) - set(long) == set(), "no longer needed"


def test_every_module_begins_with_what_it_is_for(modules: tuple) -> None:
    assert [str(module) for module in modules if len(ast.get_docstring(module.tree) or "") < 20] == []


def test_every_public_class_and_function_says_what_it_is(modules: tuple) -> None:
    silent = [
        f"{module}:{node.lineno}: {node.name}"
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_a_package_file_holds_a_docstring_and_imports_alone(modules: tuple) -> None:
    packages = [module for module in modules if module.path.name == "__init__.py"]
    assert packages
    strange = [
        f"{module}:{node.lineno}"
        for module in packages
        for node in module.tree.body
        if not (
            isinstance(node, ast.Import | ast.ImportFrom)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"])
        )
    ]
    assert strange == []


def test_no_module_has_a_name_that_says_nothing(modules: tuple) -> None:
    assert [str(module) for module in modules if BANNED_MODULE_NAMES.search(module.name.rpartition(".")[2])] == []


def test_every_lint_exception_carries_its_reason(tracked_texts: dict[Path, str]) -> None:
    bare = [
        f"{path.name}: {line}"
        for path, text in tracked_texts.items()
        if path.suffix == ".py" and path.name != "test_shape.py"
        for line in bare_suppressions(text)
    ]
    assert bare == []


def test_every_rule_that_is_off_everywhere_carries_its_reason(repo: Path) -> None:
    text = (repo / "pyproject.toml").read_text()
    ignored = tomllib.loads(text)["tool"]["ruff"]["lint"]["ignore"]
    bare = [rule for rule in ignored if not re.search(rf'"{rule}",\s*# \S.{{{LEAST_REASON},}}', text)]
    assert bare == []


def test_the_program_and_its_distribution_state_one_version(repo: Path, modules: tuple) -> None:
    stated = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["version"]
    about = next(module for module in modules if module.name == "about")
    assert re.search(rf'^VERSION: Final = "{re.escape(stated)}"', about.text, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "is_bare"),
    [
        ("import os  # noqa", True),
        ("import os  # noqa: F401", True),
        ("x = y  # type: ignore[attr-defined]", True),
        ("import os  # noqa: F401  # re-exported for the tests of upstream", False),
        ("import os  # noqa: F401 - re-exported for the tests of upstream", False),
        ("x = y  # type: ignore[attr-defined]  # lupa has no stubs", False),
        ("x = y", False),
    ],
)
def test_an_exception_without_a_reason_is_told_from_one_with(line: str, is_bare: bool) -> None:
    assert bool(bare_suppressions(line)) is is_bare


def test_a_function_is_measured_without_its_docstring(plant: Planter) -> None:
    tree = plant('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').tree
    assert [code_lines(node) for _, node in functions(tree)] == [2]


def test_a_dataclass_of_the_standard_library_has_an_option_that_cosmos_records_lacks(modules: tuple) -> None:
    """Its methods are compiled at each import (docs/decisions/0055)."""
    standard = [
        module.name
        for module in modules
        if re.search(r"^from dataclasses import .*\bdataclass\b", module.text, re.MULTILINE)
        and not re.search(r"^@dataclass\(.*\b(eq|order)=", module.text, re.MULTILINE)
    ]
    assert standard == []
