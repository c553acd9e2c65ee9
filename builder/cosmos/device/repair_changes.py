"""The changes that restore the bad entries of one star, or of one layer of the image, and why some of them stay.

Each path changes once. An entry that is missing is placed. One with another kind, content, target or number is
replaced. One that only has other attributes gets the right ones, unless its file has more names than its star gave it:
then it is replaced, so that no copy elsewhere gains a set-user-ID bit. If a file is replaced, its hard links are made
again.

The system's `[policy]` counts as for an installation: a star gets nothing back, and makes no folder, that it may not
have. It names stars, so the image's own layers are none of its business. `run` is not asked for: no program runs here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from cosmos.device.entry_check import Difference, kind_of
from cosmos.device.examination import BadEntry
from cosmos.device.live_entries import found_attributes, found_identity, identity_of
from cosmos.device.owned_paths import OwnedPaths
from cosmos.device.plan import OWN_FOLDERS, implied
from cosmos.device.released import SignedLayer
from cosmos.device.root import LiveRoot, shown
from cosmos.device.signed_record import SignedRecord
from cosmos.device.transaction import Batch
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, WorldFailed
from cosmos.model.changes import Attributes, Change, Place, Replace, SetAttributes
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.universe import Universe
from cosmos.records import dataclass
from cosmos.staging.powers import Consent, overreaches
from cosmos.tree.entry import CAPABILITY, Entry
from cosmos.treepath import TreePath

_UNNAMED = (stat.S_IFDIR, stat.S_IFSOCK)  # no change replaces them


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """Something bad that stays, and why."""

    what: Difference
    cause: CosmosError

    def __str__(self) -> str:
        return f"{self.what}; not repaired: {self.cause.problem}"


class MissingFolders:
    """The folders that are missing, each as the star that made it had it. Each is made once in a repair."""

    def __init__(self, root: LiveRoot, universe: Universe, consent: Consent, epoch: int) -> None:
        self._root = root
        self._owned = OwnedPaths(universe)
        self._consent = consent
        self._epoch = epoch
        self._known: dict[TreePath, tuple[StarName | None, InstalledEntry]] = {}
        self._made = set[TreePath]()
        self._waiting: dict[TreePath, Entry] = {}

    def note(self, star: StarName | None, bad: Iterable[BadEntry]) -> None:
        """Note the missing folders of a star, or of the image itself. The owner that made a folder knows it best."""
        for one in bad:
            entry = one.entry
            is_missing = entry.kind == "dir" and one.problems[0].harm == "missing"
            if is_missing and not (entry.is_shared and entry.path in self._known):
                self._known[entry.path] = (star, entry)

    def makes(self, path: TreePath) -> bool:
        """Return whether this repair makes the folder at `path`."""
        return path in self._made

    def need(self, path: TreePath) -> None:
        """Make sure that the folder at `path` is made, unless it is there."""
        for step in (*path.parents, *([path] if path else [])):
            if step not in self._made and self._root.stat(step) is None:
                self._made.add(step)
                self._waiting[step] = self._entry(step)

    def taken(self) -> list[Entry]:
        """Return the folders to make now, outermost first."""
        folders = [self._waiting[path] for path in sorted(self._waiting)]
        self._waiting = {}
        return folders

    def _entry(self, path: TreePath) -> Entry:
        star, held = self._known.get(path) or self._owned.maker(path) or (None, None)
        if held is None or (star is not None and overreaches(self._consent, star, [held], None)):
            return implied(path, self._epoch)
        time = self._epoch if held.mtime is None else held.mtime
        return Entry(path=path, kind="dir", mode=held.mode, uid=held.uid, gid=held.gid, mtime=time, xattrs=held.xattrs)


class OwnerRepair:
    """Plans the changes of one star, or of one layer of the image. `star` is None for a layer."""

    def __init__(
        self,
        root: LiveRoot,
        owner: str,
        star: StarName | None,
        signed: SignedRecord | SignedLayer,
        consent: Consent,
        folders: MissingFolders,
        given: Callable[[TreePath], str | None],
    ) -> None:
        """`given` returns the other owner that a path was restored for, or that has it by what was signed."""
        self._root = root
        self._owner = owner
        self._given = given
        self._star = star
        self._signed = signed
        self._consent = consent
        self._folders = folders
        self._of_cosmos = {*OWN_FOLDERS, *(root.mapped_folder(folder) for folder in OWN_FOLDERS)}
        self._refused: dict[TreePath, CosmosError] = {}
        self._entries = {entry.path: entry for entry in signed.entries}
        self._links: dict[TreePath, list[TreePath]] = {}
        for path, body in signed.bodies.items():
            if body.kind == "hardlink" and path in self._entries:
                self._links.setdefault(TreePath(body.target), []).append(path)

    def made(self, wanted: Sequence[BadEntry], left: list[Left]) -> Batch:
        """Return the batch that restores `wanted`; what stays goes into `left`."""
        rewritten, changes = set[TreePath](), list[Change]()
        by_path = {bad.entry.path: bad for bad in wanted}
        for path in (*self._signed.bodies, *sorted(by_path.keys() - self._signed.bodies.keys())):
            bad = by_path.get(path)
            target = self._target(path)
            if bad is None and target not in rewritten:
                continue
            entry = self._entries.get(path)
            if entry is None or (bad is not None and entry.kind == "hardlink" and _only_attributes(bad)):
                continue  # the file behind a hard link gets the attributes
            try:
                changes += self._changes(entry, bad, rewritten)
            except CosmosError as error:
                self._refused[path] = error
                text = bad.problems[0].text if bad is not None else "is no longer one file with its target"
                left.append(Left(what=Difference(path=path, star=self._owner, problem=text), cause=error))
        entries = {path: self._signed.bodies[path] for path in self._signed.bodies if path in rewritten}
        return Batch(star=self._owner, changes=changes, entries=entries)

    def _changes(self, entry: InstalledEntry, bad: BadEntry | None, rewritten: set[TreePath]) -> Iterator[Change]:
        if self._star is not None:
            self._demand_allowed(self._star, entry)
        target = self._target(entry.path)
        if target in self._refused:
            raise self._refused[target]
        other = None if entry.kind == "dir" else self._given(entry.path)
        if other is not None:
            raise Differs(shown(entry.path), f"it belongs to {other}, too")
        self._demand_folders(entry.path)
        found = self._root.stat(entry.path)
        if entry.kind == "dir":
            if found is None or self._folders.makes(entry.path):
                self._folders.need(entry.path)
            elif not stat.S_ISDIR(found.st_mode):
                raise Differs(shown(entry.path), f"a {kind_of(found)} is in its place: move it away, then repair again")
            else:
                yield self._attributes(entry)
            return
        if found is not None and stat.S_IFMT(found.st_mode) in _UNNAMED:
            raise Differs(shown(entry.path), f"a {kind_of(found)} is in its place: move it away, then repair again")
        if bad is not None and bad.problems[0].harm == "unreadable":
            raise WorldFailed(shown(entry.path), bad.problems[0].text)
        if found is not None and bad is not None and _only_attributes(bad) and not self._has_other_names(entry, found):
            yield self._attributes(entry)
            return
        body = self._signed.bodies[entry.path]
        new = identity_of(body, self._content_of(body))
        self._folders.need(entry.path.parent)
        old = found_identity(self._root, entry.path)
        rewritten.add(entry.path)
        yield Place(path=entry.path, new=new) if old is None else Replace(path=entry.path, old=old, new=new)

    def _attributes(self, entry: InstalledEntry) -> SetAttributes:
        old = found_attributes(self._root, entry.path, entry.kind)
        if old is None:
            raise WorldFailed(shown(entry.path), "somebody changed it while cosmos was at work")
        judged = {CAPABILITY, *dict(entry.xattrs)}
        held = tuple((name, value) for name, value in old.xattrs if name in judged)
        old = Attributes(mode=old.mode, uid=old.uid, gid=old.gid, xattrs=held)
        owner = (entry.uid, entry.gid) if self._root.keeps_owners else (old.uid, old.gid)
        new = Attributes(mode=entry.mode, uid=owner[0], gid=owner[1], xattrs=entry.xattrs)
        return SetAttributes(path=entry.path, kind=entry.kind, old=old, new=new)

    def _has_other_names(self, entry: InstalledEntry, found: os.stat_result) -> bool:
        return stat.S_ISREG(found.st_mode) and found.st_nlink > 1 + len(self._links.get(entry.path, ()))

    def _target(self, path: TreePath) -> TreePath | None:
        body = self._signed.bodies.get(path)
        return TreePath(body.target) if body is not None and body.kind == "hardlink" else None

    def _content_of(self, body: Entry) -> Digest | None:
        return self._signed.bodies[TreePath(body.target)].digest if body.kind == "hardlink" else None

    def _demand_allowed(self, star: StarName, entry: InstalledEntry) -> None:
        for own in self._of_cosmos:
            if entry.kind != "dir" and own in entry.path.parents:
                raise Differs(star, f"only cosmos itself writes into {shown(own)}")
        for row in overreaches(self._consent, star, [entry], None):
            hint = self._consent.hint(star, row.power)
            raise Differs(star, f"{row}, and the operator's policy does not allow that", hint=hint)

    def _demand_folders(self, path: TreePath) -> None:
        """Refuse to restore an entry whose folder is not a folder any more: a link could lead anywhere."""
        for above in path.parents:
            found = self._root.stat(above)
            if found is not None and not stat.S_ISDIR(found.st_mode):
                raise Differs(shown(path), f"its folder {shown(above)} is a {kind_of(found)}: move it away")


def _only_attributes(bad: BadEntry) -> bool:
    return all(problem.harm == "attributes" for problem in bad.problems)
