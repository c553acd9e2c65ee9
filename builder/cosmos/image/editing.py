"""Edit the wishes in image.toml: `cosmos add` and `cosmos remove`. Every other line keeps its bytes.

    [stars]                        # a table of its own, anywhere in the file
    busybox = "^1.35"              # one line a wish: a bare or a quoted key, and a string
    <- a new wish stands here, below the last one

Lines are spliced, and then the result is read again. It must be the same image with exactly the wishes that were asked
for. So a text that only looks like `[stars]`, as inside a long string, is refused and never changed wrongly. The other
forms of TOML (`stars = { … }`, `stars.busybox = …`) are refused with the line to write.
Why no library does it: docs/decisions/0048.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cosmos.durable import write_durably
from cosmos.errors import CosmosError, Malformed, Refused, quoted
from cosmos.image.definition import Definition
from cosmos.image.freeze import FrozenLock, PreparedLock
from cosmos.image.world import World
from cosmos.model.constraint import Constraint
from cosmos.model.image import Image
from cosmos.model.names import StarName
from cosmos.reading import holds

_SPACE: Final = r"[ \t]*"
_END: Final = rf"{_SPACE}(?:#.*)?\r?"
_HEADER: Final = re.compile(rf"""{_SPACE}\[{_SPACE}(?:stars|"stars"|'stars'){_SPACE}\]{_END}""")
_TABLE: Final = re.compile(rf"{_SPACE}\[")
_KEY: Final = re.compile(rf"""({_SPACE})(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'){_SPACE}=""")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_VALUE: Final = r"""(?:"[^"\\]*"|'[^']*')"""


def with_wishes(definition: Definition, wishes: Mapping[StarName, Constraint | None]) -> Definition:
    """Return `definition` with these wishes in its image.toml; None takes the wish out. Nothing is written.

    Raises `Malformed` if the file has a form that is not edited here.
    """
    if definition.bases:  # its data are the joined ones, and a wish may stand in a base
        name, limit = next(iter(wishes.items()))
        raise _by_hand(definition, name, limit)
    lines = definition.data.decode().split("\n")
    for name, limit in wishes.items():
        _edit(lines, name, limit, definition)
    data = "\n".join(lines).encode()
    stars = {**definition.image.stars, **wishes}
    wanted = replace(definition.image, stars={name: limit for name, limit in stars.items() if limit is not None})
    try:
        image = Image.parse(data, str(definition.file))
    except Malformed:
        image = None
    if image != wanted:
        name, limit = next(iter(wishes.items()))
        raise _by_hand(definition, name, limit)
    return replace(definition, image=wanted, data=data)


def write_edited(before: Definition, edited: Definition, prepared: PreparedLock, world: World) -> FrozenLock:
    """Write image.toml and its lock. If the lock cannot be written, image.toml is as it was `before`.

    Raises `Refused` if somebody else has changed image.toml meanwhile, and `WorldFailed`.
    """
    file = before.file.resolve()  # of a link: the file that it leads to
    is_edited = edited.data != before.data
    if is_edited and not holds(file, before.data):  # with a base, the data are no file's
        raise Refused(str(before.file), "was changed meanwhile, and is left as it is", hint="run the command again")
    mode = file.stat().st_mode & 0o7777
    if is_edited:
        write_durably(file, edited.data, mode)
    try:
        changed = world.write_lock(edited, prepared.data)
    except BaseException:
        if is_edited:
            write_durably(file, before.data, mode)
        raise
    return prepared.written(changed=changed)


def _edit(lines: list[str], name: StarName, limit: Constraint | None, definition: Definition) -> None:
    """Change, add or remove the line of one wish."""
    headers = [place for place, line in enumerate(lines) if _HEADER.fullmatch(line)]
    if not headers and not definition.image.stars:
        headers = [_new_table(lines)]
    if len(headers) != 1:
        raise _by_hand(definition, name, limit)
    start = headers[0] + 1
    end = next((place for place in range(start, len(lines)) if _TABLE.match(lines[place])), len(lines))
    spelt = rf"""(?:{re.escape(name)}|"{re.escape(name)}"|'{re.escape(name)}')"""
    wish = re.compile(rf"({_SPACE}{spelt}{_SPACE}={_SPACE}){_VALUE}({_END})")
    found = next(((place, match) for place in range(start, end) if (match := wish.fullmatch(lines[place]))), None)
    if limit is None:
        if found is None:
            raise _by_hand(definition, name, limit)
        del lines[found[0]]
    elif found is not None:
        lines[found[0]] = f'{found[1][1]}"{limit}"{found[1][2]}'
    else:
        keys = [(place, match[1]) for place in range(start, end) if (match := _KEY.match(lines[place]))]
        place, indent = keys[-1] if keys else (start - 1, "")
        ending = "\r" if lines[place].endswith("\r") else ""
        lines.insert(place + 1, f"{indent}{_line(name, limit)}{ending}")


def _new_table(lines: list[str]) -> int:
    """Add an empty [stars] before the first table, above the comment of that one; return its place."""
    place = next((place for place, line in enumerate(lines) if _TABLE.match(line)), len(lines))
    while place and lines[place - 1].lstrip().startswith("#"):
        place -= 1
    ending = "\r" if lines[0].endswith("\r") else ""
    lines[place:place] = [f"[stars]{ending}", ending]
    return place


def _line(name: StarName, limit: Constraint) -> str:
    key = name if _BARE.fullmatch(name) else f'"{name}"'
    return f'{key} = "{limit}"'


def _by_hand(definition: Definition, name: StarName, limit: Constraint | None) -> CosmosError:
    places = " or in ".join(("in it", *definition.bases))
    hint = (
        f"take {name} out of [stars] {places}" if limit is None else f"write below [stars] in it: {_line(name, limit)}"
    )
    problem = "[stars] has a form that is not edited here: expected a table with one wish a line"
    if definition.bases:
        problem = f"extends {' and '.join(definition.bases)}, and such a file is not edited here"
    return Malformed(str(definition.file), problem, hint=f"{hint}; then: cosmos freeze {quoted(definition.folder)}")
