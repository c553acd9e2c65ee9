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
from typing import Final

from cosmos.limits import MAX_DOCUMENT_BASE_BYTES, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_RATIO, MAX_NUMBER_CHARACTERS

# Bytes of memory. A dictionary that grows has its old and its new table at once: 100 bytes a key.
_TEXT: Final = 64
_KEY: Final = _TEXT + 104
_PAIR: Final = 80  # a key and its value in the list from which an object is made
_SLOT: Final = 18  # in a list that grows
_LIST: Final = 96
_DICT: Final = 80
_FULL_DICT: Final = 248  # with one to five keys
_MANY_KEYS: Final = 64  # of one object: from here on its dictionary is larger than its keys

_TOML_LINE: Final = _KEY + _TEXT  # in a text of the plain forms: a key and its value
_TOML_HEADER: Final = 400  # in such a text: a table, and its name among those that were declared
_TOML_NEST: Final = 1200  # for each part of a table's name or a dotted key: tomllib's flags and names, and the table
_TOML_FROZEN: Final = 1000  # for each array or inline table that is a key's value: tomllib's flags

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
    if (_PAIR + _KEY + _TEXT) * marks + _FULL_DICT * brackets <= left:
        return
    if _weight_of_json(data, left) > left:
        raise TooHeavy("holds more values than a document of its size may")


def is_light_plain_toml(data: bytes, text: str) -> bool:
    """Return whether `text`, if it has the forms of `plain_toml`, takes little memory. `data` is the same in UTF-8."""
    count = data.count
    return _TOML_LINE * count(b"\n") + _TOML_HEADER * count(b"\n[") <= _allowed(data, text)


def demand_light_toml(data: bytes, text: str) -> None:
    """Raise `TooHeavy` if tomllib would take too much memory for the document `text`, or if it is nested too deeply."""
    left = _allowed(data, text)
    if _weight_of_toml(text, left) > left:
        raise TooHeavy("holds more values than a document of its size may")


def _allowed(data: bytes, text: str) -> int:
    """Return the bytes that the values may take beside the text itself, of which an emoji makes four times its size."""
    return MAX_DOCUMENT_BASE_BYTES + MAX_DOCUMENT_RATIO * len(data) - sys.getsizeof(text)


def _weight_of_json(data: bytes, left: int) -> int:
    weight = 0
    open_keys: list[int] = []  # for each open object its number of keys so far, for an array -1
    names: set[bytes] = set()
    key, was_text = b"", False
    for match in _JSON_TOKEN.finditer(data):
        token = match[0]
        first = token[0]
        if first == 0x22:
            key = token if len(token) < _TEXT else b""
            weight += _TEXT + len(token)
        elif first == 0x3A and was_text and open_keys:  # ":" after a key, which the parser keeps once
            if key in names:
                weight -= _TEXT + len(key)
            elif key and len(names) < MAX_DOCUMENT_DEPTH * _MANY_KEYS:
                names.add(key)
            open_keys[-1] += 1
            if open_keys[-1] > _MANY_KEYS:
                weight += _PAIR + _KEY
            elif open_keys[-1] % 5 == 1:
                weight += _FULL_DICT
        elif first == 0x2C:
            weight += _SLOT
        elif first == 0x7B or first == 0x5B:
            open_keys.append(0)
            weight += _LIST
        elif first == 0x5D or first == 0x7D:
            del open_keys[-1:]
        else:
            weight += len(token)
        was_text = first == 0x22
        if weight > left or len(open_keys) > MAX_DOCUMENT_DEPTH:
            break
    return weight


def _weight_of_toml(text: str, left: int) -> int:
    """Return what the values weigh, in all for a document that weighs no more than `left`."""
    weight, nest = 0, _TOML_NEST
    open_brackets: list[str] = []
    headers: set[str] = set()
    parts, in_key, in_header = 1, True, False
    for match in _TOML_TOKEN.finditer(text):
        token = match[0]
        first = token[0]
        if first == "\n":
            if not open_brackets:
                parts, in_key, in_header, nest = 1, True, False, _TOML_NEST
        elif first == "." and len(token) == 1:
            if in_key:
                parts += 1
                weight += nest + 16 * parts
                if parts > MAX_DOCUMENT_DEPTH:
                    raise TooHeavy(f"is nested more than {MAX_DOCUMENT_DEPTH} deep {_place(text, match.start())}")
        elif first == "=":
            weight += _KEY
            in_key = False
        elif first == "[" or first == "{":
            if in_header:
                continue
            if in_key and first == "[" and not open_brackets:  # "[table]", or "[[rows]]", whose rows have one name
                in_header, header = True, text[match.start() : _line_end(text, match.start())]
                nest = 0 if header in headers else _TOML_NEST
                headers.add(header)
                weight += nest + _FULL_DICT
                continue
            weight += _LIST if first == "[" else _FULL_DICT
            if not open_brackets or open_brackets[-1] == "{":
                weight += _TOML_FROZEN
            open_brackets.append(first)
            parts, in_key = 1, first == "{"
            if len(open_brackets) > MAX_DOCUMENT_DEPTH:
                raise TooHeavy(f"is nested more than {MAX_DOCUMENT_DEPTH} deep {_place(text, match.start())}")
        elif first == "]" or first == "}":
            if open_brackets:
                open_brackets.pop()
                in_key = False
        elif first == ",":
            weight += _SLOT
            parts, in_key = 1, bool(open_brackets) and open_brackets[-1] == "{"
        elif first != "#" and not in_key:
            weight += _TEXT
            if len(token) > MAX_NUMBER_CHARACTERS and first not in "\"'":
                raise TooHeavy(f"has a number that is too long {_place(text, match.start())}")
        if weight > left:
            break
    return weight


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _place(text: str, at: int) -> str:
    return f"at line {text.count(chr(10), 0, at) + 1}"
