"""Reads and writes fast the few forms of TOML that programs write. Nearly all of Cosmos's own files have them.

    # a comment                    on a line of its own
    key = "text"                   a bare or quoted key; text without an escape or a control character
    key = 7                        digits without a sign; or true, false, []
    key = [
        "text",                    strings only, one a line
    ]                              a backslash in them may be written as an escape
    [table] [table."sub table"]
    [[rows]]                       at the root, without tables inside a row

Such a text has the same meaning here as in TOML 1.0. For any other text, good or bad, the reader returns None, and the
caller uses tomllib. So only tomllib decides what is an error. A lock of 5,000 stars takes a sixth of tomllib's time.

`plain_text` writes what tomli_w writes, byte for byte, and asks tomli_w itself for a document of another form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_TEXT: Final = r'[^"\\\x00-\x1f\x7f]*+'
_ITEM: Final = rf"{_TEXT}(?:\\\\{_TEXT})*+"  # of an array: the path of a systemd unit may have a backslash
_NAME: Final = rf'(?:[A-Za-z0-9_-]++|"{_TEXT}")'
_LINE: Final = re.compile(
    rf"({_NAME}) = (?:"
    rf'"({_TEXT})"'
    r"|(0|[1-9][0-9]{0,17}+)"
    r"|(true|false)"
    r"|\[(\]?)"  # the items of an array that has some begin on the next line: see _items
    r")\n"
    rf"|\[({_NAME}(?:\.{_NAME})*+)\]\n"
    r"|\[\[([A-Za-z0-9_-]++)\]\]\n"
    r"|(?:#[^\x00-\x1f\x7f]*+)?\n"
)
_TEXT_AT, _NUMBER_AT, _TRUTH_AT, _ARRAY_AT, _TABLE_AT, _ROW_AT = range(2, 8)
_ITEMS: Final = re.compile(rf'((?:    "{_ITEM}",\n)++)\]\n')
_BEFORE, _BETWEEN, _AFTER = '    "', '",\n    "', '",'  # the items of an array
_IN_TEXTS: Final = bytes({*range(0x20, 0x7F), *range(0x80, 0x100)})  # of UTF-8; all others are control characters
_IN_DOCUMENT: Final = _IN_TEXTS + b"\n"
_UNESCAPED: Final = bytes({*_IN_TEXTS, *b"\t"} - {*b'"\\'})
_PART: Final = re.compile(_NAME)
_MAX_PARTS: Final = 8  # of a table's name; ours have 3
_FREE_PARTS: Final = 10_000  # of all tables' names together, and one more for each 32 characters: each takes 400 bytes
_CHARACTERS_A_PART: Final = 32
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED: Final = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')
_ESCAPES: Final = {"\b": "\\b", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_LONG_ROW: Final = 100  # characters; tomli_w writes an array of shorter tables on one line each


def plain_document(text: str) -> dict[str, object] | None:
    """Return the TOML document `text` as tomllib would, or None if `text` has another form than these."""
    if text.encode("utf-8", "surrogatepass").translate(None, _IN_DOCUMENT):
        return None
    document: dict[str, object] = {}
    table, rows, declared = document, dict[str, list[object]](), set[tuple[str, ...]]()
    parts_left = _FREE_PARTS + len(text) // _CHARACTERS_A_PART
    at, match_line = 0, _LINE.match
    while at < len(text):
        line = match_line(text, at)
        if line is None:
            return None
        at, form = line.end(), line.lastindex
        if form is None:
            continue
        if form == _ROW_AT:
            row = _row(line[_ROW_AT], document, rows)
        elif form == _TABLE_AT:
            parts = tuple(map(_bare, _PART.findall(line[_TABLE_AT])))
            parts_left -= len(parts)
            row = _table(parts, document, declared) if parts_left >= 0 else None
        else:
            key = line[1]
            key = key[1:-1] if key[0] == '"' else key
            if key in table:
                return None
            if form == _TEXT_AT:
                table[key] = line[_TEXT_AT]
            elif form == _ARRAY_AT and not line[_ARRAY_AT]:
                items = _items(text, at)
                if items is None:
                    return None
                table[key], at = items
            else:
                table[key] = _value(form, line[form])
            continue
        if row is None:
            return None
        table = row
    return document


def _bare(name: str) -> str:
    return name[1:-1] if name[0] == '"' else name


def _value(form: int, text: str) -> object:
    if form == _NUMBER_AT:
        return int(text)
    return [] if form == _ARRAY_AT else text == "true"


def _items(text: str, at: int) -> tuple[list[str], int] | None:
    """Return the texts of the array whose first one begins at `at`, and the place after the array; None: not plain.

    The quotes, line ends and backslashes are counted at once: nearly all arrays have none inside their texts.
    """
    end = text.find("\n]\n", at)
    lines = text[at:end] if end >= 0 else ""
    if lines.startswith(_BEFORE) and lines.endswith(_AFTER) and "\\" not in lines:
        items = lines[len(_BEFORE) : -len(_AFTER)].split(_BETWEEN)
        if lines.count('"') == 2 * len(items) and lines.count("\n") == len(items) - 1:
            return items, end + len("\n]\n")
    found = _ITEMS.match(text, at)
    if found is None:
        return None
    lines = found[1].replace("\\\\", "\\")  # each stands twice, and no item ends between the two
    return lines[len(_BEFORE) : -len(_AFTER) - 1].split(_BETWEEN), found.end()


def _row(name: str, document: dict[str, object], rows: dict[str, list[object]]) -> dict[str, object] | None:
    """Return a new row of the array `name`, or None if something else has that name."""
    if name not in rows:
        if name in document:
            return None
        document[name] = rows[name] = []
    row: dict[str, object] = {}
    rows[name].append(row)
    return row


def _table(
    parts: tuple[str, ...], document: dict[str, object], declared: set[tuple[str, ...]]
) -> dict[str, object] | None:
    """Return the table of that name, or None if the name is taken already."""
    if parts in declared or len(parts) > _MAX_PARTS:
        return None
    declared.add(parts)
    table = document
    for part in parts:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return None
        table = inner
    return table


class _NotPlain(Exception):
    """A document is to be written by tomli_w."""


def plain_text(document: Mapping[str, object]) -> str:
    """Return `document` in TOML as tomli_w writes it.

    >>> print(plain_text({"name": "zlib", "needs": ["libc"], "request": {"arch": "any"}}))
    name = "zlib"
    needs = [
        "libc",
    ]
    <BLANKLINE>
    [request]
    arch = "any"
    <BLANKLINE>
    """
    blocks: list[str] = []
    try:
        _add_blocks(blocks, document, "", "")
    except _NotPlain:
        import tomli_w  # hardly a document needs it

        return tomli_w.dumps(document)
    return "\n".join(blocks)


def _add_blocks(blocks: list[str], table: Mapping[str, object], name: str, head: str) -> None:
    """Add a block of lines for the table, and one for each table in it."""
    lines: list[str] = []
    tables: list[tuple[str, str, Mapping[str, object]]] = []  # name, head, table
    for key, value in table.items():
        part = key if _BARE.fullmatch(key) else basic_string(key)
        if type(value) is dict:
            below = f"{name}.{part}" if name else part
            tables.append((below, f"[{below}]\n", value))
        elif type(value) is list and value and type(value[0]) is dict:
            if name:
                raise _NotPlain
            tables += ((part, f"[[{part}]]\n", row) for row in _long_rows(value))
        else:
            lines.append(f"{part} = {_literal(value)}\n")
    if head and (lines or not tables or head.startswith("[[")):
        lines.insert(0, head)
    if lines:
        blocks.append("".join(lines))
    for below, title, inner in tables:
        _add_blocks(blocks, inner, below, title)


def _long_rows(rows: list[object]) -> list[dict[str, object]]:
    """Return the rows of an array that is written a table a row."""
    tables = [row for row in rows if type(row) is dict]
    if len(tables) < len(rows) or any(type(value) is dict for row in tables for value in row.values()):
        raise _NotPlain
    if not any(_least_length(row) > _LONG_ROW for row in tables):
        raise _NotPlain
    return tables


def _least_length(row: Mapping[str, object]) -> int:
    """Return how many characters the row has at least where it is written on one line."""
    return sum(len(f'{key} = "{value}"') for key, value in row.items() if type(value) is str)


def _literal(value: object) -> str:
    if type(value) is str:
        return basic_string(value)
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is list and {*map(type, value)} <= {str}:
        return _array(value)
    raise _NotPlain


def _array(texts: list[str]) -> str:
    """Return an array of texts. The characters of all its texts are looked at together: most need no escape."""
    if not texts:
        return "[]"
    if "".join(texts).encode("utf-8", "surrogatepass").translate(None, _UNESCAPED):
        texts = [basic_string(text)[1:-1] for text in texts]
    return f"[\n{_BEFORE}{_BETWEEN.join(texts)}{_AFTER}\n]"


def basic_string(text: str) -> str:
    """Return `text` as a basic string of TOML, with its quotes.

    >>> print(basic_string('say "a"'))
    "say \\"a\\""
    """
    if _ESCAPED.search(text) is None:
        return f'"{text}"'
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"
