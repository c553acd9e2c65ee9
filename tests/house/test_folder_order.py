"""No answer depends on the order in which a file system lists a folder: each listing is sorted, or has a reason."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

LISTINGS = {"iterdir", "glob", "rglob", "listdir", "scandir", "walk", "fwalk"}
ORDERLESS = {"sorted", "any", "all", "set", "frozenset", "len", "sum", "max", "min"}

# (module, listing) -> why its order cannot matter
EXCEPTIONS = {
    ("stellar.index_galaxy", "glob"): "each file is judged and removed by itself",
    ("debian.apt", "iterdir"): "becomes a dictionary that is only looked up",
    ("debian.apt_state", "iterdir"): "each file is judged and removed by itself",
}


def unsorted_listings(module: object) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each listing of a folder that no order-free function takes."""
    taken = {
        id(argument)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDERLESS
        for argument in _iterated(node)
    }
    for node in ast.walk(module.tree):
        called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        on_self = called and isinstance(node.func.value, ast.Name) and node.func.value.id in ("self", "verbs", "ast")
        if called in LISTINGS and id(node) not in taken and not on_self:
            yield node.lineno, called


def _iterated(call: ast.Call) -> Iterator[ast.expr]:
    """Yield what `call` iterates over: its arguments, and the iterables of a comprehension among them."""
    for argument in call.args:
        yield argument
        if isinstance(argument, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            yield from (part.iter for part in argument.generators)


def test_folders_are_listed_in_order(modules: tuple) -> None:
    found = [
        f"{module}:{line}: {name}; sort it"
        for module in modules
        for line, name in unsorted_listings(module)
        if (module.name, name) not in EXCEPTIONS
    ]
    assert found == []


def test_every_exception_is_still_needed(modules: tuple) -> None:
    used = {(module.name, name) for module in modules for _, name in unsorted_listings(module)}
    assert set(EXCEPTIONS) - used == set()


@pytest.mark.parametrize(
    ("line", "is_caught"),
    [
        ("for file in folder.iterdir(): pass", True),
        ("files = list(folder.rglob('*'))", True),
        ("import os; names = [name for name in os.listdir(folder)]", True),
        ("for file in sorted(folder.iterdir()): pass", False),
        ("empty = not any(folder.iterdir())", False),
        ("files = sorted(file for file in folder.glob('*') if file.is_file())", False),
    ],
)
def test_an_unsorted_listing_is_caught(line: str, is_caught: bool, plant: Callable[..., object]) -> None:
    assert bool(list(unsorted_listings(plant(line)))) is is_caught
