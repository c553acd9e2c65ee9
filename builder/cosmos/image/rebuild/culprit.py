"""Name what made a path: the star, its script with the line, and what the script did there.

A script's receipt says which verb of which line made a path. A program of `run()` makes paths that no event names. The
receipts of the release and of the rebuild say of each program what the tree was before it and after it: the first one
that made something else is the culprit. A file of the template is named with the file of the template that it is of.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from cosmos.canon import Json, canonical_json
from cosmos.limits import MAX_DEFINITION_BYTES, MAX_RECEIPTS_BYTES
from cosmos.model.receipts import RECEIPTS_FILE, Receipts
from cosmos.model.release import DEFINITION_FILE
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.pack.untar import read_tar
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.diff.compare import Difference
from cosmos.tree.entry import tree_of

_OWN_LAYER: Final = "template"
_WORDS_SHOWN: Final = 200  # characters of a command
_LINE: Final = re.compile(r"line ([1-9][0-9]{0,8})\b")  # as `release.diff.inside` says it
_BLOCKS: Final = (b"{%", b"{#", b"{{")
_TEMPLATE_SUFFIX: Final = ".j2"

Receipt = Mapping[str, Json]


def receipts_of(release: Path) -> Mapping[str, Json]:
    """Return the receipt of each star's script by the star's name, and "finish". Raises `Malformed`."""
    file = release / RECEIPTS_FILE
    receipts = Receipts.parse(read_bounded(file, MAX_RECEIPTS_BYTES), str(file))
    return {**receipts.stars, "finish": receipts.finish}


def first_unlike(receipts: Mapping[str, Json], others: Mapping[str, Json]) -> Mapping[str, int]:
    """Return the place of the first program of each script that made something else than before.

    Such a program found the same tree, and left another one. A script whose events before that differ has none.
    """
    found: dict[str, int] = {}
    for star, receipt in receipts.items():
        for place, (event, other) in enumerate(zip(_events(receipt), _events(others.get(star)), strict=False)):
            if event == other:
                continue
            if event.get("do") == other.get("do") == "run" and event.get("before") == other.get("before"):
                found[star] = place
            break
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateText:
    """The files of a release's template, as its definition has them: names and bytes below root/, by path.

    `folder` is the template's folder, as the definition names it.
    """

    folder: str
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, release: Path) -> Self | None:
        """Return the template of the release in the folder `release`, if it has one. Raises `Malformed`, `Refused`."""
        file = release / DEFINITION_FILE
        if not is_there(file):
            return None
        tree = tree_of(read_tar(read_bounded(file, MAX_DEFINITION_BYTES), str(file)))
        names = {os.fsdecode(bytes(path)): entry for path, entry in tree.items()}
        tops = [name.removesuffix("template.toml") for name in names if name.endswith("/template.toml")]
        top = min(tops, key=len, default="template/")
        root = f"{top}root/"
        below = {name.removeprefix(root): entry for name, entry in names.items() if name.startswith(root)}
        return cls(
            folder=top.removeprefix("image/").rstrip("/"),
            files={name: bytes(entry.content) for name, entry in below.items() if entry.kind == "file"},
        )

    def source(self, difference: Difference) -> str:
        """Return the file of the template that made the path that differs, with its line if that is known."""
        path = os.fsdecode(bytes(difference.path))
        if difference.path == UNIVERSE_PATH:
            return "the record of what is installed"
        if path in self.files:
            return f"{self.folder}/root/{path}{_line_said(difference)}"
        template = self.files.get(path + _TEMPLATE_SUFFIX)
        if template is None:
            return f"{self.folder}/template.toml"
        said = _line_said(difference)
        above = template.split(b"\n")[: int(said.removeprefix(":")) - 1] if said else []
        is_known = not any(block in line for line in above for block in _BLOCKS)
        return f"{self.folder}/root/{path}{_TEMPLATE_SUFFIX}{said if is_known else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Script:
    """The events of one script: the last that wrote each path, the copies of folders, and its programs, by place."""

    last: Mapping[str, int]
    folders: tuple[int, ...]
    programs: tuple[int, ...]
    events: tuple[Receipt, ...]

    @classmethod
    def of(cls, receipt: Json) -> Self:
        events = tuple(_events(receipt))
        last: dict[str, int] = {}
        folders, programs = [], []
        for place, event in enumerate(events):
            path, verb = event.get("path"), event.get("do")
            if verb == "run":
                programs.append(place)
            elif isinstance(path, str) and verb not in ("read", "filemap"):
                last[path] = place
                if verb == "copy":
                    folders.append(place)
        return cls(last=last, folders=tuple(folders), programs=tuple(programs), events=events)

    def maker(self, path: str, unlike: int | None, *, is_only_time: bool) -> Receipt | None:
        """Return the event that made `path`; `unlike` is the place of a program that made something else.

        `is_only_time`: no more than the time of `path` differs. The receipt does not tell, because no digest of a tree
        has times. Only programs give times that differ, so the last one counts that ran after the path was there.
        """
        place = self.last.get(path)
        if place is None:
            place = max((one for one in self.folders if _is_below(path, self.events[one].get("path"))), default=None)
        if is_only_time:
            unlike = max(self.programs, default=None)
        if unlike is not None and (place is None or place < unlike):
            return self.events[unlike]
        if place is None:
            place = max(self.programs, default=None)
        return None if place is None else self.events[place]


class Makers:
    """Who made each path. The events of a script are looked through once, however many paths differ."""

    def __init__(self, receipts: Mapping[str, Json], template: TemplateText | None = None) -> None:
        self._receipts = receipts
        self._template = template
        self._scripts: dict[str, _Script] = {}

    def of(self, difference: Difference, unlike: Mapping[str, int] | None = None) -> str:
        """Return a sentence part: who made the path that differs.

        `unlike` are the places of programs that made something else (`first_unlike`).
        """
        star = difference.star or _OWN_LAYER
        script = "finish" if star == _OWN_LAYER else star
        receipt = self._receipts.get(script)
        if star not in self._scripts:
            self._scripts[star] = _Script.of(receipt)
        event = self._scripts[star].maker(
            difference.path.text, (unlike or {}).get(script), is_only_time=difference.causes == ("time",)
        )
        if event is None and star != _OWN_LAYER:
            return f"{star}, unpacked"
        if event is None:
            return "the image's own files" + (f", {self._template.source(difference)}" if self._template else "")
        name = receipt.get("script") if isinstance(receipt, dict) else None
        who = "the image's own files" if star == _OWN_LAYER else star
        return f"{who}, {name or 'its script'}{_line_of(event)}: {_did(event)}"


def _did(event: Receipt) -> str:
    if event.get("do") == "run":
        return f"run {canonical_json(event.get('words')).decode()[:_WORDS_SHOWN]}"
    if event.get("do") == "render":
        return f"render {event.get('template')}"
    return str(event.get("do"))


def _line_of(event: Receipt) -> str:
    line = event.get("line")
    return f":{line}" if isinstance(line, int) else ""


def _line_said(difference: Difference) -> str:
    found = _LINE.match(difference.inside[0]) if difference.inside else None
    return f":{found[1]}" if found else ""


def _is_below(path: str, folder: Json) -> bool:
    return isinstance(folder, str) and (not folder or path.startswith(f"{folder}/"))


def _events(receipt: Json) -> Iterator[Receipt]:
    events = receipt.get("events") if isinstance(receipt, dict) else None
    yield from (event for event in events if isinstance(event, dict)) if isinstance(events, list) else ()
