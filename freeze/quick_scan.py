"""Let PyInstaller's search for imports look only at what it uses: it then takes two thirds of its time.

The search walks each module's syntax tree for imports, and takes its compiled code apart for the global names that it
makes. It walked every expression, in which no import can stand, and took every instruction apart for its line, its
jumps and its text. `settle` puts the two functions below into its place; what they find is the same
(tests/unit/freeze/test_quick_scan.py). PyInstaller itself is locked to one version.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any

_MADE = frozenset(dis.opmap[name] for name in ("STORE_NAME", "STORE_GLOBAL"))
_REMOVED = frozenset(dis.opmap[name] for name in ("DELETE_NAME", "DELETE_GLOBAL"))
_NAMING = _MADE | _REMOVED
_WITHOUT_IMPORTS = (ast.expr, ast.expr_context, ast.alias, ast.arguments, ast.keyword, ast.pattern)


def names_in(code: CodeType) -> Iterator[tuple[str, bool]]:
    """Yield each global name that code makes or removes, and whether it makes it: in order, inner code after outer.

    Code is pairs of bytes: the number of an instruction, and the low byte of what it is about.
    """
    numbers, lows = code.co_code[::2], code.co_code[1::2]
    if not _NAMING.isdisjoint(numbers):
        high = 0
        for number, low in zip(numbers, lows, strict=True):
            if number == dis.EXTENDED_ARG:
                high = (high | low) << 8
                continue
            if number in _NAMING:
                yield code.co_names[high | low], number in _MADE
            high = 0
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def visit_statements(visitor: ast.NodeVisitor, node: ast.AST) -> None:
    """Visit what stands below a node and can hold a statement."""
    for _, value in ast.iter_fields(node):
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, ast.AST) and not isinstance(one, _WITHOUT_IMPORTS):
                visitor.visit(one)


def settle(modulegraph: ModuleType) -> None:
    """Give the module `PyInstaller.lib.modulegraph.modulegraph` the two functions."""
    slow = modulegraph.ModuleGraph._scan_bytecode

    def scan(graph: Any, module: Any, code: CodeType, is_scanning_imports: bool) -> None:
        if is_scanning_imports:  # of a module without a source
            slow(graph, module, code, is_scanning_imports)
            return
        for name, is_made in names_in(code):
            (module.add_global_attr if is_made else module.remove_global_attr_if_found)(name)

    modulegraph.ModuleGraph._scan_bytecode = scan
    modulegraph._Visitor.generic_visit = visit_statements
