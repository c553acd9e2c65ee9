"""The upkeep of a store: what is in it, what is damaged, and what goes if it is too large.

`collect` removes files of the store until the rest is within a limit, the least recently used first. A file's time of
change is the time of its last use: `StoreFolder.hold` says who sets it. Everything in a store can be fetched or made
again, so everything may go: blobs, results with a file of their own, and batches. A batch goes as a whole. Before them
goes what killed writers left, and a file that is longer than anything that a store keeps, within the limit as well:
nobody can use them.

No command may use the store meanwhile. `collect` holds `ROOT/users` alone for this, which every builder holds together
with others from its first look into the store to its end. If a builder has it, `collect` removes nothing and says so.

Only what a store itself makes is its own: plain files with the names that it gives, in its own folders. Whatever else
lies there is left alone, and a folder of the store that is a link is refused: what is behind it may be anybody's.

`check` reads every byte. A blob that is not what its name says, and a result that is not what its first line says, is
named and removed, so that it is fetched or made again. On a medium that is read-only, or that fails, it reads all the
same and says which damaged files are still there. It cannot say who wrote a good result: see `store.sealed`.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Final, Literal, TypeAlias

from cosmos.digest import Digest
from cosmos.durable import blaming
from cosmos.errors import Refused, WorldFailed
from cosmos.folders import Folder
from cosmos.limits import MAX_STORED_BYTES
from cosmos.records import dataclass
from cosmos.store.batches import BATCH_NAME
from cosmos.store.blobs import USERS, NotStored, StoreFolder

Kind: TypeAlias = Literal["blob", "result", "batch", "partial", "temporary"]
KINDS: Final[tuple[Kind, ...]] = ("blob", "result", "batch", "partial", "temporary")
_SHELF: Final = re.compile(r"[0-9a-f]{2}")
_SHELVED: Final[dict[Kind, str]] = {"blob": "blobs", "result": "results"}
_FLAT: Final[dict[Kind, str]] = {"batch": "batches", "partial": "partial", "temporary": "temporary"}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAMES: Final[dict[Kind, re.Pattern[str]]] = {
    "blob": _DIGEST,
    "result": _DIGEST,
    "batch": BATCH_NAME,
    "partial": re.compile(r".+"),
    "temporary": re.compile(r".+"),
}
_GOES: Final[tuple[Kind, ...]] = ("blob", "result", "batch")  # downloads have a limit of their own: transport.partial


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file of a store, and when it was used last (nanoseconds since 1970, of the file system's clock)."""

    kind: Kind
    folder: Folder
    name: str
    size_bytes: int
    used: int

    @property
    def shown(self) -> str:
        """Its path below the store's folder."""
        return f"{self.folder.below}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What a collection removed, or would remove, in this order, and how many bytes the store had before."""

    removed: tuple[Item, ...]
    size_bytes: int

    @property
    def freed_bytes(self) -> int:
        """How many bytes were freed."""
        return sum(item.size_bytes for item in self.removed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """The outcome of a check: how many files and bytes there are, and each damaged one.

    `stuck` is what the first of them said that could not be read or removed, and is still there.
    """

    files: int
    size_bytes: int
    damaged: tuple[str, ...]
    stuck: WorldFailed | None = None


def items(store: StoreFolder) -> list[Item]:
    """Return every file of the store. Raises `WorldFailed`, also if something else stands in the store's place."""
    if not store.folder.is_there():
        _names(store.folder)  # which says why, unless nothing is there
    return [
        item
        for kind in KINDS
        for folder in _folders(store.folder, kind)
        for name in _names(folder)
        if _NAMES[kind].fullmatch(name) and (item := _item(kind, folder, name)) is not None
    ]


def collect(store: StoreFolder, limit_bytes: int, *, dry_run: bool = False) -> Collected:
    """Remove what was used least recently until the store has at most `limit_bytes`; with `dry_run`, only say what.

    What killed writers left goes first. Raises `WorldFailed`, and removes nothing, if another command is using the
    store.
    """
    if dry_run or not store.folder.is_there():
        return _chosen(store, limit_bytes)
    with _alone(store):
        chosen = _chosen(store, limit_bytes)
        for item in chosen.removed:
            with item.folder.blaming(item.name):
                item.folder.remove(item.name)
        return chosen


def collect_if_free(store: StoreFolder, limit_bytes: int) -> Collected | None:
    """Do what `collect` does; return None, and remove nothing, if another command is using the store."""
    try:
        return collect(store, limit_bytes)
    except InUse:
        return None


def check(store: StoreFolder, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Checked:
    """Read the whole store. Each damaged file is named, and removed if that is possible. Raises `WorldFailed`."""
    found = items(store)
    wanted = [item for item in found if item.kind in _SHELVED]
    damaged, stuck = _strangers(store)
    for done, item in enumerate(wanted, 1):
        try:
            is_whole = _is_whole(store, item)
        except WorldFailed as error:  # one file that is stuck must not hide the others
            if _is_denied(item):
                raise
            is_whole, stuck = False, stuck or error
        if not is_whole:
            damaged.append(item.shown)
        progress(done, len(wanted))
    if any(item.kind == "batch" for item in found):
        try:
            lost = store.mend_batches()
            damaged += [f"batches: {lost} of their records"] if lost else []
        except WorldFailed as error:
            if any(_is_denied(item) for item in found if item.kind == "batch"):
                raise
            stuck = stuck or error
            damaged.append("batches: some of their records")
    read = [item for item in found if item.kind in _GOES]
    size_bytes = sum(item.size_bytes for item in read)
    return Checked(files=len(read), size_bytes=size_bytes, damaged=tuple(damaged), stuck=stuck)


def _strangers(store: StoreFolder) -> tuple[list[str], WorldFailed | None]:
    """Name each link, pipe, socket, device or folder under the name of a file of the store; remove it, but no folder.

    Return the first as a failure that is still there. A reader takes each for a missing file, or is led elsewhere.
    """
    named: list[str] = []
    stuck: WorldFailed | None = None
    for kind in _GOES:
        for folder in _folders(store.folder, kind):
            for name in filter(_NAMES[kind].fullmatch, _names(folder)):
                mode = folder.mode(name)
                if mode is None or stat.S_ISREG(mode):
                    continue
                named.append(f"{folder.below}/{name}")
                try:
                    with blaming(folder.shown(name)):
                        folder.remove(name)
                except WorldFailed as error:
                    stuck = stuck or error
    return named, stuck


class InUse(WorldFailed):
    """Another command is using the store."""


@contextlib.contextmanager
def _alone(store: StoreFolder) -> Iterator[None]:
    """Hold the store alone for the block. Raises `InUse`."""
    with contextlib.ExitStack() as stack:
        with blaming(store.root):
            is_alone = all(stack.enter_context(store.folder.locked_if_free(name)) for name in (USERS, "lock"))
        if not is_alone:
            raise InUse(
                str(store.root),
                "another command is using the store, so nothing was removed",
                hint="wait until it has ended, then run the same command again",
            )
        yield


def _is_denied(item: Item) -> bool:
    """Return whether this user may not read the file, so that nobody knows what is in it."""
    try:
        number = item.folder.open(item.name)
    except PermissionError:
        return True
    except OSError:
        return False
    if number is not None:
        os.close(number)
    return False


def _chosen(store: StoreFolder, limit_bytes: int) -> Collected:
    found = items(store)
    size_bytes = left = sum(item.size_bytes for item in found)
    kept = [item for item in found if item.kind in _GOES]
    removed = [item for item in found if item.kind == "temporary"]
    removed += [item for item in kept if item.size_bytes > MAX_STORED_BYTES]
    left -= sum(item.size_bytes for item in removed)
    useful = (item for item in kept if item.size_bytes <= MAX_STORED_BYTES)
    for item in sorted(useful, key=attrgetter("used", "shown")):
        if left <= limit_bytes:
            break
        removed.append(item)
        left -= item.size_bytes
    return Collected(removed=tuple(removed), size_bytes=size_bytes)


def _folders(root: Folder, kind: Kind) -> Iterator[Folder]:
    """Yield the store's folders for files of this kind. Raises `WorldFailed` if one of them is a link or a file."""
    if kind in _FLAT:
        yield _own(root, _FLAT[kind])
    else:
        shelf = _own(root, _SHELVED[kind])
        yield from (_own(shelf, name) for name in _names(shelf) if _SHELF.fullmatch(name))


def _names(folder: Folder) -> list[str]:
    """Return the names in the folder, none without it. Raises `WorldFailed`, which names the folder."""
    with folder.reading():
        return folder.names()


def _own(folder: Folder, name: str) -> Folder:
    mode = folder.mode(name)
    if mode is not None and stat.S_ISLNK(mode):
        problem = "is a link, and what is behind it may be no store's: nothing was read or removed"
        raise WorldFailed(str(folder.shown(name)), problem, hint="remove the link; a build makes the folder again")
    own = folder.folder(name)
    own.is_there()  # which raises if something else is there
    return own


def _item(kind: Kind, folder: Folder, name: str) -> Item | None:
    mode, held = folder.mode(name), folder.stat(name)
    if mode is None or held is None or not stat.S_ISREG(mode) or name == "lock":
        return None
    return Item(kind=kind, folder=folder, name=name, size_bytes=held.st_size, used=held.st_mtime_ns)


def _is_whole(store: StoreFolder, item: Item) -> bool:
    """Return whether a blob or a result is what its name says; a damaged one is removed. Raises `WorldFailed`."""
    digest = Digest.from_hex(item.name)
    if item.folder.below != f"{_SHELVED[item.kind]}/{digest.hex[:2]}":
        with blaming(item.folder.shown(item.name)), contextlib.suppress(FileNotFoundError):
            item.folder.remove(item.name)  # no reader looks for it there
        return False
    if item.kind == "result":
        return store.has_whole_result(digest)
    try:
        store.get(digest, item.size_bytes)
    except NotStored:
        return True  # another command has removed it meanwhile
    except Refused:
        return False
    return True
