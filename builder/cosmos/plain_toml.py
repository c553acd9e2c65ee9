"""A fast reader for TOML in the few forms that programs write. Nearly all of Cosmos's own files have them.

    # a comment                    on a line of its own
    key = "text"                   a bare or quoted key; text without an escape or a control character
    key = 7                        digits without a sign; or true, false, []
    key = [
        "text",                    strings only, one a line
    ]
    [table] [table."sub table"]
    [[rows]]                       at the root, without tables inside a row

Such a text has the same meaning here as in TOML 1.0. For any other text, good or bad, the reader returns None, and the
caller uses tomllib. So only tomllib decides what is an error. A lock of 5,000 stars takes a sixth of tomllib's time.
"""

from __future__ import annotations

import re
from typing import Final

_TEXT: Final = r'[^"\\\x00-\x1f\x7f]*+'
_NAME: Final = rf'(?:[A-Za-z0-9_-]++|"{_TEXT}")'
_LINE: Final = re.compile(
    rf"({_NAME}) = (?:"
    rf'"({_TEXT})"'
    r"|(0|[1-9][0-9]{0,17}+)"
    r"|(true|false)"
    rf'|\[(|\n(?:    "{_TEXT}",\n)++)\]'
    r")\n"
    rf"|\[({_NAME}(?:\.{_NAME})*+)\]\n"
    r"|\[\[([A-Za-z0-9_-]++)\]\]\n"
    r"|(?:#[^\x00-\x1f\x7f]*+)?\n"
)
_TEXT_AT, _NUMBER_AT, _TRUTH_AT, _ARRAY_AT, _TABLE_AT, _ROW_AT = range(2, 8)
_PART: Final = re.compile(_NAME)
_MAX_PARTS: Final = 8  # of a table's name; ours have 3


def plain_document(text: str) -> dict[str, object] | None:
    """Return the TOML document `text` as tomllib would, or None if `text` has another form than these."""
    document: dict[str, object] = {}
    table, rows, declared = document, dict[str, list[object]](), set[tuple[str, ...]]()
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
            row = _table(tuple(map(_bare, _PART.findall(line[_TABLE_AT]))), document, declared)
        else:
            key = line[1]
            key = key[1:-1] if key[0] == '"' else key
            if key in table:
                return None
            table[key] = line[_TEXT_AT] if form == _TEXT_AT else _value(form, line[form])
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
    if form == _TRUTH_AT:
        return text == "true"
    return text[6:-3].split('",\n    "') if text else []


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
