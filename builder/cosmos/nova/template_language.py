"""The language of templates: Jinja2's syntax, evaluated by rules of our own, the same for stars and rootfs templates.

Jinja2 reads a template (`nova.template_scan`) and stops there: no template becomes a program of Python. This module
goes through the syntax tree. It knows

    statements   for, if, set, with, macro, call, filter, include, import
    values       text, numbers, booleans, none, lists, mappings        (nova.template_values)
    calls        of range(), of namespace(), and of the template's own macros
    x.key, x[i]  the key of a mapping, the element of a list or text, and nothing else
    filters, tests                                                     (nova.template_filters)

and refuses everything else, with the line. So a template has the same text on every machine, whatever the version of
Jinja2 brings, and it ends after a number of steps that is the same everywhere.

An expression that is not there has no value. It may stand only before `default`, `is defined` and `is undefined`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from jinja2 import nodes

from cosmos.limits import MAX_NOVA_RENDERED_BYTES, MAX_NOVA_TEMPLATE_BYTES, MAX_TEMPLATE_DEPTH, MAX_TEMPLATE_NESTING
from cosmos.nova.template_filters import FILTERS, TESTS, child, compared, elements, filtered, tested
from cosmos.nova.template_scan import TemplateProblem, parsed, walked
from cosmos.nova.template_values import Missing, Value, Work, kind_of, number, text_of

_ALONE: Final = "a template stands alone, without include, import and extends"
_FAULTS: Final = (ValueError, TypeError, ArithmeticError, LookupError)  # of values, filters and tests
_HALVES: Final = re.compile("[\ud800-\udfff]")
_MAX_EXPONENT: Final = 64  # of a whole number that has 64 bits, unless it is 0, 1 or -1


class _Scope:
    """The names of one block, over those of the blocks around it."""

    __slots__ = ("above", "names")

    def __init__(self, names: Mapping[str, _Found], above: _Scope | None = None) -> None:
        self.names = dict(names)
        self.above = above

    def find(self, name: str) -> _Found:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.above
        return Missing(f"'{name}' is undefined")


class _Macro:
    """A macro, or the body of a `call`: what it takes, and where it stands."""

    __slots__ = ("file", "name", "node", "scope")

    def __init__(self, name: str, node: nodes.Macro | nodes.CallBlock, scope: _Scope, file: str) -> None:
        self.name = name
        self.node = node
        self.scope = scope
        self.file = file


class _Names:
    """What `namespace()` makes, and what `import` brings: names, for `x.name`; it is no value."""

    __slots__ = ("can_change", "names")

    def __init__(self, names: Mapping[str, _Found], *, can_change: bool) -> None:
        self.names = dict(names)
        self.can_change = can_change


_Found: TypeAlias = "Value | Missing | _Macro | _Names"
Sources: TypeAlias = Callable[[str], "str | None"]


class Rendering:
    """Renders one template. `sources` returns the text of another file by its name, for include and import; without
    `sources`, a template stands alone.
    """

    def __init__(self, *, trims: bool, sources: Sources | None) -> None:
        self._trims = trims
        self._sources = sources
        self._trees: dict[str, nodes.Template] = {}
        self._work = Work()
        self._depth = 0
        self._files: list[str] = []  # the file being rendered, and those that include it
        self._pieces: list[str] = []
        self._size = 0

    def render(self, name: str, source: str, values: Mapping[str, Value]) -> str:
        """Return the text of the template `source`. `name` is its name for problems and `sources`.

        Raises `TemplateProblem`, or `MemoryError`.
        """
        self._trees[name] = self._checked(name, source)
        self._files.append(name)
        with self._captured() as pieces:
            self._run(self._trees[name].body, _Scope(values))
        return "".join(pieces)

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

    def _problem(self, text: str, node: nodes.Node) -> TemplateProblem:
        return TemplateProblem(f"does not render: {text}", node.lineno or 0, self._files[-1])

    @contextmanager
    def _inside(self, node: nodes.Node) -> Iterator[None]:
        """Turn the faults of values at `node` into problems with its line, and bound how deep it all goes."""
        self._depth += 1
        try:
            if self._depth > MAX_TEMPLATE_DEPTH:
                raise ValueError("it is nested, or calls itself, too deeply")
            self._work.charge(1)
            yield
        except _FAULTS as error:
            raise self._problem(str(error), node) from error
        finally:
            self._depth -= 1

    @contextmanager
    def _captured(self) -> Iterator[list[str]]:
        """Collect the text that is written meanwhile."""
        outer, size = self._pieces, self._size
        self._pieces, self._size = [], 0
        try:
            yield self._pieces
        finally:
            self._pieces, self._size = outer, size

    def _write(self, text: str) -> None:
        self._size += len(text)
        self._work.make(max(len(text), self._size if self._size > MAX_NOVA_RENDERED_BYTES else 0))
        self._pieces.append(text)

    # Statements.

    def _run(self, body: Sequence[nodes.Node], scope: _Scope) -> None:
        for node in body:
            with self._inside(node):
                _STATEMENTS[type(node)](self, node, scope)

    def _output(self, node: nodes.Output, scope: _Scope) -> None:
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                self._write(part.data)
            else:
                with self._inside(part):
                    self._write(text_of(self._value(part, scope), self._work))

    def _for(self, node: nodes.For, scope: _Scope) -> None:
        items = elements(self._value(node.iter, scope), self._work)
        if node.test is not None:
            kept = []
            for item in items:
                inner = _Scope({}, scope)
                self._assign(node.target, item, inner)
                if self._value(node.test, inner):
                    kept.append(item)
            items = kept
        if not items:
            self._run(node.else_, _Scope({}, scope))
        for place, item in enumerate(items):
            inner = _Scope({"loop": _loop(items, place)}, scope)
            self._assign(node.target, item, inner)
            self._run(node.body, inner)

    def _if(self, node: nodes.If, scope: _Scope) -> None:
        for branch in (node, *node.elif_):
            if self._value(branch.test, scope):
                self._run(branch.body, scope)
                return
        self._run(node.else_, scope)

    def _set(self, node: nodes.Assign, scope: _Scope) -> None:
        found = self._found(node.node, scope)
        if isinstance(found, _Names) and found.can_change and isinstance(node.target, nodes.Name):
            scope.names[node.target.name] = found
        else:
            self._assign(node.target, self._demanded(found, node.node), scope)

    def _set_block(self, node: nodes.AssignBlock, scope: _Scope) -> None:
        with self._captured() as pieces:
            self._run(node.body, _Scope({}, scope))
        text: Value = "".join(pieces)
        self._assign(node.target, text if node.filter is None else self._chain(node.filter, text, scope), scope)

    def _filter_block(self, node: nodes.FilterBlock, scope: _Scope) -> None:
        with self._captured() as pieces:
            self._run(node.body, _Scope({}, scope))
        self._write(text_of(self._chain(node.filter, "".join(pieces), scope), self._work))

    def _with(self, node: nodes.With, scope: _Scope) -> None:
        inner = _Scope({}, scope)
        for target, value in zip(node.targets, node.values, strict=True):
            self._assign(target, self._value(value, scope), inner)
        self._run(node.body, inner)

    def _macro(self, node: nodes.Macro, scope: _Scope) -> None:
        scope.names[node.name] = _Macro(node.name, node, scope, self._files[-1])

    def _call_block(self, node: nodes.CallBlock, scope: _Scope) -> None:
        macro = self._callee(node.call, scope)
        body = _Macro("caller", node, scope, self._files[-1])
        self._write(self._called(macro, node.call, scope, body))

    def _include(self, node: nodes.Include, scope: _Scope) -> None:
        wanted = self._value(node.template, scope)
        names = [wanted] if isinstance(wanted, str) else elements(wanted, self._work)
        for name in names:
            tree = self._tree(name)
            if tree is not None and isinstance(name, str):
                self._run_file(name, tree, _Scope({}, scope if node.with_context else None))
                return
        if not node.ignore_missing:
            raise LookupError(f"no file below root/ is called {text_of(wanted, self._work)}")

    def _import(self, node: nodes.Import, scope: _Scope) -> None:
        scope.names[node.target] = self._module(node, scope)

    def _from_import(self, node: nodes.FromImport, scope: _Scope) -> None:
        module = self._module(node, scope)
        for name in node.names:
            theirs, ours = (name, name) if isinstance(name, str) else name
            if theirs not in module.names:
                raise LookupError(f"the imported file makes no '{theirs}'")
            scope.names[ours] = module.names[theirs]

    def _module(self, node: nodes.Import | nodes.FromImport, scope: _Scope) -> _Names:
        name = self._value(node.template, scope)
        tree = self._tree(name)
        if tree is None or not isinstance(name, str):
            raise LookupError(f"no file below root/ is called {text_of(name, self._work)}")
        inner = _Scope({}, scope if node.with_context else None)
        with self._captured():
            self._run_file(name, tree, inner)
        return _Names(inner.names, can_change=False)

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

    def _run_file(self, name: str, tree: nodes.Template, scope: _Scope) -> None:
        if len(self._files) > MAX_TEMPLATE_NESTING:
            raise ValueError(f"files include each other more than {MAX_TEMPLATE_NESTING} deep")
        self._files.append(name)
        self._run(tree.body, scope)
        self._files.pop()  # after a problem, nothing is rendered any more

    def _assign(self, target: nodes.Node, value: Value, scope: _Scope) -> None:
        if isinstance(target, nodes.Name):
            scope.names[target.name] = value
        elif isinstance(target, nodes.NSRef):
            space = scope.find(target.name)
            if not isinstance(space, _Names) or not space.can_change:
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

    # Expressions.

    def _value(self, node: nodes.Node, scope: _Scope) -> Value:
        """Return the value of an expression; raises `TemplateProblem` if it has none."""
        return self._demanded(self._found(node, scope), node)

    def _found(self, node: nodes.Node, scope: _Scope) -> _Found:
        """Return the value of an expression, or what it has in place of one."""
        with self._inside(node):
            return _EXPRESSIONS[type(node)](self, node, scope)

    def _demanded(self, found: _Found, node: nodes.Node) -> Value:
        if isinstance(found, Missing):
            raise self._problem(found.why, node)
        if isinstance(found, _Macro):
            raise self._problem(f"{found.name} is a macro and has no text: call it, as in {found.name}()", node)
        if isinstance(found, _Names):
            raise self._problem("a namespace has no text: write one of its names after a dot", node)
        return found

    def _const(self, node: nodes.Const, _scope: _Scope) -> Value:
        value: object = node.value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return number(value)
        if isinstance(value, str):
            self._work.charge(len(value) // 8)
            if _HALVES.search(value):
                raise ValueError("half of a surrogate pair is no character")
            return value
        if value is None or isinstance(value, bool):
            return value
        raise TypeError(f"{type(value).__name__} is no value")

    def _text(self, node: nodes.TemplateData, _scope: _Scope) -> Value:
        return node.data

    def _name(self, node: nodes.Name, scope: _Scope) -> _Found:
        return scope.find(node.name)

    def _list(self, node: nodes.List | nodes.Tuple, scope: _Scope) -> Value:
        return self._work.shallow([self._value(item, scope) for item in node.items])

    def _mapping(self, node: nodes.Dict, scope: _Scope) -> Value:
        made: dict[str, Value] = {}
        for pair in node.items:
            key = self._value(pair.key, scope)
            if not isinstance(key, str):
                raise TypeError(f"{kind_of(key)} is no key of a mapping; a key is text")
            made[key] = self._value(pair.value, scope)
        return self._work.shallow(made)

    def _attribute(self, node: nodes.Getattr, scope: _Scope) -> _Found:
        found = self._found(node.node, scope)
        if isinstance(found, _Names):
            return found.names.get(node.attr, Missing(f"'{node.attr}' is undefined"))
        return child(self._demanded(found, node.node), node.attr)

    def _item(self, node: nodes.Getitem, scope: _Scope) -> _Found:
        value = self._value(node.node, scope)
        if not isinstance(node.arg, nodes.Slice):
            return child(value, self._value(node.arg, scope))
        if not isinstance(value, (list, str)):
            raise TypeError(f"{kind_of(value)} has no slices")
        places: list[int | None] = []
        for part in (node.arg.start, node.arg.stop, node.arg.step):
            place = None if part is None else self._value(part, scope)
            if place is not None and (not isinstance(place, int) or isinstance(place, bool)):
                raise TypeError(f"a slice goes from one whole number to another, not to {kind_of(place)}")
            places.append(place)
        self._work.make(len(value))
        return value[places[0] : places[1] : places[2]]

    def _choice(self, node: nodes.CondExpr, scope: _Scope) -> _Found:
        if self._value(node.test, scope):
            return self._found(node.expr1, scope)
        if node.expr2 is None:
            return Missing("the condition is false, and there is no else")
        return self._found(node.expr2, scope)

    def _filter(self, node: nodes.Filter, scope: _Scope) -> _Found:
        if node.node is None:
            raise TypeError("a filter has nothing before it")
        found = self._found(node.node, scope)
        subject = found if isinstance(found, Missing) else self._demanded(found, node.node)
        return filtered(node.name, subject, self._work, *self._arguments(node, scope))

    def _chain(self, node: nodes.Filter, text: Value, scope: _Scope) -> Value:
        """Return `text` after the filters of a block."""
        with self._inside(node):
            subject = text if node.node is None else self._chain(_as_filter(node.node), text, scope)
            return self._demanded(filtered(node.name, subject, self._work, *self._arguments(node, scope)), node)

    def _test(self, node: nodes.Test, scope: _Scope) -> Value:
        found = self._found(node.node, scope)
        subject = None if isinstance(found, (_Macro, _Names)) else found
        if node.name not in ("defined", "undefined"):
            subject = self._demanded(found, node.node)
        return tested(node.name, subject, self._work, *self._arguments(node, scope))

    def _arguments(
        self, node: nodes.Filter | nodes.Test | nodes.Call, scope: _Scope
    ) -> tuple[list[Value], dict[str, Value]]:
        given = [self._value(argument, scope) for argument in node.args]
        named: dict[str, Value] = {}
        for pair in node.kwargs:
            if not isinstance(pair, nodes.Keyword) or pair.key in named:
                raise TypeError("an argument is named twice")
            named[pair.key] = self._value(pair.value, scope)
        return given, named

    def _compare(self, node: nodes.Compare, scope: _Scope) -> Value:
        left = self._value(node.expr, scope)
        for operand in node.ops:
            right = self._value(operand.expr, scope)
            if not compared(operand.op, left, right, self._work):
                return False
            left = right
        return True

    def _and(self, node: nodes.And, scope: _Scope) -> Value:
        left = self._value(node.left, scope)
        return self._value(node.right, scope) if left else left

    def _or(self, node: nodes.Or, scope: _Scope) -> Value:
        left = self._value(node.left, scope)
        return left if left else self._value(node.right, scope)

    def _not(self, node: nodes.Not, scope: _Scope) -> Value:
        return not self._value(node.node, scope)

    def _sign(self, node: nodes.Neg | nodes.Pos, scope: _Scope) -> Value:
        value = _numeric(self._value(node.node, scope), node.operator)
        return number(-value if isinstance(node, nodes.Neg) else +value)

    def _concat(self, node: nodes.Concat, scope: _Scope) -> Value:
        texts = [text_of(self._value(part, scope), self._work) for part in node.nodes]
        self._work.make(sum(map(len, texts)))
        return "".join(texts)

    def _arithmetic(self, node: nodes.BinExpr, scope: _Scope) -> Value:
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        if node.operator == "+" and isinstance(left, str) and isinstance(right, str):
            self._work.make(len(left) + len(right))
            return left + right
        if node.operator == "+" and isinstance(left, list) and isinstance(right, list):
            self._work.charge(len(left) + len(right))
            return left + right
        if node.operator == "*" and isinstance(left, (str, list)) != isinstance(right, (str, list)):
            return self._repeated(left, right)
        if node.operator == "%" and isinstance(left, str):
            raise TypeError("% makes no text of text: write its parts with ~ between them")
        return number(_calculated(node.operator, _numeric(left, node.operator), _numeric(right, node.operator)))

    def _repeated(self, left: Value, right: Value) -> Value:
        whole, times = (left, right) if isinstance(left, (str, list)) else (right, left)
        if not isinstance(whole, (str, list)) or not isinstance(times, int) or isinstance(times, bool):
            raise TypeError(f"{kind_of(left)} * {kind_of(right)} is nothing")
        if isinstance(whole, str):
            self._work.make(len(whole) * max(times, 0))
            return whole * times
        self._work.charge(len(whole) * max(times, 0))
        return whole * times

    def _call(self, node: nodes.Call, scope: _Scope) -> _Found:
        if isinstance(node.node, nodes.Name) and isinstance(scope.find(node.node.name), Missing):
            given, named = self._arguments(node, scope)
            if node.node.name == "range" and not named:
                return self._range(given)
            if node.node.name == "namespace":
                first: Value = given[0] if len(given) == 1 else {}
                if len(given) > 1 or not isinstance(first, dict):
                    raise TypeError("namespace() takes a mapping, or names")
                return _Names({**first, **named}, can_change=True)
        return self._called(self._callee(node, scope), node, scope, None)

    def _callee(self, node: nodes.Call, scope: _Scope) -> _Macro:
        callee = node.node
        name = callee.attr if isinstance(callee, nodes.Getattr) else ""
        if isinstance(callee, (nodes.Name, nodes.Getattr)):
            found = self._found(callee, scope)
            if isinstance(found, _Macro):
                return found
            if isinstance(found, Missing) and isinstance(callee, nodes.Name):
                raise LookupError(found.why)
        instead = f"; write |{name}" if name in FILTERS else ""
        raise TypeError(f"a template calls range(), namespace() and its own macros, and nothing else{instead}")

    def _called(self, macro: _Macro, node: nodes.Call, scope: _Scope, caller: _Macro | None) -> str:
        """Return the text that a macro makes of the arguments of `node`."""
        given, named = self._arguments(node, scope)
        names = [argument.name for argument in macro.node.args]
        if len(given) > len(names):
            raise TypeError(f"{macro.name} takes {len(names)} values, not {len(given)}")
        taken: dict[str, _Found] = dict(zip(names, given, strict=False))
        for name, value in named.items():
            if name not in names or name in taken:
                raise TypeError(f"{macro.name} takes no {name}, or takes it once")
            taken[name] = value
        if caller is not None:
            taken["caller"] = caller
        inner = _Scope(taken, macro.scope)
        defaults = dict(zip(names[len(names) - len(macro.node.defaults) :], macro.node.defaults, strict=True))
        self._files.append(macro.file)
        for name in names:
            if name not in taken:
                missing = Missing(f"'{name}' is undefined")
                inner.names[name] = self._value(defaults[name], inner) if name in defaults else missing
        with self._captured() as pieces:
            self._run(macro.node.body, inner)
        self._files.pop()
        return "".join(pieces)

    def _range(self, given: Sequence[Value]) -> Value:
        places = [place for place in given if isinstance(place, int) and not isinstance(place, bool)]
        if len(places) != len(given) or not 1 <= len(places) <= 3:
            raise TypeError("range() takes one, two or three whole numbers")
        places_of = range(*places)
        self._work.charge(len(places_of))
        return list(places_of)


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


def _numeric(value: Value, operator: str) -> int | float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{operator} wants numbers, not {kind_of(value)}")
    return value


def _calculated(operator: str, left: float, right: float) -> int | float:
    """Return `left operator right`. Every machine gives the same digits: there is no power of a fraction."""
    if operator in ("/", "//", "%") and right == 0:
        raise ZeroDivisionError("it divides by zero")
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return left // right
        case "%":
            return left % right
        case "**" if isinstance(left, int) and isinstance(right, int) and right >= 0:
            if abs(left) > 1 and right > _MAX_EXPONENT:
                raise OverflowError("a whole number has more than 64 bits")
            return int(left**right) if abs(left) > 1 else int(left ** (right if right < 2 else 2 - right % 2))
        case "**":
            raise TypeError("** wants whole numbers, and no negative one after it")
        case _:
            raise TypeError(f"there is no {operator}")


_Statement: TypeAlias = Callable[..., None]  # (rendering, node, scope)
_Expression: TypeAlias = Callable[..., _Found]  # (rendering, node, scope)
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
_EXPRESSIONS: Final[Mapping[type[nodes.Node], _Expression]] = {
    nodes.Const: Rendering._const,
    nodes.TemplateData: Rendering._text,
    nodes.Name: Rendering._name,
    nodes.List: Rendering._list,
    nodes.Tuple: Rendering._list,
    nodes.Dict: Rendering._mapping,
    nodes.Getattr: Rendering._attribute,
    nodes.Getitem: Rendering._item,
    nodes.CondExpr: Rendering._choice,
    nodes.Filter: Rendering._filter,
    nodes.Test: Rendering._test,
    nodes.Compare: Rendering._compare,
    nodes.And: Rendering._and,
    nodes.Or: Rendering._or,
    nodes.Not: Rendering._not,
    nodes.Neg: Rendering._sign,
    nodes.Pos: Rendering._sign,
    nodes.Concat: Rendering._concat,
    nodes.Call: Rendering._call,
    **dict.fromkeys(
        (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow), Rendering._arithmetic
    ),
}
_PARTS: Final = (nodes.Template, nodes.Scope, nodes.Pair, nodes.Keyword, nodes.Operand, nodes.Slice, nodes.NSRef)
_KNOWN: Final[tuple[type[nodes.Node], ...]] = (*_STATEMENTS, *_EXPRESSIONS, *_PARTS)
_WORDS: Final = {
    "Block": "block",
    "Extends": "extends",
    "ScopedEvalContextModifier": "autoescape",
    "EvalContextModifier": "autoescape",
    "ExprStmt": "do",
}
