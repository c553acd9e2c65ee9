"""What happens to the paths of a star that goes, or of its old version: each is removed, or kept and named.

A path is removed if it still holds what the star put there: the same kind, and the same bytes, target or number. Its
mode and owner do not count. Everything else is not the star's any more, and is kept and named with the reason:

- configuration that somebody changed. With `purges` it is removed;
- any other file with other bytes, and a path that holds another kind of entry: a link where a file was, for example.

A missing path is gone already. A path is refused if a folder above it has become a link: what lies behind the link is
another place than the one where the star was installed.

Beside configuration may lie the `NAME.cosmos-new` of an update. It goes with the configuration, unless it was changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final

from cosmos.device.live_entries import found_identity
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER
from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_NAME_BYTES
from cosmos.model.changes import Change, Identity, Remove
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.records import dataclass
from cosmos.treepath import TreePath

NEW_SUFFIX: Final = b".cosmos-new"
_NOTHING: Final = Digest.of(b"")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A path that stays although its star goes, and the reason."""

    path: TreePath
    star: StarName
    why: str

    def __str__(self) -> str:
        return f"{shown(self.path)} ({self.star}): {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """An entry that a star put on the system, with the digest of what it holds; None if that was not recorded."""

    star: StarName
    entry: InstalledEntry
    digest: Digest | None

    def is_in(self, found: Identity) -> bool:
        """Return whether `found` still is what the star put there. Attributes do not count."""
        kind = "file" if self.entry.kind == "hardlink" else self.entry.kind
        return (found.kind, found.digest) == (kind, self.digest)

    def changed_words(self, found: Identity) -> str:
        """Return how `found` differs from what the star put there."""
        kind = "file" if self.entry.kind == "hardlink" else self.entry.kind
        if found.kind != kind:
            return f"it is a {found.kind} now, and was installed as a {kind}"
        return "somebody changed it since it was installed"


def recorded(star: StarName, entries: Iterable[InstalledEntry]) -> dict[TreePath, Recorded]:
    """Return the entries of `star` that are no folders, by path."""
    held = [entry for entry in entries if entry.kind != "dir"]
    by_text = {Digest.of(bytes(entry.path)): entry for entry in held}
    return {entry.path: Recorded(star=star, entry=entry, digest=_digest(entry, by_text)) for entry in held}


def new_beside(path: TreePath) -> TreePath | None:
    """Return the path of the new version beside configuration that the operator changed; None if it is too long."""
    name = path.name + NEW_SUFFIX
    try:
        return None if len(name) > MAX_NAME_BYTES else path.parent.joined(name)
    except ValueError:
        return None


def demand_no_link_above(root: LiveRoot, path: TreePath, star: StarName) -> None:
    """Raise `Refused` if a folder above `path` has become a link since `star` was installed."""
    if root.mapped(path) == path:
        return
    raise Refused(
        shown(path),
        f"{star} was installed there, but a folder above it is a link now, to {shown(root.mapped(path).parent)}",
        hint="make it a folder again, with what it had; a folder on another disk: mount --bind",
    )


class Leaving:
    """The paths that go, as changes, and those that are kept."""

    def __init__(self, root: LiveRoot, *, purges: bool) -> None:
        self._root = root
        self._purges = purges
        self._ways = {link for folder in (STATE_FOLDER, SETTINGS_FOLDER) for link in root.links_to(folder)}
        self._own = {root.mapped_folder(folder) for folder in (STATE_FOLDER, SETTINGS_FOLDER)}
        self.removed: set[TreePath] = set()
        self.kept: list[Kept] = []

    def changes(self, old: Mapping[TreePath, Recorded], staying: Container[TreePath] = ()) -> Iterator[Change]:
        """Yield the removal of each path of `old` that is not in `staying`."""
        for path, item in sorted(old.items()):
            if path not in staying:
                yield from self._change(path, item)

    def new_gone(self, path: TreePath, item: Recorded) -> Iterator[Change]:
        """Yield the removal of the new version that an update laid beside the configuration at `path`."""
        beside = new_beside(path)
        found = None if beside is None else found_identity(self._root, beside)
        if beside is None or found is None:
            return
        if item.is_in(found) or self._purges:
            yield from self._removal(beside, found)
        else:
            self._keep(beside, item, "somebody changed it since an update put it there")

    def _change(self, path: TreePath, item: Recorded) -> Iterator[Change]:
        if any(path == own or own in path.parents for own in self._own):
            self._keep(path, item, "cosmos itself writes there")
            return
        if path in self._ways:
            self._keep(path, item, "cosmos reaches its own files through it")
            return
        demand_no_link_above(self._root, path, item.star)
        found = found_identity(self._root, path)
        is_configuration = item.entry.is_configuration
        if found is not None:
            if item.is_in(found) or (self._purges and is_configuration and found.kind == "file"):
                yield from self._removal(path, found)
            else:
                word = "configuration: " if is_configuration else ""
                self._keep(path, item, f"{word}{item.changed_words(found)}")
        if is_configuration:
            yield from self.new_gone(path, item)

    def _removal(self, path: TreePath, found: Identity) -> Iterator[Change]:
        if path not in self.removed:
            self.removed.add(path)
            yield Remove(path=path, old=found)

    def _keep(self, path: TreePath, item: Recorded, why: str) -> None:
        self.kept.append(Kept(path=path, star=item.star, why=why))


def _digest(entry: InstalledEntry, by_text: Mapping[Digest, InstalledEntry]) -> Digest | None:
    match entry.kind:
        case "hardlink":
            named = Digest.of(entry.target) if entry.target is not None else entry.digest
            file = None if named is None else by_text.get(named)
            return file.digest if file is not None and file.kind == "file" else None
        case "char" | "block":
            return Digest.of("{}:{}".format(*(entry.rdev or (0, 0))).encode())
        case "fifo":
            return _NOTHING
        case _:
            return entry.digest
