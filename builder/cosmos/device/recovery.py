"""Recover from a transaction that was cut off: finish it if it was committed, otherwise undo it.

Afterwards each path holds its old or its new entry. Undoing changes a path only if the path still holds the entry that
the journal names. If a person put something else there, it stays, and is named. Every step may be repeated, so a
recovery that is cut off starts again from the beginning.

Nothing is done, and the journal stays, as long as a folder of it is missing: where `/usr` is not mounted, nobody can
tell what the transaction left there.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, assert_never

from cosmos.device.history_file import add_line
from cosmos.device.live_entries import (
    found_attributes,
    found_identity,
    holds,
    is_between,
    is_same,
    same_attributes,
    set_attributes,
    sync_attributes,
)
from cosmos.device.root import LiveRoot, naming, shown
from cosmos.device.system import JOURNAL_FOLDER, JOURNAL_PATH, NEXT_UNIVERSE_PATH, universe_bytes
from cosmos.device.turned_folders import TurnedFolders, turn_of
from cosmos.digest import Digest
from cosmos.errors import WorldFailed, quoted
from cosmos.limits import MAX_JOURNAL_BYTES, MAX_UNIVERSE_BYTES
from cosmos.model.changes import Identity, Place, Remove, Replace, SetAttributes
from cosmos.model.journal import JournalDocument, Step, beside, change_words, prepared_line
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.records import dataclass
from cosmos.treepath import TreePath

_SHORT_BYTES: Final = 1 << 20  # of a journal that is read whole for its phase alone
_END_BYTES: Final = 1 << 10  # its last line, which says that it is committed, has a tenth of them
_COMMITTED: Final = b'{"committed":'
_NO_UNIVERSE = Digest.of(b"")


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """The result of a recovery. `took_place`: the transaction was committed, and is finished now.

    `removed` counts placed entries that were removed again. `restored` counts entries that were replaced, removed or
    given other attributes, and are back now. `kept` are paths that hold something that cosmos did not put there.
    `command` made the change; "" if the journal does not name it.
    """

    took_place: bool
    removed: int
    kept: tuple[TreePath, ...]
    restored: int = 0
    command: str = ""


def recover_journal(root: LiveRoot) -> Undone | None:
    """Finish the transaction of the journal if it was committed, otherwise undo it. The caller is `at_work`.

    Returns None if there is no journal. Raises `Malformed` for a journal that is damaged or in an unknown format, and
    `WorldFailed` if something is not mounted that was mounted at its beginning; then it changes nothing.
    """
    found = read_journal(root)
    if found is None:
        _clear(root)  # a power cut may keep the end of the journal and lose that of the document beside it
        return None
    _demand_mounted(root, found)
    turned = TurnedFolders(found.steps)
    recovery = _Recovery(root, turned)
    is_done = took_place(root, found)
    if is_done:
        _put_universe(root, found.universe)
        recovery.finish(found.steps)
        if found.history is not None:
            add_line(root, found.history)  # after the old entries are gone: a full disk has room again
    else:
        recovery.undo(found.steps, may_have_changed=found.phase != "begun")
    _sync(root, found.steps, turned)
    _clear(root)
    return replace(recovery.undone(is_done), command=found.command)


def _clear(root: LiveRoot) -> None:
    """Remove the journal and the document beside it, for good: a journal that came back would be carried out again."""
    place = root.mapped_folder(JOURNAL_FOLDER)
    if root.stat(place) is None:
        return
    root.remove(root.mapped(NEXT_UNIVERSE_PATH))
    root.remove(root.mapped(JOURNAL_PATH))
    with root.folder(place) as folder, naming(place):
        os.fsync(folder)
    root.remove_empty_folder(place)


def read_journal(root: LiveRoot) -> JournalDocument | None:
    """Return the journal, or None if no change is recorded.

    Raises `Malformed` if it is damaged or in an unknown format.
    """
    with root.stream(JOURNAL_PATH, max_bytes=MAX_JOURNAL_BYTES) as stream, naming(JOURNAL_PATH):
        return None if stream is None else JournalDocument.read(stream, shown(JOURNAL_PATH))


def journal_in_short(root: LiveRoot) -> JournalDocument | None:
    """Return the journal without the steps in the middle of a long one, or None if no change is recorded.

    It has the right format and phase. Reading all steps of a large installation takes a minute. Raises `Malformed`.
    """
    with root.stream(JOURNAL_PATH, max_bytes=MAX_JOURNAL_BYTES) as stream, naming(JOURNAL_PATH):
        if stream is None:
            return None
        if os.fstat(stream.fileno()).st_size <= _SHORT_BYTES:
            return JournalDocument.read(stream, shown(JOURNAL_PATH))
        head = stream.readline(_SHORT_BYTES)
        stream.seek(-_END_BYTES, os.SEEK_END)
        lines = stream.read().split(b"\n")
        last = lines[-2] if len(lines) > 1 else b""  # the one after it was cut off, or is empty
        end = prepared_line() + last + b"\n" if last.startswith(_COMMITTED) else b""
        return JournalDocument.read(io.BytesIO(head + end), shown(JOURNAL_PATH))


def _demand_mounted(root: LiveRoot, document: JournalDocument) -> None:
    """Raise `WorldFailed` unless everything is mounted that was, and every folder is there that the journal needs.

    A journal of format 1 or 2 does not know the mounts, so that only a missing folder shows one that is absent.
    """
    for mount in document.mounts:
        if not root.is_mount(mount):
            raise WorldFailed(
                shown(mount),
                f"was mounted when {change_words(document.command)} began, which was cut off, and nothing is mounted "
                "there now",
                hint=f"mount it, then: cosmos install --root {quoted(root.path)}",
            )
    own = {step.change.path for step in document.steps if _is_of_folder(step)}
    for parent in sorted({step.change.path.parent for step in document.steps} - own):
        if root.stat(parent) is None:
            raise WorldFailed(
                shown(parent),
                f"is not there, but {change_words(document.command)} was cut off with files in it",
                hint="mount what belongs there, or make the folder again; then: "
                f"cosmos install --root {quoted(root.path)}",
            )


def _is_of_folder(step: Step) -> bool:
    match step.change:
        case Place():
            return step.change.new.kind == "dir"
        case Remove():
            return step.change.old.kind == "dir"
        case _:
            return turn_of(step) != 0


def universe_digest(root: LiveRoot) -> Digest:
    """Return the digest of universe.toml, or the digest of no bytes if there is no such file."""
    data = universe_bytes(root)
    return _NO_UNIVERSE if data is None else Digest.of(data)


def took_place(root: LiveRoot, document: JournalDocument) -> bool:
    """Return whether the transaction of this journal was committed, so that it is finished and not undone."""
    if document.before is not None:  # a journal of format 1
        return universe_digest(root) != document.before
    return document.phase == "committed"


def _put_universe(root: LiveRoot, wanted: Digest | None) -> None:
    """Replace universe.toml by the prepared document, unless that was done before."""
    if wanted is None or universe_digest(root) == wanted:
        return
    data = root.document(NEXT_UNIVERSE_PATH, max_bytes=MAX_UNIVERSE_BYTES)
    if data is None or Digest.of(data) != wanted:
        raise WorldFailed(
            shown(NEXT_UNIVERSE_PATH),
            f"the journal names {wanted}, but the file is {'not there' if data is None else Digest.of(data)}",
            hint=f"somebody changed or removed it; compare {shown(JOURNAL_PATH)} with {shown(UNIVERSE_PATH)}",
        )
    root.replace_document(UNIVERSE_PATH, data)


class _Recovery:
    """Undoes or finishes the steps, path by path, and counts."""

    def __init__(self, root: LiveRoot, turned: TurnedFolders) -> None:
        self._root = root
        self._turned = turned
        self._removed = 0
        self._restored = 0
        self._kept: list[TreePath] = []
        self._settled = set[TreePath]()  # folders whose names have reached the disk

    def undone(self, took_place: bool) -> Undone:
        return Undone(took_place=took_place, removed=self._removed, kept=tuple(self._kept), restored=self._restored)

    # --- forward

    def finish(self, steps: Iterable[Step]) -> None:
        """Remove the old entries that were kept, then the folders to be removed, the inner ones first."""
        folders = list[TreePath]()
        for step in steps:
            match step.change:
                case Remove() if step.change.old.kind == "dir":
                    folders.append(self._turned.aside(step.change.path))
                case Replace() if step.change.takes_folder:
                    folders.append(_beside(step))
                case Remove():
                    self._root.remove(self._turned.aside(_beside(step)))
                case Place() | Replace():
                    if step.temporary:
                        self._root.remove(_beside(step))
                case SetAttributes():
                    pass
                case _:
                    assert_never(step.change)
        for path in sorted(folders, reverse=True):
            found = self._root.stat(path)
            if found is not None and not (stat.S_ISDIR(found.st_mode) and self._root.remove_empty_folder(path)):
                self._kept.append(path)

    # --- back

    def undo(self, steps: Sequence[Step], *, may_have_changed: bool) -> None:
        """Restore the paths of `steps`, and remove the temporaries. A new folder goes after everything in it."""
        backwards = steps[::-1]
        new = [step for step in steps if turn_of(step) > 0]
        for step in sorted(backwards, key=turn_of):  # first the old folders, in which others are restored
            for standing in self._standing(step) if turn_of(step) <= 0 else ():
                self._undo(standing, may_have_changed=may_have_changed)
        self._remove_folders(step for step in steps if isinstance(step.change, Place) and step.change.new.kind == "dir")
        for step in new:
            self._undo(step, may_have_changed=may_have_changed)

    def _standing(self, step: Step) -> Iterator[Step]:
        """Yield the step as it is to be undone: in a new folder also where the folder has its temporary's name."""
        change, aside = step.change, self._turned.aside(step.change.path)
        if isinstance(change, Place) and aside != change.path:
            yield replace(step, change=replace(change, path=aside))
        if self._turned.is_reached(self._root, change.path.parent):
            yield step

    def _undo(self, step: Step, *, may_have_changed: bool) -> None:
        change = step.change
        if not may_have_changed:
            if step.temporary:
                self._discard(_beside(step))
            return
        match change:
            case Place():
                if change.new.kind != "dir":
                    self._undo_place(change, step)
            case Replace():
                self._undo_replace(change, step)
            case Remove():
                if change.old.kind != "dir":
                    self._undo_remove(change, step)
            case SetAttributes():
                self._undo_attributes(change)
            case _:
                assert_never(change)

    def _remove_folders(self, placed: Iterable[Step]) -> None:
        """Remove the placed folders that are empty, the inner ones first."""
        paths = {standing.change.path for step in placed for standing in self._standing(step)}
        for path in sorted(paths, reverse=True):
            self._root.remove_empty_folder(path)

    def _discard(self, temporary: TreePath) -> None:
        """Remove a temporary. A folder with something in it stays, and is named: cosmos did not put that there."""
        found = self._root.stat(temporary)
        if found is None or not stat.S_ISDIR(found.st_mode):
            self._root.remove(temporary)
        elif not self._root.remove_empty_folder(temporary):
            self._kept.append(temporary)

    def _undo_place(self, change: Place, step: Step) -> None:
        self._root.remove(_beside(step))
        if self._root.stat(change.path) is None:
            return
        if holds(self._root, change.path, change.new):
            self._root.remove(change.path)
            self._removed += 1
        else:
            self._kept.append(change.path)

    def _undo_replace(self, change: Replace, step: Step) -> None:
        temporary = _beside(step)
        kept = found_identity(self._root, temporary)
        if kept is None:
            return  # removed already: by a recovery that was cut off afterwards
        here = found_identity(self._root, change.path)
        if self._is_exchanged(here, kept, change, step):
            with self._root.folder(change.path.parent) as folder, naming(change.path):
                self._root.kernel.exchange(folder, step.temporary, change.path.name)
            self._settled.discard(change.path.parent)
            self._settle(change.path.parent)
            self._discard(temporary)
            self._restored += 1
        elif _content(kept) == _content(change.new):
            self._settle(change.path.parent)  # a recovery that was killed may have exchanged them just before
            self._discard(temporary)  # the new entry: it never got its name
        else:
            self._bring_back(change.path, step, kept, change.old)

    def _settle(self, folder: TreePath) -> None:
        """Sync the folder, or a power cut may undo an exchange, keep the removal after it, and lose the old entry."""
        if folder not in self._settled:
            with self._root.folder(folder) as opened, naming(folder):
                os.fsync(opened)
            self._settled.add(folder)

    def _is_exchanged(self, here: Identity | None, kept: Identity, change: Replace, step: Step) -> bool:
        """Return whether the path holds the new entry. If old and new have the same content, compare attributes."""
        if here is None or _content(here) != _content(change.new):
            return False
        if _content(kept) != _content(change.new):
            return True
        if kept.kind == "dir":  # somebody's folder was in the path's place: the new one is empty by now
            return bool(self._root.names(_beside(step)))
        here_is_new, kept_is_new = (is_same(self._root, one, change.new) for one in (here, kept))
        if here_is_new != kept_is_new:
            return here_is_new
        # a file system without modes or owners changed the new entry when it was written: compare with the old one
        return is_same(self._root, kept, change.old) and not is_same(self._root, here, change.old)

    def _undo_remove(self, change: Remove, step: Step) -> None:
        kept = found_identity(self._root, _beside(step))
        if kept is not None:
            self._bring_back(change.path, step, kept, change.old)

    def _bring_back(self, path: TreePath, step: Step, kept: Identity, old: Identity) -> None:
        """Give the old entry its name again. If somebody has used the name since, their entry stays."""
        temporary = _beside(step)
        here, there = self._root.stat(path), self._root.stat(temporary)
        if here is None:
            with self._root.folder(path.parent) as folder, naming(path):
                self._root.kernel.rename_new(folder, step.temporary, path.name)
            self._restored += 1
            return
        if there is not None and os.path.samestat(here, there):
            self._root.remove(temporary)  # one entry under two names: a rename without RENAME_NOREPLACE was cut off
            return
        self._kept.append(path)
        if _content(kept) == _content(old):
            self._discard(temporary)
        else:
            self._kept.append(temporary)  # not ours: somebody changed the file just before it was moved

    def _undo_attributes(self, change: SetAttributes) -> None:
        found = found_attributes(self._root, change.path, change.kind)
        if found is None or not is_between(self._root, found, change.old, change.new, change.kind):
            self._kept.append(change.path)
            return
        added = dict(change.new.xattrs).keys() - dict(change.old.xattrs).keys()
        if not same_attributes(self._root, found, change.old, change.kind) or added & dict(found.xattrs).keys():
            set_attributes(self._root, change.path, change.kind, change.new, change.old)
            self._restored += 1
        if change.kind in ("file", "hardlink", "dir"):
            sync_attributes(self._root, change.path)


def _beside(step: Step) -> TreePath:
    return beside(step.change.path, step.temporary)


def _content(identity: Identity) -> tuple[str, Digest]:
    return ("file" if identity.kind == "hardlink" else identity.kind), identity.digest


def _sync(root: LiveRoot, steps: Iterable[Step], turned: TurnedFolders) -> None:
    """Sync the folders of all steps to the disk. The journal may be removed only after that."""
    for parent in sorted({step.change.path.parent for step in steps}):
        if turned.is_reached(root, parent) and root.stat(parent) is not None:
            with root.folder(parent) as folder, naming(parent):
                os.fsync(folder)
