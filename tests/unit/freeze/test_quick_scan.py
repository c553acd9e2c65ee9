"""What PyInstaller's search is given finds the same as what it replaces."""

from __future__ import annotations

import ast
import dis
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace

import pytest

# Of Python's own, so that each kind of statement is there; and one with more names than a byte can number.
MODULES = ("ast", "argparse", "contextlib", "dataclasses", "inspect", "os", "signal", "socket", "tarfile", "typing")
MANY = "\n".join(f"name_{number} = {number}" for number in range(600)) + "\ndel name_300\n"
KINDS = """
import one
from two import a
if 1:
    import three
elif 2:
    import four
else:
    import five
for _ in ():
    import six
else:
    import seven
while 0:
    import eight
with x:
    import nine
async def outer():
    async with x:
        import ten
    async for _ in x:
        import eleven
try:
    import twelve
except ValueError:
    import thirteen
else:
    import fourteen
finally:
    import fifteen
match x:
    case 1:
        import sixteen
class K(x[lambda: 1]):
    import seventeen
    @x
    def f(self, y=(1, 2)):
        import eighteen
"""


@pytest.fixture
def quick_scan(repo: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repo / "freeze"))
    import quick_scan

    return quick_scan


def sources() -> Iterator[str]:
    for name in MODULES:
        yield inspect.getsource(importlib.import_module(name))
    yield MANY


def slowly(code: CodeType) -> Iterator[tuple[str, bool]]:
    """Yield what PyInstaller finds: see ModuleGraph._scan_bytecode and iterate_instructions there."""
    for one in dis.get_instructions(code):
        if one.opname in ("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME", "DELETE_GLOBAL"):
            yield one.argval, one.opname.startswith("STORE")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from slowly(constant)


def test_the_same_names_are_made_and_removed_in_the_same_order(quick_scan: ModuleType) -> None:
    for source in sources():
        code = compile(source, "x.py", "exec", dont_inherit=True)
        assert list(quick_scan.names_in(code)) == list(slowly(code))
    assert ("name_300", False) in list(quick_scan.names_in(code))


class Slow(ast.NodeVisitor):
    """Collect imports as PyInstaller's `_Visitor` does."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.found.append(node.names[0].name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found.append(node.module or "")


def test_the_same_imports_are_found_in_the_same_order(quick_scan: ModuleType) -> None:
    class Quick(Slow):
        generic_visit = quick_scan.visit_statements

    for source in (*sources(), KINDS):
        one, other = Slow(), Quick()
        one.visit(ast.parse(source))
        other.visit(ast.parse(source))
        assert one.found == other.found
    assert len(other.found) == 18


def test_a_module_without_a_source_is_left_to_pyinstaller(quick_scan: ModuleType) -> None:
    class ModuleGraph:
        asked: list[bool]

        def _scan_bytecode(self, _module: object, _code: CodeType, is_scanning_imports: bool) -> None:
            self.asked = [is_scanning_imports]

    class Visitor(ast.NodeVisitor):
        pass

    fake = SimpleNamespace(ModuleGraph=ModuleGraph, _Visitor=Visitor)
    quick_scan.settle(fake)
    said: list[tuple[str, str]] = []
    module = SimpleNamespace(
        add_global_attr=lambda name: said.append(("made", name)),
        remove_global_attr_if_found=lambda name: said.append(("removed", name)),
    )
    graph, code = ModuleGraph(), compile("a = 1\ndel a\n", "x.py", "exec")
    graph._scan_bytecode(module, code, is_scanning_imports=False)
    assert (said, hasattr(graph, "asked")) == ([("made", "a"), ("removed", "a")], False)
    graph._scan_bytecode(module, code, is_scanning_imports=True)
    assert graph.asked == [True]
    assert Visitor.generic_visit is quick_scan.visit_statements
