"""Changes to the tree of a live system, as data: a path is placed, replaced, removed, or gets other attributes.

A change names the old and the new entry of its path. So a later run that finds a change half done can tell the old
entry from the new one, and can go back or forward (`model.journal`, `device.recovery`). As JSON, one of

    {"change":"place","path":"/usr/bin/nano","new":IDENTITY}
    {"change":"replace","path":"/usr/bin/nano","old":IDENTITY,"new":IDENTITY}
    {"change":"remove","path":"/usr/bin/nano","old":IDENTITY}
    {"change":"attributes","path":"/usr/bin/nano","kind":"file","old":ATTRIBUTES,"new":ATTRIBUTES}

    IDENTITY     {"kind":"file","digest":"sha256:…","mode":"0755","uid":0,"gid":0,"xattrs":{"user.note":"00ff"}}
    ATTRIBUTES   {"mode":"0755","uid":0,"gid":0,"xattrs":{}}

`digest` is the SHA-256 of a file's bytes (also for a hard link to the file), of a symlink's target, or of a device's
number as `1:3`. For a fifo and a folder it is the SHA-256 of no bytes. Extended attributes are in hex.

A folder may take the place of another entry, and another entry that of a folder: `replace` names both. The changes
below such a path are all placements, or all removals. A folder does not replace a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self, TypeAlias, assert_never

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.model.installed_entry import KINDS, read_octal, slashed
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath, escaped, unescaped

_MAX_ID: Final = (1 << 32) - 1
_CHANGES: Final = ("place", "replace", "remove", "attributes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """The attributes that can change while an entry's content stays. `mode` has the 12 permission bits."""

    mode: int
    uid: int
    gid: int
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the attributes in `table`, which may hold more than these."""
        return cls(
            mode=table.read("mode", read_octal),
            uid=table.count("uid", most=_MAX_ID),
            gid=table.count("gid", most=_MAX_ID),
            xattrs=tuple(sorted(table.parsed_map("xattrs", unescaped, bytes.fromhex).items())),
        )

    def to_json(self) -> dict[str, Json]:
        """Return the attributes as JSON."""
        xattrs: dict[str, Json] = {escaped(name): value.hex() for name, value in self.xattrs}
        return {"mode": f"{self.mode:04o}", "uid": self.uid, "gid": self.gid, "xattrs": xattrs}


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """An entry's kind, content and attributes. `attributes` is None in a journal of format 1, which has none."""

    kind: str
    digest: Digest
    attributes: Attributes | None

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an identity; raises `Malformed`."""
        identity = cls(
            kind=table.choice("kind", KINDS),
            digest=table.read("digest", Digest.parse),
            attributes=Attributes.read(table),
        )
        table.end()
        return identity

    def to_json(self) -> dict[str, Json]:
        """Return the identity as JSON."""
        attributes = {} if self.attributes is None else self.attributes.to_json()
        return {"kind": self.kind, "digest": str(self.digest), **attributes}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The path is free, and is to hold `new`."""

    path: TreePath
    new: Identity


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace:
    """The path holds `old`, and is to hold `new`."""

    path: TreePath
    old: Identity
    new: Identity

    def __post_init__(self) -> None:
        """Refuse a folder on both sides."""
        if self.old.kind == self.new.kind == "dir":
            raise ValueError(f"{self.path.text}: a folder is not replaced by a folder")

    @property
    def brings_folder(self) -> bool:
        """Whether a folder takes the place of another entry."""
        return self.new.kind == "dir"

    @property
    def takes_folder(self) -> bool:
        """Whether another entry takes the place of a folder."""
        return self.old.kind == "dir"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove:
    """The path holds `old`, and is to be free. A folder goes if nothing is in it by then."""

    path: TreePath
    old: Identity


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAttributes:
    """The path holds something of `kind` with the attributes `old`, and is to have `new`. Of a symlink: its owner."""

    path: TreePath
    kind: str
    old: Attributes
    new: Attributes


Change: TypeAlias = Place | Replace | Remove | SetAttributes


def change_json(change: Change) -> Json:
    """Return `change` as JSON."""
    path = f"/{change.path.text}"
    match change:
        case Place():
            return {"change": "place", "path": path, "new": change.new.to_json()}
        case Replace():
            return {"change": "replace", "path": path, "old": change.old.to_json(), "new": change.new.to_json()}
        case Remove():
            return {"change": "remove", "path": path, "old": change.old.to_json()}
        case SetAttributes():
            rows: Mapping[str, Json] = {"old": change.old.to_json(), "new": change.new.to_json()}
            return {"change": "attributes", "path": path, "kind": change.kind, **rows}
        case _:
            assert_never(change)


def read_change(table: Table) -> Change:
    """Return the change in `table`; raises `Malformed`."""
    word, path = table.choice("change", _CHANGES), table.read("path", slashed)
    change: Change
    if word == "place":
        change = Place(path=path, new=Identity.read(table.table("new")))
    elif word == "replace":
        change = _replace(table, path)
    elif word == "remove":
        change = Remove(path=path, old=Identity.read(table.table("old")))
    else:
        kind, old, new = table.choice("kind", KINDS), table.table("old"), table.table("new")
        change = SetAttributes(path=path, kind=kind, old=Attributes.read(old), new=Attributes.read(new))
        old.end()
        new.end()
    table.end()
    return change


def _replace(table: Table, path: TreePath) -> Replace:
    try:
        return Replace(path=path, old=Identity.read(table.table("old")), new=Identity.read(table.table("new")))
    except ValueError as error:
        table.fail("", str(error))
