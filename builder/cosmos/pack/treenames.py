"""Judge the names in one archive: each against the names before it (TRUST.md section 7).

The reader asks `TreeNames` before each entry. It knows every entry so far and every folder that their paths imply.

By the rules of dpkg (`Rules`), which hold only for the tar archives in a Debian package, a leading slash or `./` and
doubled slashes are ignored, and a folder may appear twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NoReturn, Protocol, TypeAlias

from cosmos.errors import Refused
from cosmos.limits import MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_COMPONENTS
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import ROOT, TreePath, climbs_out, composed, escaped, has_bidi

Rules: TypeAlias = Literal["strict", "published", "dpkg"]

_SHOWN_BYTES = 200
_LEAD: Final = re.compile(rb"(?:\.?/)*")
_SLASHES: Final = re.compile(rb"/+")


class Named(Protocol):
    """The fields of an entry, or of a manifest's line, that names are judged by."""

    @property
    def path(self) -> TreePath: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def target(self) -> bytes: ...


class TreeNames:
    """Every path of an archive so far."""

    __slots__ = ("_composed", "_folders", "_rules", "entries", "source")

    def __init__(self, source: str, rules: Rules = "strict") -> None:
        self.source = source
        self.entries: dict[bytes, Entry] = {}
        self._rules = rules
        self._folders: set[bytes] = {b""}
        self._composed: dict[bytes, bytes] = {}

    def refuse(self, raw: bytes, problem: str) -> NoReturn:
        """Raise `Refused` for the entry named `raw`."""
        raise Refused(self.source, f"{shown(raw)}: {problem}")

    def placed(self, raw: bytes, kind: Kind) -> TreePath:
        """Return the path that `raw` stands for (`ROOT` for the root itself), or raise `Refused`."""
        path = self.relative(raw)
        if kind == "dir":
            path = b"" if path == b"." else path.removesuffix(b"/")
        if not path:
            if kind != "dir" or (self._rules != "dpkg" and raw not in (b".", b"./")):
                self.refuse(raw, "is not a name")
            self._demand_new(raw, ROOT, kind)
            return ROOT
        parent, _, name = path.rpartition(b"/")
        if parent not in self._folders:
            self._enter(parent, raw)
        if not is_plain(path, name):
            _checked(self.source, raw, path)
        self._demand_new(raw, path, kind)
        if kind == "dir":
            self._folders.add(path)
        elif path in self._folders:
            self.refuse(raw, f"is a {kind}, but there are entries below it")
        self._compose(path, raw)
        return TreePath(path)

    def place(self, path: TreePath, kind: Kind) -> None:
        """Judge a path of an entry that is one already, as `placed` does; raises `Refused`."""
        folders = self._folders
        if path.rpartition(b"/")[0] in folders and path not in self.entries and path.isascii():
            if kind == "dir":
                folders.add(path)
                return
            if path not in folders:
                return
        self.placed(path + b"/" if kind == "dir" else bytes(path), kind)

    def relative(self, raw: bytes) -> bytes:
        """Return the part of `raw` that is a path below the root; not checked."""
        if self._rules != "dpkg":
            return raw.removeprefix(b"./")
        return _SLASHES.sub(b"/", _LEAD.sub(b"", raw, count=1))

    def _demand_new(self, raw: bytes, path: bytes, kind: Kind) -> None:
        held = self.entries.get(path)
        if held is not None and not (self._rules == "dpkg" and held.kind == kind == "dir"):
            self.refuse(raw, "is there twice")

    def _enter(self, folder: bytes, raw: bytes) -> None:
        """Record a folder that `raw` lies in, and those above it."""
        for above in (*_checked(self.source, raw, folder).parents, folder):
            if above in self._folders:
                continue
            entry = self.entries.get(above)
            if entry is not None:
                self.refuse(raw, f"lies below {shown(above)}, which is a {entry.kind}")
            self._compose(above, raw)
            self._folders.add(bytes(above))

    def _compose(self, path: bytes, raw: bytes) -> None:
        if path.isascii():
            return
        if has_bidi(path):
            self.refuse(raw, "has a bidirectional control character")
        other = self._composed.setdefault(composed(path), path)
        if other != path:
            self.refuse(raw, f"differs from {shown(other)} only by Unicode form")


def demand_readable(lines: Iterable[Named], source: str) -> None:
    """Raise `Refused` for the first of `lines`, in byte order of path, whose name or target Cosmos's readers refuse."""
    names = TreeNames(source)
    for line in lines:
        path = names.placed(line.path, line.kind)
        if line.kind == "symlink":
            demand_target(names, line.path, path, line.target)


def demand_target(names: TreeNames, raw: bytes, path: TreePath, target: bytes) -> None:
    """Raise `Refused` if a symlink at `path` must not have this `target`."""
    if has_bidi(target):
        names.refuse(raw, "its target has a bidirectional control character")
    if climbs_out(path, target):
        names.refuse(raw, f"its target climbs above the root: {shown(target)}")


def shown(raw: bytes) -> str:
    """Return a name from outside for an error: escaped and shortened.

    >>> shown("a\\u202eb".encode())
    'a\\\\xe2\\\\x80\\\\xaeb'
    """
    return escaped(raw[:_SHOWN_BYTES]) + ("…" if len(raw) > _SHOWN_BYTES else "") or "''"


def is_plain(path: bytes, name: bytes) -> bool:
    """Return whether `path` is a `TreePath`, if the part above its last component `name` is one."""
    return (
        name not in (b"", b".", b"..")
        and len(name) <= MAX_NAME_BYTES
        and len(path) <= MAX_PATH_BYTES
        and b"\0" not in name
        and not path.startswith(b"/")
        and path.count(b"/") < MAX_PATH_COMPONENTS
    )


def _checked(source: str, raw: bytes, path: bytes) -> TreePath:
    try:
        return TreePath.parse(path)
    except ValueError as error:
        raise Refused(source, f"{shown(raw)}: {str(error).rpartition(': ')[2]}") from error
