"""The language of templates: Jinja2's syntax, evaluated by rules of our own, the same for stars and rootfs templates.

Jinja2 reads a template (`nova.templating.scan`) and stops there: no template becomes a program of Python. This module
goes through the syntax tree. It knows

    statements   for, if, set, with, macro, call, filter, include, import
    values       text, numbers, booleans, none, lists, mappings        (nova.templating.values)
    calls        of range(), of namespace(), and of the template's own macros
    x.key, x[i]  the key of a mapping, the element of a list or text, and nothing else
    filters, tests                                                     (nova.templating.filters)

and refuses everything else, with the line. So a template has the same text on every machine, whatever the version of
Jinja2 brings, and it ends after a number of steps that is the same everywhere.

An expression that is not there has no value. It may stand only before `default`, `is defined` and `is undefined`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from jinja2 import nodes

from cosmos.limits import MAX_NOVA_RENDERED_BYTES, MAX_NOVA_TEMPLATE_BYTES, MAX_TEMPLATE_NESTING
from cosmos.nova.templating.conditions import TESTS
from cosmos.nova.templating.elements import elements
from cosmos.nova.templating.expressions import EXPRESSIONS, Expressions
from cosmos.nova.templating.filters import FILTERS, filtered
from cosmos.nova.templating.names import Found, Macro, Names, Scope
from cosmos.nova.templating.scan import TemplateProblem, parsed, walked
from cosmos.nova.templating.secret import Secret, joined
from cosmos.nova.templating.values import Missing, Value, kind_of, text_of

Sources: TypeAlias = Callable[[str], "str | None"]

_ALONE: Final = "a template stands alone, without include, import and extends"


class Rendering(Expressions):
    """Renders one template. `sources` returns the text of another file by its name, for include and import; without
    `sources`, a template stands alone.
    """

    def __init__(self, *, trims: bool, sources: Sources | None) -> None:
        super().__init__()
        self._trims = trims
        self._sources = sources
        self._trees: dict[str, nodes.Template] = {}
        self._pieces: list[str | Secret] = []
        self._size = 0
        self.places: dict[str, str] = {}  # where each secret is written first, as FILE:LINE

    def render(self, name: str, source: str, values: Mapping[str, Value]) -> str | Secret:
        """Return the text of the template `source`, a secret if it holds one. `name` is its name for problems and
        `sources`.

        Raises `TemplateProblem`, or `MemoryError`.
        """
        self._trees[name] = self._checked(name, source)
        self._files.append(name)
        with self._captured() as pieces:
            self._run(self._trees[name].body, Scope(values))
        return joined(pieces)

    def _checked(self, name: str, source: str) -> nodes.Template:
        try:
            if len(source) > MAX_NOVA_TEMPLATE_BYTES:
                raise TemplateProblem(f"has more than {MAX_NOVA_TEMPLATE_BYTES} bytes")
            tree = parsed(source, trims=self._trims)
            for node in walked(tree):
                self._demand_known(node)
        except TemplateProblem as problem:
            raise TemplateProblem(problem.text, problem.line, name) from problem
        return tree

    def _demand_known(self, node: nodes.Node) -> None:
        """Refuse a node that the language does not have, also where it is never reached."""
        line = node.lineno or 0
        if isinstance(node, (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)) and self._sources is None:
            raise TemplateProblem(f"does not parse: {_ALONE}", line)
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise TemplateProblem(f"does not parse: no filter is called '{node.name}'", line)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise TemplateProblem(f"does not parse: no test is called '{node.name}'", line)
        if isinstance(node, nodes.For) and node.recursive:
            raise TemplateProblem("does not parse: a loop is not recursive here; a macro can call itself", line)
        if isinstance(node, (nodes.Call, nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
            raise TemplateProblem("does not parse: arguments are written out, without * and **", line)
        if not isinstance(node, _KNOWN):
            word = _WORDS.get(type(node).__name__, type(node).__name__)
            raise TemplateProblem(f"does not parse: templates have no {word} here", line)

    @contextmanager
    def _captured(self) -> Iterator[list[str | Secret]]:
        """Collect the text that is written meanwhile."""
        outer, size = self._pieces, self._size
        self._pieces, self._size = [], 0
        try:
            yield self._pieces
        finally:
            self._pieces, self._size = outer, size

    def _write(self, text: str | Secret) -> None:
        size = text.size if isinstance(text, Secret) else len(text)
        self._size += size
        self._work.make(max(size, self._size if self._size > MAX_NOVA_RENDERED_BYTES else 0))
        self._pieces.append(text)

    def _run(self, body: Sequence[nodes.Node], scope: Scope) -> None:
        for node in body:
            with self._inside(node):
                _STATEMENTS[type(node)](self, node, scope)

    def _output(self, node: nodes.Output, scope: Scope) -> None:
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                self._write(part.data)
            else:
                with self._inside(part):
                    self._write(self._shown(self._value(part, scope), part))

    def _shown(self, value: Value, node: nodes.Node) -> str | Secret:
        """Return the text of a value that is written. A secret stays one, and its place is remembered."""
        if not isinstance(value, Secret):
            return text_of(value, self._work)
        for name in value.names:
            self.places.setdefault(name, f"{self._files[-1]}:{node.lineno}")
        return value

    def _for(self, node: nodes.For, scope: Scope) -> None:
        items = elements(self._value(node.iter, scope), self._work)
        if node.test is not None:
            kept = []
            for item in items:
                inner = Scope({}, scope)
                self._assign(node.target, item, inner)
                if self._value(node.test, inner):
                    kept.append(item)
            items = kept
        if not items:
            self._run(node.else_, Scope({}, scope))
        for place, item in enumerate(items):
            inner = Scope({"loop": _loop(items, place)}, scope)
            self._assign(node.target, item, inner)
            self._run(node.body, inner)

    def _if(self, node: nodes.If, scope: Scope) -> None:
        for branch in (node, *node.elif_):
            if self._value(branch.test, scope):
                self._run(branch.body, scope)
                return
        self._run(node.else_, scope)

    def _set(self, node: nodes.Assign, scope: Scope) -> None:
        found = self._found(node.node, scope)
        if isinstance(found, Names) and found.can_change and isinstance(node.target, nodes.Name):
            scope.names[node.target.name] = found
        else:
            self._assign(node.target, self._demanded(found, node.node), scope)

    def _set_block(self, node: nodes.AssignBlock, scope: Scope) -> None:
        with self._captured() as pieces:
            self._run(node.body, Scope({}, scope))
        text: Value = joined(pieces)
        self._assign(node.target, text if node.filter is None else self._chain(node.filter, text, scope), scope)

    def _filter_block(self, node: nodes.FilterBlock, scope: Scope) -> None:
        with self._captured() as pieces:
            self._run(node.body, Scope({}, scope))
        self._write(self._shown(self._chain(node.filter, joined(pieces), scope), node))

    def _chain(self, node: nodes.Filter, text: Value, scope: Scope) -> Value:
        """Return `text` after the filters of a block."""
        with self._inside(node):
            subject = text if node.node is None else self._chain(_as_filter(node.node), text, scope)
            return self._demanded(filtered(node.name, subject, self._work, *self._arguments(node, scope)), node)

    def _with(self, node: nodes.With, scope: Scope) -> None:
        inner = Scope({}, scope)
        for target, value in zip(node.targets, node.values, strict=True):
            self._assign(target, self._value(value, scope), inner)
        self._run(node.body, inner)

    def _macro(self, node: nodes.Macro, scope: Scope) -> None:
        scope.names[node.name] = Macro(node.name, node, scope, self._files[-1])

    def _call_block(self, node: nodes.CallBlock, scope: Scope) -> None:
        macro = self._callee(node.call, scope)
        body = Macro("caller", node, scope, self._files[-1])
        self._write(self._called(macro, node.call, scope, body))

    def _include(self, node: nodes.Include, scope: Scope) -> None:
        wanted = self._value(node.template, scope)
        names = [wanted] if isinstance(wanted, str) else elements(wanted, self._work)
        for name in names:
            tree = self._tree(name)
            if tree is not None and isinstance(name, str):
                self._run_file(name, tree, Scope({}, scope if node.with_context else None))
                return
        if not node.ignore_missing:
            raise LookupError(f"no file below root/ is called {text_of(wanted, self._work)}")

    def _import(self, node: nodes.Import, scope: Scope) -> None:
        scope.names[node.target] = self._module(node, scope)

    def _from_import(self, node: nodes.FromImport, scope: Scope) -> None:
        module = self._module(node, scope)
        for name in node.names:
            theirs, ours = (name, name) if isinstance(name, str) else name
            if theirs not in module.names:
                raise LookupError(f"the imported file makes no '{theirs}'")
            scope.names[ours] = module.names[theirs]

    def _module(self, node: nodes.Import | nodes.FromImport, scope: Scope) -> Names:
        name = self._value(node.template, scope)
        tree = self._tree(name)
        if tree is None or not isinstance(name, str):
            raise LookupError(f"no file below root/ is called {text_of(name, self._work)}")
        inner = Scope({}, scope if node.with_context else None)
        with self._captured():
            self._run_file(name, tree, inner)
        return Names(inner.names, can_change=False)

    def _tree(self, name: Value) -> nodes.Template | None:
        if not isinstance(name, str) or self._sources is None:
            raise TypeError(f"a file is named by text, not by {kind_of(name)}")
        if name in self._files:
            raise ValueError(f"{name} includes itself")
        if name not in self._trees:
            source = self._sources(name)
            if source is None:
                return None
            self._trees[name] = self._checked(name, source)
        return self._trees[name]

    def _run_file(self, name: str, tree: nodes.Template, scope: Scope) -> None:
        if len(self._files) > MAX_TEMPLATE_NESTING:
            raise ValueError(f"files include each other more than {MAX_TEMPLATE_NESTING} deep")
        self._files.append(name)
        self._run(tree.body, scope)
        self._files.pop()  # after a problem, nothing is rendered any more

    def _assign(self, target: nodes.Node, value: Value, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope.names[target.name] = value
        elif isinstance(target, nodes.NSRef):
            space = scope.find(target.name)
            if not isinstance(space, Names) or not space.can_change:
                raise TypeError(f"{target.name} is not what namespace() makes, and so {target.attr} cannot be set")
            space.names[target.attr] = value
        elif isinstance(target, nodes.Tuple):
            items = elements(value, self._work)
            if len(items) != len(target.items):
                raise ValueError(f"{len(target.items)} names cannot take {len(items)} values")
            for inner, item in zip(target.items, items, strict=True):
                self._assign(inner, item, scope)
        else:
            raise TypeError("a value is set to a name")

    def _called(self, macro: Macro, node: nodes.Call, scope: Scope, caller: Macro | None) -> str | Secret:
        """Return the text that a macro makes of the arguments of `node`."""
        given, named = self._arguments(node, scope)
        names = [argument.name for argument in macro.node.args]
        if len(given) > len(names):
            raise TypeError(f"{macro.name} takes {len(names)} values, not {len(given)}")
        taken: dict[str, Found] = dict(zip(names, given, strict=False))
        for name, value in named.items():
            if name not in names or name in taken:
                raise TypeError(f"{macro.name} takes no {name}, or takes it once")
            taken[name] = value
        if caller is not None:
            taken["caller"] = caller
        inner = Scope(taken, macro.scope)
        defaults = dict(zip(names[len(names) - len(macro.node.defaults) :], macro.node.defaults, strict=True))
        self._files.append(macro.file)
        for name in names:
            if name not in taken:
                missing = Missing(f"'{name}' is undefined")
                inner.names[name] = self._value(defaults[name], inner) if name in defaults else missing
        with self._captured() as pieces:
            self._run(macro.node.body, inner)
        self._files.pop()
        return joined(pieces)


def _loop(items: Sequence[Value], place: int) -> dict[str, Value]:
    """Return what a loop's body sees as `loop`."""
    last = len(items) - 1
    about: dict[str, Value] = {
        "index": place + 1,
        "index0": place,
        "revindex": last - place + 1,
        "revindex0": last - place,
        "first": place == 0,
        "last": place == last,
        "length": len(items),
    }
    if place:
        about["previtem"] = items[place - 1]
    if place < last:
        about["nextitem"] = items[place + 1]
    return about


