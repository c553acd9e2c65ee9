"""The names that a template's expressions see, and what they stand for besides values: macros and namespaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from jinja2 import nodes

from cosmos.nova.templating.values import Missing, Value


class Scope:
    """The names of one block, over those of the blocks around it."""

    __slots__ = ("above", "names")

    def __init__(self, names: Mapping[str, Found], above: Scope | None = None) -> None:
        self.names = dict(names)
        self.above = above

    def find(self, name: str) -> Found:
        """Return what `name` stands for, in the innermost block that has it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.above
        return Missing(f"'{name}' is undefined")


class Macro:
    """A macro, or the body of a `call`: what it takes, and where it stands."""

    __slots__ = ("file", "name", "node", "scope")

    def __init__(self, name: str, node: nodes.Macro | nodes.CallBlock, scope: Scope, file: str) -> None:
        self.name = name
        self.node = node
        self.scope = scope
        self.file = file


class Names:
    """What `namespace()` makes, and what `import` brings: names, for `x.name`; it is no value."""

    __slots__ = ("can_change", "names")

    def __init__(self, names: Mapping[str, Found], *, can_change: bool) -> None:
        self.names = dict(names)
        self.can_change = can_change


Found: TypeAlias = "Value | Missing | Macro | Names"
