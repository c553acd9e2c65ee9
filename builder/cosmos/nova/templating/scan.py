"""Read a template: Jinja2's own lexer and parser, within limits that do not depend on Python's stack.

The parser calls itself for what is nested. So the words of a template are counted before it is parsed: how deeply its
blocks and brackets are nested, and the words that make the parser go on inside itself (`else`, `not`, signs).
"""

from __future__ import annotations

import encodings.unicode_escape
import re
from collections.abc import Iterator
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from cosmos.limits import MAX_TEMPLATE_NESTING, MAX_TEMPLATE_WORDS

_BLOCKS: Final = frozenset({"for", "if", "macro", "call", "filter", "with", "set", "block", "autoescape"})
_MAX_TURNS: Final = 50  # of `else`, `not` and signs in one tag
_MAX_DIGITS: Final = 70  # of a whole number: 64 bits in base 2
_NAMED_CHARACTER: Final = re.compile(r"(?<!\\)(?:\\\\)*\\N")
_LATE: Final = (encodings.unicode_escape,)  # what the lexer loads late, when no file can be opened any more


class TemplateProblem(Exception):
    """A fault of a template, its line (0 if that is not known), and the name of the file if it is another's."""

    def __init__(self, text: str, line: int = 0, name: str = "") -> None:
        super().__init__(text)
        self.text = text[:1000]
        self.line = line
        self.name = name


def parsed(source: str, *, trims: bool) -> nodes.Template:
    """Return the syntax tree of a template. With `trims`, the line of a block leaves no line in the text.

    Raises `TemplateProblem`.
    """
    environment = _TRIMMING if trims else _PLAIN
    try:
        _Scan().look_through(environment, source)
        return Parser(environment, source).parse()
    except TemplateSyntaxError as error:
        raise TemplateProblem(f"does not parse: {error.message}", error.lineno) from error


def walked(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Yield every node of a syntax tree, however deep it is."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(node.iter_child_nodes())


class _Scan:
    """Counts the words of one template; raises `TemplateProblem` where there are too many."""

    def __init__(self) -> None:
        self._words = 0
        self._blocks = 0
        self._brackets = 0
        self._turns = 0
        self._first = ""  # the first word of the tag
        self._assigns = False  # whether the tag has a `=`
        self._last = ""

    def look_through(self, environment: Environment, source: str) -> None:
        """Count every word of `source`."""
        for line, kind, word in environment.lexer.tokeniter(source, None):
            if kind not in ("whitespace", "data", "comment"):
                self._words += 1
                try:
                    self._look_at(kind, word)
                except ValueError as error:
                    raise TemplateProblem(f"does not parse: {error}", line) from None
                self._last = word

    def _look_at(self, kind: str, word: str) -> None:
        if self._words > MAX_TEMPLATE_WORDS:
            raise ValueError(f"it has more than {MAX_TEMPLATE_WORDS} words")
        match kind:
            case "block_begin" | "variable_begin":
                self._first, self._assigns, self._turns, self._brackets = "", False, 0, 0
            case "block_end":
                self._end_tag()
            case "name":
                self._look_at_name(word)
            case "operator":
                self._look_at_operator(word)
            case "integer" if len(word) > _MAX_DIGITS:
                raise ValueError("a whole number has more than 64 bits")
            case "string" if _NAMED_CHARACTER.search(word):
                raise ValueError(r"a character has no \N{name} here: write it as it is, or as \uXXXX")
        if kind not in ("block_begin", "variable_begin") and not self._first:
            self._first = word

    def _look_at_name(self, word: str) -> None:
        if not word.isascii():
            raise ValueError(f"a name has letters of ASCII, not {word[:40]}")
        self._turn(word in ("else", "not"))

    def _look_at_operator(self, sign: str) -> None:
        self._assigns |= sign == "="
        self._turn(sign in ("+", "-") and self._last in ("+", "-"))
        self._brackets += (sign in ("(", "[", "{")) - (sign in (")", "]", "}"))
        if self._brackets > MAX_TEMPLATE_NESTING:
            raise ValueError(f"brackets are nested more than {MAX_TEMPLATE_NESTING} deep")

    def _turn(self, is_one: bool) -> None:
        self._turns += is_one
        if self._turns > _MAX_TURNS:
            raise ValueError(f"it has more than {_MAX_TURNS} of else, not and signs in one expression")

    def _end_tag(self) -> None:
        if self._first in _BLOCKS and not (self._first == "set" and self._assigns):
            self._blocks += 1
        elif self._first.startswith("end"):
            self._blocks -= 1
        if self._blocks > MAX_TEMPLATE_NESTING:
            raise ValueError(f"blocks are nested more than {MAX_TEMPLATE_NESTING} deep")


def _environment(*, trims: bool) -> Environment:
    return Environment(  # noqa: S701 - nothing is rendered with it, and no text is HTML
        keep_trailing_newline=True, trim_blocks=trims, lstrip_blocks=trims, optimized=False
    )


_PLAIN: Final = _environment(trims=False)
_TRIMMING: Final = _environment(trims=True)
