"""Weighs a TOML or JSON document before it is parsed: how much memory its values would take.

A value of Python takes far more than the text that stands for it: `{},` is 3 bytes and takes 80, and tomllib keeps
1 KiB for each part of a dotted key. So a small file could take a machine's whole memory. A document may take
`MAX_DOCUMENT_BASE_BYTES` and `MAX_DOCUMENT_RATIO` times its size, together with its own text. The weights below are
upper bounds, measured with CPython 3.11. No file that people or Cosmos write comes near them.

First a few counts of characters show that most documents weigh little. Only for the others, the tokens are weighed one
by one. The scan takes time in proportion to the text, and agrees with the parser for as long as the text is valid.
"""

from __future__ import annotations

import re
import sys
from typing import Final, NoReturn

from cosmos.limits import MAX_DOCUMENT_BASE_BYTES, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_RATIO, MAX_NUMBER_CHARACTERS

# Bytes of memory. A dictionary that grows has its old and its new table at once.
_TEXT: Final = 64  # and its characters
_SLOT: Final = 18  # in a list that grows
_LIST: Final = 96
_DICT: Final = 72
_FIVE_KEYS: Final = 120  # of a small dictionary; it grows by about five
_KEY: Final = 104  # of a large dictionary
_MANY_KEYS: Final = 64  # from here on a dictionary is large
_PAIR: Final = 80  # a key and its value in the list from which an object is made

_TOML_LINE: Final = _TEXT + _KEY + _TEXT  # in a text of the plain forms: a key and its value
_TOML_HEADER: Final = 400  # in such a text: a table, and its name among those that were declared
_TOML_NAME: Final = 1000  # a part of a table's name that is new: tomllib's flags, and the table
_TOML_DOT: Final = 560  # a part of a dotted key: a table, flags, and the names of all parts up to here
_TOML_FROZEN: Final = 800  # an array or inline table at a key that is new: tomllib's flags

_QUOTE, _COLON, _COMMA = b'":,'
_OPENED, _CLOSED = b"{[", b"}]"
_JSON_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{},:]|[0-9]{20,}+', re.DOTALL)
_TOML_TOKEN: Final = re.compile(
    r"#[^\n]*+"
    r'|"""[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:"{3,5}+)?'
    r"|'''[^']*+(?:'(?!'')[^']*+)*+(?:'{3,5}+)?"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\n]*+'?"
    r"|[][{},=.\n]"
    r"|[^][{},=.\n\"'# \t]++",
    re.DOTALL,
)


class TooHeavy(ValueError):
    """A document would take too much memory or is nested too deeply, whatever it says."""


def demand_light_json(data: bytes, text: str) -> None:
    """Raise `TooHeavy` if the JSON document `text`, which is `data` decoded, would take too much memory."""
    left = _allowed(data, text)
    count = data.count
    marks, brackets = count(b":") + count(b","), count(b"{") + count(b"[")
    if (_PAIR + _KEY + 2 * _TEXT) * marks + (_DICT + _FIVE_KEYS) * brackets <= left:
        return
    if _weight_of_json(data, left) > left:
        raise TooHeavy("holds more values than a document of its size may")


def is_light_plain_toml(data: bytes, text: str) -> bool:
    """Return whether `text`, if it has the forms of `plain_toml`, takes little memory. `data` is the same in UTF-8."""
    count, left = data.count, _allowed(data, text) - _TOML_LINE * data.count(b"\n")
    # to count single characters takes a third of the time, and each header has a bracket
    return _TOML_HEADER * count(b"[") <= left or _TOML_HEADER * count(b"\n[") <= left


def demand_light_toml(data: bytes, text: str, ratio: int) -> None:
    """Raise `TooHeavy` if tomllib would take too much memory for the document `text`, or if it is nested too deeply.

    Too much is more than `ratio` bytes for each byte of the document, besides a base.
    """
    left = _allowed(data, text, ratio)
    if _weight_of_toml(text, left) > left:
        raise TooHeavy("holds more values than a document of its size may")


def _allowed(data: bytes, text: str, ratio: int = MAX_DOCUMENT_RATIO) -> int:
    """Return the bytes that the values may take beside the text itself, of which an emoji makes four times its size."""
    return MAX_DOCUMENT_BASE_BYTES + ratio * len(data) - sys.getsizeof(text)