def _as_filter(node: nodes.Expr) -> nodes.Filter:
    if not isinstance(node, nodes.Filter):
        raise TypeError("a block is filtered by filters alone")
    return node


_Statement: TypeAlias = Callable[..., None]  # (rendering, node, scope)
_STATEMENTS: Final[Mapping[type[nodes.Node], _Statement]] = {
    nodes.Output: Rendering._output,
    nodes.For: Rendering._for,
    nodes.If: Rendering._if,
    nodes.Assign: Rendering._set,
    nodes.AssignBlock: Rendering._set_block,
    nodes.FilterBlock: Rendering._filter_block,
    nodes.With: Rendering._with,
    nodes.Macro: Rendering._macro,
    nodes.CallBlock: Rendering._call_block,
    nodes.Include: Rendering._include,
    nodes.Import: Rendering._import,
    nodes.FromImport: Rendering._from_import,
}
_PARTS: Final = (nodes.Template, nodes.Scope, nodes.Pair, nodes.Keyword, nodes.Operand, nodes.Slice, nodes.NSRef)
_KNOWN: Final[tuple[type[nodes.Node], ...]] = (*_STATEMENTS, *EXPRESSIONS, *_PARTS)
_WORDS: Final = {
    "Block": "block",
    "Extends": "extends",
    "ScopedEvalContextModifier": "autoescape",
    "EvalContextModifier": "autoescape",
    "ExprStmt": "do",
}
