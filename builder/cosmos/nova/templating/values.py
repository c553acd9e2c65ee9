"""The values of a template, their text, and the work that a template may do with them.

A value is text, a number, a boolean, nothing (`none`), a list, or a mapping with text for keys. In an image's template
it may also be a secret (`nova.templating.secret`). No other object of Python is ever a value, so that no attribute,
method, order or address of Python can reach the output.

How a value becomes text:

    text              itself
    a whole number    its decimal digits; it has 64 bits
    a fraction        the fewest digits that read back as the same number: 0.1, 2.0, 1e+16, 1e-05; infinity and what is
                      no number are refused
    true, none        True, False, None
    a list            ['a', 1]; text in it is quoted as in Python
    a mapping         {'a': 1}, in the order of its keys
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, TypeAlias

from cosmos.limits import MAX_NOVA_RENDERED_BYTES, MAX_TEMPLATE_NESTING, MAX_TEMPLATE_WORK
from cosmos.nova.templating.secret import Secret, demand_no_secret

Value: TypeAlias = "bool | int | float | str | Secret | list[Value] | dict[str, Value] | None"

_WHOLE: Final = 1 << 63  # whole numbers have 64 bits, as in Lua and TOML
_CHARACTERS_A_UNIT: Final = 8  # of text made, for one unit of work
_SCANNED_A_UNIT: Final = 64  # of text looked through
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Missing:
    """What an expression has in place of a value that is not there. `why` is a sentence about it."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class Work:
    """Counts the steps of one template, so that it ends at the same place on every machine.

    A step is a part of the template that is evaluated, an element that is looked at, or eight characters that are made.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_TEMPLATE_WORK

    def charge(self, steps: int) -> None:
        """Count `steps`; raises `ValueError` if the template has no more."""
        self._left -= steps
        if self._left < 0:
            raise ValueError(f"it takes more than {MAX_TEMPLATE_WORK} steps")

    def make(self, characters: int) -> None:
        """Count text before it is made; raises `ValueError` if it is too long."""
        if characters > MAX_NOVA_RENDERED_BYTES:
            raise ValueError(f"it makes more than {MAX_NOVA_RENDERED_BYTES} bytes")
        self.charge(1 + characters // _CHARACTERS_A_UNIT)

    def look(self, value: Value) -> None:
        """Count what Python does with the whole of `value`, at every place where it is found."""
        todo = [value]
        while todo:
            one = todo.pop()
            self.charge(1 + (len(one) // _SCANNED_A_UNIT if isinstance(one, str) else 0))
            if isinstance(one, list):
                self.charge(len(one))
                todo.extend(one)
            elif isinstance(one, dict):
                self.charge(len(one))
                todo.extend(one.values())

    def shallow(self, value: Value) -> Value:
        """Return `value`; raises `ValueError` if its lists and mappings are nested too deeply."""
        deepest: dict[int, int] = {}
        todo = [(value, 1)]
        while todo:
            one, depth = todo.pop()
            if not isinstance(one, (list, dict)) or deepest.get(id(one), 0) >= depth:
                continue
            if depth > MAX_TEMPLATE_NESTING:
                raise ValueError(f"lists and mappings are nested more than {MAX_TEMPLATE_NESTING} deep")
            deepest[id(one)] = depth
            self.charge(1 + len(one))
            todo.extend((inner, depth + 1) for inner in (one if isinstance(one, list) else one.values()))
        return value


def kind_of(value: Value) -> str:
    """Return what a value is, in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a fraction"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case Secret():
            return value.shown


def number(value: float) -> int | float:
    """Return a number that came of arithmetic, if it has 64 bits, or is finite; raises `OverflowError`."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OverflowError("a number is infinite, or not a number")
    elif not -_WHOLE <= value < _WHOLE:
        raise OverflowError("a whole number has more than 64 bits")
    return value


def text_of(value: Value, work: Work) -> str:
    """Return the text of a value; raises `TypeError` for a secret. Its work counts as text that is made."""
    if isinstance(value, str):
        return value
    demand_no_secret((value,), "made a part of other text here: join it with ~")
    if isinstance(value, (list, dict)):
        pieces = []
        for piece in _pieces(value):
            work.make(len(piece))
            pieces.append(piece)
        return "".join(pieces)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(number(value))
    return str(value)


def _pieces(value: Value) -> Iterator[str]:
    match value:
        case str():
            yield quoted(value)
        case list():
            yield "["
            for place, one in enumerate(value):
                if place:
                    yield ", "
                yield from _pieces(one)
            yield "]"
        case dict():
            yield "{"
            for place, (key, one) in enumerate(value.items()):
                yield f"{', ' if place else ''}{quoted(key)}: "
                yield from _pieces(one)
            yield "}"
        case bool() | None:
            yield str(value)
        case Secret():
            raise value.refused("written as a part of a list or a mapping")
        case _:
            yield repr(number(value))


def quoted(text: str) -> str:
    """Return `text` in quotes, as Python writes it, except that Python's own table of characters does not decide."""
    quote = '"' if "'" in text and '"' not in text else "'"
    return quote + "".join(map(_escaped if quote == '"' else _escaped_in_single, text)) + quote


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\x{code:02x}" if code < 32 or 127 <= code <= 160 or code == 173 else character


def _escaped_in_single(character: str) -> str:
    return "\\'" if character == "'" else _escaped(character)