def _weight_of_json(data: bytes, left: int) -> int:
    """Return what the values weigh, in all for a document that weighs no more than `left`."""
    weight = 0
    keys_of: list[int] = []  # for each open object or array its number of keys so far
    names: set[bytes] = set()  # the parser keeps each name once
    text = b""  # the last token, if it was a text
    for match in _JSON_TOKEN.finditer(data):
        token = match[0]
        first = token[0]
        if first == _QUOTE:
            text = token
            weight += _TEXT + len(token)
            continue
        if first == _COLON:
            if text in names:
                weight -= _TEXT + len(text)
            elif len(text) < _TEXT and len(names) < _MANY_KEYS * MAX_DOCUMENT_DEPTH:
                names.add(text)
            if keys_of:
                weight += _weight_of_key(keys_of[-1])
                keys_of[-1] += 1
                weight += _PAIR if keys_of[-1] > _MANY_KEYS else 0
        elif first == _COMMA:
            weight += _SLOT
        elif first in _OPENED:
            keys_of.append(0)
            weight += _LIST
        elif first in _CLOSED:
            del keys_of[-1:]
        else:
            weight += len(token)
        text = b""
        if weight > left or len(keys_of) > MAX_DOCUMENT_DEPTH:
            break
    return weight


def _weight_of_key(before: int) -> int:
    """Return what one more key of a dictionary with `before` keys weighs, without its text."""
    if before < _MANY_KEYS:
        return _FIVE_KEYS if before % 5 == 0 else 0
    return _KEY


class _TomlScale:
    """Weighs the tokens of one TOML text, in their order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.weight = 0
        self._open: list[str] = []  # brackets of arrays and inline tables
        self._in_key = True
        self._in_header = False
        self._parts = 1  # of the present name
        self._keys = 0  # of the present table
        self._header = ""
        self._key = ""
        self._known: set[str] = set()  # names of tables, and of their keys with an array or inline table

    def add(self, token: str, at: int) -> None:
        """Weigh one more token; raises `TooHeavy` for what is too long or too deep."""
        first = token[0]
        if first == "\n":
            if not self._open:
                self._in_key, self._in_header, self._parts = True, False, 1
        elif first in "[{":
            self._begin(first, at)
        elif first in "]}":
            if self._open:
                self._open.pop()
                self._in_key = False
        elif first == "=":
            self._in_key = False
            self.weight += _FIVE_KEYS if self._open else _weight_of_key(self._keys)
            self._keys += not self._open
        elif first == ",":
            self.weight += _SLOT
            self._parts, self._in_key = 1, self._open[-1:] == ["{"]
        elif first == "." and len(token) == 1:
            self._dot(at)
        elif first != "#":
            self._value(token, at)

    def _begin(self, bracket: str, at: int) -> None:
        if self._in_header:
            return
        if self._in_key and bracket == "[" and not self._open:
            self._table(at)
            return
        self.weight += _LIST
        if not self._open or self._open[-1] == "{":
            self.weight += 0 if self._is_known(f"{self._header}={self._key}") else _TOML_FROZEN
        self._open.append(bracket)
        self._in_key, self._parts = bracket == "{", 1
        if len(self._open) > MAX_DOCUMENT_DEPTH:
            self._refuse_depth(at)

    def _table(self, at: int) -> None:
        """Weigh `[table]`, or `[[rows]]`, whose rows have one name."""
        end = self._text.find("\n", at)
        self._header = self._text[at : end if end >= 0 else len(self._text)].strip("[] \t")
        self._in_header, self._keys = True, 0
        parts = self._header.split(".", MAX_DOCUMENT_DEPTH)
        for count in range(1, len(parts) + 1):
            self.weight += 0 if self._is_known(".".join(parts[:count])) else _TOML_NAME
        self.weight += _DICT

    def _dot(self, at: int) -> None:
        if not self._in_key:
            return
        self._parts += 1
        self.weight += 0 if self._in_header else _TOML_DOT + 8 * self._parts
        if self._parts > MAX_DOCUMENT_DEPTH:
            self._refuse_depth(at)

    def _value(self, token: str, at: int) -> None:
        if self._in_header:
            return
        self.weight += _TEXT + len(token)
        if self._in_key:
            self._key = token
        elif len(token) > MAX_NUMBER_CHARACTERS and token[0] not in "\"'":
            raise TooHeavy(f"has a number that is too long {self._place(at)}")

    def _is_known(self, name: str) -> bool:
        if name in self._known:
            return True
        self._known.add(name)
        return False

    def _refuse_depth(self, at: int) -> NoReturn:
        raise TooHeavy(f"is nested more than {MAX_DOCUMENT_DEPTH} deep {self._place(at)}")

    def _place(self, at: int) -> str:
        return f"at line {self._text.count(chr(10), 0, at) + 1}"


def _weight_of_toml(text: str, left: int) -> int:
    """Return what the values weigh, in all for a document that weighs no more than `left`; raises `TooHeavy`."""
    scale = _TomlScale(text)
    for match in _TOML_TOKEN.finditer(text):
        scale.add(match[0], match.start())
        if scale.weight > left:
            break
    return scale.weight
