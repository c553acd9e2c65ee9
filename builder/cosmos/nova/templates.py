"""Jinja2, locked down: text from a star's template and a script's values, the same on every machine.

It runs in a worker (`nova.template_worker`), whose process can only compute: that confines a hostile template. This
module gives clear errors to an ordinary template, and makes every template give the same text everywhere:

- Jinja2's own sandbox: no attribute that begins with an underscore, no value changed in place;
- a template stands alone: it cannot include, import or extend another; `lipsum` and `|random` are removed;
- every value of an expression has one text and one order. A value whose text would be an address (a function, a cycler)
  raises when it would become text. An iterator of a filter or method becomes a list. A set is refused, because its
  order depends on a hash that differs in each process;
- numbers and repeated text are limited before they are made.

KNOWN GAP: the C library decides the last digit of a fraction raised to a power.
"""

from __future__ import annotations

import encodings.unicode_escape
import functools
import html
import json
import pprint
import textwrap
import unicodedata
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from traceback import walk_tb
from types import NoneType
from typing import Any, Final, NoReturn, TypeAlias

import jinja2.debug
from jinja2 import BaseLoader, StrictUndefined, TemplateSyntaxError, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Cycler, Joiner, Namespace

from cosmos.limits import KIB, MAX_NOVA_RENDERED_BYTES

_Action: TypeAlias = Callable[..., Any]
_MAX_INTEGER_BITS: Final = 16 * KIB  # 4,900 digits; Python writes out no more than 4,300
_MAX_PROBLEM: Final = 1000  # characters of an error about a template
_FILE: Final = "<template>"  # what Jinja2 calls one that has no name


class TemplateProblem(Exception):
    """A fault of a template, and its line; 0 if the line is not known."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.text = text[:_MAX_PROBLEM]
        self.line = line


def rendered(template: bytes, variables: bytes) -> bytes:
    """Return `template` filled in with `variables`, a JSON object; raises `TemplateProblem` or `MemoryError`."""
    source = _decoded(template, "it is")
    values = json.loads(_decoded(variables, "vars hold text that is"))
    if not isinstance(values, dict):
        raise TemplateProblem("vars must be a table with names for keys")
    pieces: list[bytes] = []
    left = MAX_NOVA_RENDERED_BYTES
    try:
        for piece in _ENVIRONMENT.from_string(source).generate(values):
            pieces.append(piece.encode())
            left -= len(pieces[-1])
            if left < 0:
                raise TemplateProblem(f"it makes more than {MAX_NOVA_RENDERED_BYTES} bytes")
    except (MemoryError, TemplateProblem):
        raise
    except RecursionError as error:
        raise TemplateProblem("it nests or calls itself too deeply", _line_of(error)) from error
    except TemplateSyntaxError as error:
        raise TemplateProblem(f"does not parse: {error.message}", error.lineno) from error
    except Exception as error:
        raise TemplateProblem(f"does not render: {error}", _line_of(error)) from error
    return b"".join(pieces)


def _decoded(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TemplateProblem(f"{what} not UTF-8 at byte {error.start}") from error


def _line_of(error: Exception) -> int:
    """Return the innermost line of the template in the traceback; Jinja2 writes them into it."""
    return next(
        (line for frame, line in reversed([*walk_tb(error.__traceback__)]) if frame.f_code.co_filename == _FILE), 0
    )


class _Function:
    """A function or method as a template gets it: it can be called, and has no text."""

    __slots__ = ("_action",)

    def __init__(self, action: _Action) -> None:
        self._action = action

    def __repr__(self) -> NoReturn:
        raise TypeError("a function has no text: call it, as in name()")


class _Cycler(Cycler):
    """Jinja2's own, without a text."""

    def __repr__(self) -> NoReturn:
        raise TypeError("a cycler has no text: write its .current or .next()")


class _Alone(BaseLoader):
    """Has no other template."""

    def get_source(self, _environment: object, template: str) -> NoReturn:
        """Refuse."""
        raise SecurityError(f"{template} cannot be used: a template stands alone, without include, import and extends")


class _Environment(ImmutableSandboxedEnvironment):
    """The environment of templates: each value of an attribute, item, call, filter or operator is `_settled`."""

    intercepted_binops = frozenset({"-", "*", "**"})

    def __init__(self) -> None:
        super().__init__(
            loader=_Alone(),
            undefined=StrictUndefined,
            autoescape=False,  # templates make configuration files, not web pages
            keep_trailing_newline=True,
        )
        self.globals = {"range": _Function(safe_range), "dict": dict, "namespace": Namespace, "cycler": _Cycler,
                        "joiner": Joiner}  # fmt: skip
        self.filters = {name: _settling(action) for name, action in self.filters.items() if name != "random"}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute`."""
        return _settled(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `obj[argument]`."""
        return _settled(super().getitem(obj, argument))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja2's names: any other could be an argument
        """Return `obj(…)`."""
        action = __obj._action if isinstance(__obj, _Function) else __obj
        return _settled(super().call(__context, action, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return `left operator right`."""
        if _is_huge(operator, left, right):
            raise OverflowError(f"the result of {operator} is too large")
        return _settled(super().call_binop(context, operator, left, right))


# What has a text and an order of its own. A _Cycler and a _Function have none, and say so.
_PLAIN: Final = (
    str, bytes, int, float, NoneType, list, tuple, dict, range, KeysView, ValuesView, ItemsView, Undefined, Namespace,
    LoopContext, Macro, TemplateReference, _Cycler, _Function,
)  # fmt: skip


def _settled(value: object) -> object:
    """Return `value` in a form that a template may use; raises `SecurityError`."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Iterator):
        return list(value)
    if callable(value):
        return _Function(value)
    raise SecurityError(f"a {type(value).__name__} cannot be used in a template")


def _settling(action: _Action) -> _Action:
    @functools.wraps(action)  # with the mark that tells Jinja2 what the filter takes
    def settled(*args: Any, **kwargs: Any) -> object:
        return _settled(action(*args, **kwargs))

    return settled


def _is_huge(operator: str, left: object, right: object) -> bool:
    """Whether a product or a power would be larger than any text that may hold it."""
    if operator == "-":
        return False
    if isinstance(left, int) and isinstance(right, int):
        size = left.bit_length()
        return (size * right if operator == "**" else size + right.bit_length()) > _MAX_INTEGER_BITS
    many, times = (right, left) if isinstance(left, int) else (left, right)
    return (
        isinstance(many, str | bytes | list | tuple)
        and isinstance(times, int)
        and len(many) * times > MAX_NOVA_RENDERED_BYTES
    )


# What Jinja2 and Python load late, when no file can be opened any more: filters', string literals', errors'.
_LATE: Final = (encodings.unicode_escape, html, jinja2.debug, pprint, textwrap, unicodedata)
_ENVIRONMENT: Final = _Environment()
_ENVIRONMENT.from_string("{{ 0 }}").render()  # what Jinja2 makes at its first template is made in the zygote
