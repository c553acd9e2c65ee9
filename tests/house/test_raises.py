"""A public function that raises says so: its docstring names the error, or has the word "raises" or "refuses".

The rule reads the `raise` statements in the function's own body, not in functions that it calls. A method is excused if
its class's docstring says "raises `Name`" for all methods. A command is excused, because its docstring is its help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

Function = ast.FunctionDef | ast.AsyncFunctionDef
Planter = Callable[..., object]

SAYS_SO = re.compile(r"\b(?:raises?|refuses?|refused)\b", re.IGNORECASE)


def public_functions(body: list[ast.stmt], above: str = "", said: str = "") -> Iterator[tuple[str, Function, str]]:
    """Yield each public function and method with its qualified name and its class's docstring."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and node.name.startswith("_"):
            continue
        if isinstance(node, Function):
            yield above + node.name, node, said
        elif isinstance(node, ast.ClassDef):
            yield from public_functions(node.body, f"{above}{node.name}.", ast.get_docstring(node) or "")


def raised_names(node: ast.AST) -> Iterator[str]:
    """Yield what the body of a function raises by itself: the name of a class, of a function or of a variable."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            named = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            yield ast.unparse(named).rpartition(".")[2]
        yield from raised_names(child)


def is_command(node: Function) -> bool:
    """Return whether a decorator makes the function a command, or a group of commands."""
    calls = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return any(isinstance(one, ast.Attribute) and one.attr in ("command", "group") for one in calls)


def silent(module: object) -> list[str]:
    """Return the public functions of `module` that raise, and do not say so."""
    found = []
    for name, node, class_says in public_functions(module.tree.body):
        docstring = ast.get_docstring(node) or ""
        if is_command(node) or SAYS_SO.search(docstring):
            continue
        unsaid = {one for one in raised_names(node) if one not in docstring and f"raises `{one}`" not in class_says}
        if unsaid:
            found.append(f"{module}:{node.lineno}: {name} raises {', '.join(sorted(unsaid))}: its docstring is silent")
    return found


def test_every_public_function_that_raises_says_so(modules: tuple) -> None:
    assert [line for module in modules for line in silent(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """Return it."""\n    raise Refused("a", "b")',
        'def f():\n    """Return it."""\n    if a:\n        raise Refused("a", "b") from error',
        'def f():\n    raise errors.Refused("a", "b")',
        'def f():\n    """Return it."""\n    raise _not_stored("a")',
        'class A:\n    """One."""\n\n    @classmethod\n    def f(cls):\n        raise Malformed("a", "b")',
        'class A:\n    """Each method raises `Refused`."""\n\n    def f(self):\n        raise Malformed("a", "b")',
    ],
)
def test_a_function_that_raises_in_silence_is_caught(text: str, plant: Planter) -> None:
    assert len(silent(plant(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """Return it; raises `Refused`."""\n    raise Refused("a", "b")',
        'def f():\n    """Raise unless it is good."""\n    raise Refused("a", "b")',
        'def f():\n    """Turn `OSError` into `WorldFailed`."""\n    raise WorldFailed("a", "b")',
        'def _f():\n    """Return it."""\n    raise Refused("a", "b")',
        'class _A:\n    def f(self):\n        raise Refused("a", "b")',
        'class A:\n    """Each method raises `Refused`."""\n\n    def f(self):\n        raise Refused("a", "b")',
        'def f():\n    """Return a function."""\n    def g():\n        raise Refused("a", "b")\n    return g',
        'def f():\n    """Pass on what went wrong."""\n    try:\n        g()\n    except OSError:\n        raise',
        '@click.command("f")\ndef f():\n    """Do it."""\n    raise Refused("a", "b")',
        '@key.command()\ndef f():\n    """Do it."""\n    raise Refused("a", "b")',
    ],
)
def test_a_function_that_says_so_or_raises_nothing_is_left_alone(text: str, plant: Planter) -> None:
    assert silent(plant(text)) == []
