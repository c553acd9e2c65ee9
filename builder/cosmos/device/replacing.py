"""What an update does to each path: place, replace, remove, leave as it is, or lay the new one beside it.

An installation is the same without old versions.

    the system holds          configuration                               anything else
    what was installed        replaced                                    replaced
    the new version's bytes   replaced                                    replaced
    other bytes               kept if the star did not change it; else    refused, by name
                              kept, and the new one beside it
    nothing                   as other bytes: somebody deleted it         placed
    another kind              refused, by name                            refused, by name

A folder takes the place of an old file or link that nobody changed, and a new file or link that of an old folder if the
folder goes with everything in it (`device.shared_folders`).

The new configuration lies beside the old one as `NAME.cosmos-new`. No star owns that file: `status` names it, and the
next update replaces it if it is as this one left it. A new star may find configuration that belongs to nobody: an
uninstalled star leaves what was changed. It counts as changed, and is replaced only if it has the new bytes. A path
that the new versions do not have goes as in `uninstall` (device.leaving). A path may move from one star to another in
one update.

An entry that is the same in both versions, and that is on the system as it was installed, is not written again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from cosmos.device.leaving import Kept, Leaving, Recorded, demand_no_link_above, new_beside
from cosmos.device.live_entries import found_identity, identity_of, is_same
from cosmos.device.plan import PlannedStar
from cosmos.device.root import LiveRoot, shown
from cosmos.device.transaction import Batch
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.model.changes import Attributes, Change, Identity, Place, Replace, SetAttributes
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.universe import Installed
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

Makers: TypeAlias = Mapping[TreePath, tuple[StarName, InstalledEntry]]
"""Folders, each with the star that made it and its entry."""

_Put: TypeAlias = Iterator[tuple[Change, Entry | None]]  # a change, with the new entry that it needs
_MAX_SHOWN: Final = 6  # paths in one sentence


@dataclass(slots=True)
class Counts:
    """How many entries that are no folders an update adds, replaces and removes."""

    added: int = 0
    replaced: int = 0
    removed: int = 0


class Replacing:
    """The changes of one update, star by star. `old` has the paths of the old versions."""

    def __init__(
        self,
        root: LiveRoot,
        old: Mapping[TreePath, Recorded],
        makers: Mapping[TreePath, tuple[StarName, InstalledEntry]],
        command: Literal["install", "update"],
    ) -> None:
        self._root = root
        self._old = old
        self._makers = makers
        self._command = command
        self._leaving = Leaving(root, purges=False)
        self._holds: dict[TreePath, Digest | None] = {}  # what each path will hold; None if nothing will be there
        self._same: set[TreePath] = set()  # entries that are not written again
        self._beside: dict[TreePath, StarName] = {}
        self._refused: list[str] = []
        self.counts = Counts()
        self.kept: list[Kept] = []
        self.beside: list[TreePath] = []
        self.named: dict[StarName, frozenset[TreePath]] = {}
        self.ending: dict[
            TreePath, StarName
        ] = {}  # old folders, each with the star that has another entry in its place

    @property
    def removed(self) -> frozenset[TreePath]:
        """The paths that go, without folders."""
        return frozenset(self._leaving.removed)

    def batch(self, planned: PlannedStar) -> tuple[Batch, Installed]:
        """Return the changes that put a new star or a new version in place, and its record."""
        entries: dict[TreePath, Entry] = {}
        changes = list[Change]()
        for folder in planned.folders:
            entries[folder.path] = folder
            turns = folder.path in planned.turned
            changes += self._over_old(folder) if turns else [Place(path=folder.path, new=identity_of(folder))]
        changes += self._folder_attributes(planned)
        for entry in planned.others:
            if entry.path in planned.turned:
                self.ending[entry.path] = planned.star
            is_found = entry.path in planned.found
            for change, new in (self._over_found if is_found else self._changes)(planned.star, entry):
                changes.append(change)
                if new is not None:
                    entries[change.path] = new
        self.named[planned.star] = frozenset(
            path for path in planned.named if self._makers.get(path, (None,))[0] == planned.star
        )
        return Batch(star=planned.star, changes=changes, entries=entries), self._record(planned)

    def removals(self, followed: Mapping[TreePath, StarName]) -> list[Batch]:
        """Return the removals of the paths that no new version has, after all stars. Raises `NoSolution` for refusals.

        `followed` are links that new paths lead through: they must stay as they are.
        """
        for path, star in followed.items():
            if path not in self._same:
                self._refused.append(f"{shown(path)} is a link that paths of {star} lead through, and it would change")
        by_star: dict[StarName, dict[TreePath, Recorded]] = {}
        for path, item in self._old.items():
            by_star.setdefault(item.star, {})[path] = item
        batches = [
            Batch(star=star, changes=tuple(self._leaving.changes(held, self._holds)), entries={})
            for star, held in sorted(by_star.items())
        ]
        self.kept += self._leaving.kept
        self.counts.removed += sum(1 for path in self._leaving.removed if path in self._old)
        self.demand_possible()
        return [batch for batch in batches if batch.changes]

    def demand_possible(self) -> None:
        """Raise `NoSolution` that names the paths which cannot change, if the stars so far have any."""
        taken = sorted(path for path in self._beside if path in self._holds or path in self._old)
        refused = [
            *self._refused,
            *(f"{shown(path)} is to hold new configuration, but a star has it" for path in taken),
        ]
        if refused:
            more = f"; and {len(refused) - _MAX_SHOWN} more" if len(refused) > _MAX_SHOWN else ""
            raise NoSolution(
                self._command,
                f"{'; '.join(refused[:_MAX_SHOWN])}{more}",
                hint=f"to see what was changed: cosmos verify{self._root.option}; then move each path away: "
                "mv PATH PATH.old",
            )

    def _changes(self, star: StarName, entry: Entry) -> _Put:
        path = entry.path
        shared = self._holds.get(TreePath(entry.target)) if entry.kind == "hardlink" else None
        if entry.kind == "hardlink" and shared is None:
            self._refused.append(
                f"{shown(path)} is a hard link to a file that was deleted: {shown(TreePath(entry.target))}"
            )
            self._holds[path] = None
            return
        new = identity_of(entry, shared)
        self._holds[path] = new.digest
        was = self._old.get(path)
        folder = found_identity(self._root, path) if path in self.ending else None
        if folder is not None:
            self.counts.added += 1
            yield Replace(path=path, old=folder, new=new), entry
            return
        if was is None:
            self.counts.added += 1
            yield Place(path=path, new=new), entry
            return
        demand_no_link_above(self._root, path, was.star)
        found = found_identity(self._root, path)
        is_configuration = was.entry.is_configuration and entry.kind == "file"
        if found is None and not is_configuration:
            self.counts.added += 1
            yield Place(path=path, new=new), entry
        elif found is not None and (was.is_in(found) or _same_content(found, new)):
            yield from self._put(entry, new, found, was)
            if was.entry.is_configuration:
                yield from ((change, None) for change in self._leaving.new_gone(path, was))
        elif is_configuration and (found is None or found.kind == "file"):
            self._holds[path] = None if found is None else found.digest
            yield from self._keep(star, entry, new, was)
        else:
            assert found is not None, "a missing path was placed, or is configuration"
            self._refused.append(f"{shown(path)} is not what {was.star} put there: {was.changed_words(found)}")

    def _over_old(self, folder: Entry) -> Iterator[Change]:
        """Put a folder in place of an old entry. One that somebody changed is refused, once all refusals are known."""
        path, was = folder.path, self._old[folder.path]
        demand_no_link_above(self._root, path, was.star)
        found = found_identity(self._root, path)
        assert found is not None, "the plan found it"
        self._holds[path] = None
        self.counts.removed += 1
        yield Replace(path=path, old=found, new=identity_of(folder))
        if not was.is_in(found):
            self._refused.append(f"{shown(path)} is to be a folder, and {was.changed_words(found)}")
        if was.entry.is_configuration:
            yield from self._leaving.new_gone(path, was)

    def _over_found(self, star: StarName, entry: Entry) -> _Put:
        """Keep configuration that belongs to nobody, and lay the star's own beside it, unless both are the same."""
        new, found = identity_of(entry), found_identity(self._root, entry.path)
        assert found is not None, "the plan found it"
        if _same_content(found, new):
            self._holds[entry.path] = new.digest
            self.counts.replaced += 1
            yield Replace(path=entry.path, old=found, new=new), entry
        else:
            self._holds[entry.path] = found.digest
            yield from self._keep(star, entry, new, None)

    def _put(self, entry: Entry, new: Identity, found: Identity, was: Recorded) -> _Put:
        if self._is_same(entry, new, found, was):
            self._same.add(entry.path)
        else:
            self.counts.replaced += 1
            yield Replace(path=entry.path, old=found, new=new), entry

    def _is_same(self, entry: Entry, new: Identity, found: Identity, was: Recorded) -> bool:
        """Return whether the entry is the same in both versions, and on the system as it was installed."""
        old = was.entry
        before = Attributes(mode=old.mode, uid=old.uid, gid=old.gid, xattrs=old.xattrs)
        if old.kind != entry.kind or was.digest != new.digest or before != new.attributes:
            return False
        if not is_same(self._root, found, new):
            return False
        if entry.kind != "hardlink":
            return True
        target = TreePath(entry.target)
        here, there = self._root.stat(entry.path), self._root.stat(target)
        return target in self._same and here is not None and there is not None and os.path.samestat(here, there)

    def _keep(self, star: StarName, entry: Entry, new: Identity, was: Recorded | None) -> _Put:
        """Keep the operator's configuration. If the star changed it too, lay the new one beside it."""
        path = entry.path
        if was is not None and new.digest == was.digest:
            self.kept.append(Kept(path=path, star=star, why="configuration that you changed: kept"))
            return
        beside = new_beside(path)
        if beside is None:
            self._refused.append(
                f"{shown(path)} was changed by you and by {star}, and its name is too long for another"
            )
            return
        self.kept.append(
            Kept(path=path, star=star, why=f"configuration that you changed: the new one is {shown(beside)}")
        )
        self.beside.append(beside)
        self._beside[beside] = star
        found = found_identity(self._root, beside)
        laid = replace(entry, path=beside)
        if found is None:
            yield Place(path=beside, new=new), laid
        elif (was is not None and was.is_in(found)) or (
            _same_content(found, new) and not is_same(self._root, found, new)
        ):
            yield Replace(path=beside, old=found, new=new), laid
        elif not _same_content(found, new):
            self._refused.append(f"{shown(beside)} is there already, and somebody changed it")

    def _folder_attributes(self, planned: PlannedStar) -> Iterator[Change]:
        """Yield the new attributes of folders that the old version made, unless somebody changed the folder."""
        for path, folder in planned.named.items():
            maker, old = self._makers.get(path, (None, None))
            if maker != planned.star or old is None:
                continue
            before = Attributes(mode=old.mode, uid=old.uid, gid=old.gid, xattrs=old.xattrs)
            after = identity_of(folder).attributes
            found = found_identity(self._root, path)
            wanted = Identity(kind="dir", digest=Digest.of(b""), attributes=before)
            if after is not None and before != after and found is not None and is_same(self._root, found, wanted):
                yield SetAttributes(path=path, kind="dir", old=before, new=after)

    def _record(self, planned: PlannedStar) -> Installed:
        """Return the record. An entry that is not written again keeps its time."""
        if not self._same:
            return planned.record
        entries: Iterable[InstalledEntry] = planned.record.entries
        return replace(
            planned.record,
            entries=tuple(
                replace(entry, mtime=self._old[entry.path].entry.mtime) if entry.path in self._same else entry
                for entry in entries
            ),
        )


def _same_content(found: Identity, new: Identity) -> bool:
    return (found.kind, found.digest) == ("file" if new.kind == "hardlink" else new.kind, new.digest)
