"""Evaluate the expressions of a template."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from jinja2 import nodes

from cosmos.limits import MAX_TEMPLATE_DEPTH
from cosmos.nova.templating.conditions import tested
from cosmos.nova.templating.elements import child, compared
from cosmos.nova.templating.filters import FILTERS, filtered
from cosmos.nova.templating.names import Found, Macro, Names, Scope
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.nova.templating.secret import Secret, demand_no_secret, joined
from cosmos.nova.templating.values import Missing, Value, Work, kind_of, number, text_of

_FAULTS: Final = (ValueError, TypeError, ArithmeticError, LookupError)  # of values, filters and tests
_HALVES: Final = re.compile("[\\ud800-\\udfff]")
_MAX_EXPONENT: Final = 64  # of a whole number that has 64 bits, unless it is 0, 1 or -1


class Expressions(ABC):
    """Evaluates expressions. `_called` renders the body of a macro.

    `_files` are the name of the file that is rendered, as the last, and those of the files that include it.
    """

    def __init__(self) -> None:
        self._work = Work()
        self._depth = 0
        self._files: list[str] = []

    @abstractmethod
    def _called(self, macro: Macro, node: nodes.Call, scope: Scope, caller: Macro | None) -> str | Secret:
        """Return the text that a macro makes of the arguments of `node`."""

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

    def _problem(self, text: str, node: nodes.Node) -> TemplateProblem:
        return TemplateProblem(f"does not render: {text}", node.lineno or 0, self._files[-1])

    def _value(self, node: nodes.Node, scope: Scope) -> Value:
        """Return the value of an expression; raises `TemplateProblem` if it has none."""
        return self._demanded(self._found(node, scope), node)

    def _found(self, node: nodes.Node, scope: Scope) -> Found:
        """Return the value of an expression, or what it has in place of one."""
        with self._inside(node):
            return EXPRESSIONS[type(node)](self, node, scope)

    def _demanded(self, found: Found, node: nodes.Node) -> Value:
        if isinstance(found, Missing):
            raise self._problem(found.why, node)
        if isinstance(found, Macro):
            raise self._problem(f"{found.name} is a macro and has no text: call it, as in {found.name}()", node)
        if isinstance(found, Names):
            raise self._problem("a namespace has no text: write one of its names after a dot", node)
        return found

    def _const(self, node: nodes.Const, _scope: Scope) -> Value:
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

    def _text(self, node: nodes.TemplateData, _scope: Scope) -> Value:
        return node.data

    def _name(self, node: nodes.Name, scope: Scope) -> Found:
        return scope.find(node.name)

    def _list(self, node: nodes.List | nodes.Tuple, scope: Scope) -> Value:
        return self._work.shallow([self._value(item, scope) for item in node.items])

    def _mapping(self, node: nodes.Dict, scope: Scope) -> Value:
        made: dict[str, Value] = {}
        for pair in node.items:
            key = self._value(pair.key, scope)
            if not isinstance(key, str):
                raise TypeError(f"{kind_of(key)} is no key of a mapping; a key is text")
            made[key] = self._value(pair.value, scope)
        return self._work.shallow(made)

    def _attribute(self, node: nodes.Getattr, scope: Scope) -> Found:
        found = self._found(node.node, scope)
        if isinstance(found, Names):
            return found.names.get(node.attr, Missing(f"'{node.attr}' is undefined"))
        return child(self._demanded(found, node.node), node.attr)

    def _item(self, node: nodes.Getitem, scope: Scope) -> Found:
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

    def _choice(self, node: nodes.CondExpr, scope: Scope) -> Found:
        if self._value(node.test, scope):
            return self._found(node.expr1, scope)
        if node.expr2 is None:
            return Missing("the condition is false, and there is no else")
        return self._found(node.expr2, scope)

    def _filter(self, node: nodes.Filter, scope: Scope) -> Found:
        if node.node is None:
            raise TypeError("a filter has nothing before it")
        found = self._found(node.node, scope)
        subject = found if isinstance(found, Missing) else self._demanded(found, node.node)
        return filtered(node.name, subject, self._work, *self._arguments(node, scope))

    def _test(self, node: nodes.Test, scope: Scope) -> Value:
        found = self._found(node.node, scope)
        subject = None if isinstance(found, (Macro, Names)) else found
        if node.name not in ("defined", "undefined"):
            subject = self._demanded(found, node.node)
        return tested(node.name, subject, self._work, *self._arguments(node, scope))

    def _arguments(
        self, node: nodes.Filter | nodes.Test | nodes.Call, scope: Scope
    ) -> tuple[list[Value], dict[str, Value]]:
        given = [self._value(argument, scope) for argument in node.args]
        named: dict[str, Value] = {}
        for pair in node.kwargs:
            if not isinstance(pair, nodes.Keyword) or pair.key in named:
                raise TypeError("an argument is named twice")
            named[pair.key] = self._value(pair.value, scope)
        return given, named

    def _compare(self, node: nodes.Compare, scope: Scope) -> Value:
        left = self._value(node.expr, scope)
        for operand in node.ops:
            right = self._value(operand.expr, scope)
            if not compared(operand.op, left, right, self._work):
                return False
            left = right
        return True

    def _and(self, node: nodes.And, scope: Scope) -> Value:
        left = self._value(node.left, scope)
        return self._value(node.right, scope) if left else left

    def _or(self, node: nodes.Or, scope: Scope) -> Value:
        left = self._value(node.left, scope)
        return left if left else self._value(node.right, scope)

    def _not(self, node: nodes.Not, scope: Scope) -> Value:
        return not self._value(node.node, scope)

    def _sign(self, node: nodes.Neg | nodes.Pos, scope: Scope) -> Value:
        value = _numeric(self._value(node.node, scope), node.operator)
        return number(-value if isinstance(node, nodes.Neg) else +value)

    def _concat(self, node: nodes.Concat, scope: Scope) -> Value:
        return self._joined([self._value(part, scope) for part in node.nodes])

    def _joined(self, values: Sequence[Value]) -> str | Secret:
        """Return the text of `values`, one after the other; a secret among them makes the whole a secret."""
        texts = [value if isinstance(value, Secret) else text_of(value, self._work) for value in values]
        self._work.make(sum(text.size if isinstance(text, Secret) else len(text) for text in texts))
        return joined(texts)

    def _arithmetic(self, node: nodes.BinExpr, scope: Scope) -> Value:
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        if node.operator == "+" and isinstance(left, (str, Secret)) and isinstance(right, (str, Secret)):
            return self._joined((left, right))
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

    def _call(self, node: nodes.Call, scope: Scope) -> Found:
        if isinstance(node.node, nodes.Name) and isinstance(scope.find(node.node.name), Missing):
            given, named = self._arguments(node, scope)
            demand_no_secret(given, f"given to {node.node.name}()")
            if node.node.name == "range" and not named:
                return self._range(given)
            if node.node.name == "namespace":
                first: Value = given[0] if len(given) == 1 else {}
                if len(given) > 1 or not isinstance(first, dict):
                    raise TypeError("namespace() takes a mapping, or names")
                return Names({**first, **named}, can_change=True)
        return self._called(self._callee(node, scope), node, scope, None)

    def _callee(self, node: nodes.Call, scope: Scope) -> Macro:
        callee = node.node
        name = callee.attr if isinstance(callee, nodes.Getattr) else ""
        if isinstance(callee, (nodes.Name, nodes.Getattr)):
            found = self._found(callee, scope)
            if isinstance(found, Macro):
                return found
            if isinstance(found, Missing) and isinstance(callee, nodes.Name):
                raise LookupError(found.why)
        instead = f"; write |{name}" if name in FILTERS else ""
        raise TypeError(f"a template calls range(), namespace() and its own macros, and nothing else{instead}")

    def _range(self, given: Sequence[Value]) -> Value:
        places = [place for place in given if isinstance(place, int) and not isinstance(place, bool)]
        if len(places) != len(given) or not 1 <= len(places) <= 3:
            raise TypeError("range() takes one, two or three whole numbers")
        places_of = range(*places)
        self._work.charge(len(places_of))
        return list(places_of)


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


_Expression: TypeAlias = Callable[..., Found]  # (expressions, node, scope)
EXPRESSIONS: Final[Mapping[type[nodes.Node], _Expression]] = {
    nodes.Const: Expressions._const,
    nodes.TemplateData: Expressions._text,
    nodes.Name: Expressions._name,
    nodes.List: Expressions._list,
    nodes.Tuple: Expressions._list,
    nodes.Dict: Expressions._mapping,
    nodes.Getattr: Expressions._attribute,
    nodes.Getitem: Expressions._item,
    nodes.CondExpr: Expressions._choice,
    nodes.Filter: Expressions._filter,
    nodes.Test: Expressions._test,
    nodes.Compare: Expressions._compare,
    nodes.And: Expressions._and,
    nodes.Or: Expressions._or,
    nodes.Not: Expressions._not,
    nodes.Neg: Expressions._sign,
    nodes.Pos: Expressions._sign,
    nodes.Concat: Expressions._concat,
    nodes.Call: Expressions._call,
    **dict.fromkeys(
        (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow), Expressions._arithmetic
    ),
}
