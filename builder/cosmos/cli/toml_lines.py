"""The line of a TOML file that an error is about. The readers of TOML know only the key; people look for a line.

The file is read once more after it was refused, if the error does not carry what was read. `[a.b]`, `[[a]]` and
`c = …` are found if each has a line of its own. What is written in another way, or twice, has no line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cosmos.errors import CosmosError, Malformed
from cosmos.reading import read_up_to
from cosmos.tables import BadKey

_MOST_BYTES: Final = 64 << 10  # of a file that a person writes
_MOST_SHOWN: Final = 80
_WRITTEN_BY_COSMOS: Final = ("universe.lock.toml", "universe.toml", "meta.toml")  # nobody mends a line of these
_SYNTAX: Final = re.compile(r"is not TOML: .*\((?:at line ([0-9]{1,6}), column [0-9]+|at end of document)\)", re.DOTALL)
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_NAME: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER: Final = re.compile(rf"[ \t]*\[(\[?)[ \t]*({_NAME})[ \t]*\]\]?[ \t]*(?:#.*)?\r?")
_KEY: Final = re.compile(rf"[ \t]*({_NAME})[ \t]*=")


def line_hint(error: CosmosError) -> str | None:
    """Return which line of the file to mend, and what it says now; None if that is not known."""
    if not isinstance(error, Malformed) or not error.where.endswith(".toml"):
        return None
    file = Path(error.where)
    syntax = _SYNTAX.fullmatch(error.problem)
    if file.name in _WRITTEN_BY_COSMOS or not (isinstance(error, BadKey) or syntax):
        return None
    try:
        document = read_up_to(file, _MOST_BYTES) if error.document is None else error.document
        lines = document[:_MOST_BYTES].decode().split("\n")
    except (OSError, ValueError, CosmosError):
        return None
    if syntax:
        number = int(syntax[1] or len(lines) - (len(lines) > 1 and not lines[-1]))
    else:
        number = _line_of(lines, error.path) if isinstance(error, BadKey) else 0
    return _shown(number, lines[number - 1].strip()) if 0 < number <= len(lines) else None


def _line_of(lines: list[str], path: str) -> int:
    """Return the number of the line that writes the key `path`, or the nearest table around it; 0 if none or two do."""
    best, found = "", [0]
    for number, written in _keys(lines):
        if path == written or path.startswith((f"{written}.", f"{written}[")):
            if len(written) > len(best):
                best, found = written, []
            if written == best:
                found.append(number)
    return found[0] if len(found) == 1 else 0


def _keys(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each line that begins a table or a key, with its dotted path."""
    table, rows = "", Counter[str]()
    for number, line in enumerate(lines, 1):
        if header := _HEADER.fullmatch(line):
            table = _dotted(header[2])
            if header[1]:
                rows[table] += 1
                table = f"{table}[{rows[table] - 1}]"
            yield number, table
        elif key := _KEY.match(line):
            yield number, f"{table}.{_dotted(key[1])}" if table else _dotted(key[1])


def _dotted(name: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, name))


def _has_user(line: str) -> bool:
    """Return whether an address in the line may name a user, and so a password: `http://USER:PASSWORD@HOST`."""
    return "@" in line.partition("://")[2]


def _shown(number: int, line: str) -> str:
    """Return the sentence. A line that a terminal would not show as it is, or with a password, is only numbered."""
    if not line or not line.isprintable() or "password" in line or _has_user(line):
        return f"mend line {number}"
    return f"mend line {number}: {line if len(line) <= _MOST_SHOWN else line[:_MOST_SHOWN] + '…'}"
