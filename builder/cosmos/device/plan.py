"""Where the entries of new stars go on this system, and whether they may.

A path goes below the operator's `install_dir`, and then where this system's own links lead (`/bin` into `usr/bin`).
Refused, each by name: a path that an installed star owns, one that two of the new stars bring, one that is there and
that nobody owns, one that differs by case or Unicode form alone from what another star brings, one below something
that is no folder, and cosmos's own state. Folders are shared: one that is there
stays as it is.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cosmos.device.record import recorded
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER
from cosmos.device.transaction import Batch
from cosmos.errors import NoSolution, Refused
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, Universe
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, caseless

OWN_FOLDERS: Final = (STATE_FOLDER, SETTINGS_FOLDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStar:
    """The changes that install one star, and what the universe will say of it."""

    batch: Batch
    record: Installed


class Plan:
    """The plan of one installation, star by star; each sees what those before it bring."""

    def __init__(self, root: LiveRoot, universe: Universe, install_dir: TreePath) -> None:
        self._root = root
        self._install_dir = install_dir
        self._own_folders = {*OWN_FOLDERS, *(root.mapped_folder(folder) for folder in OWN_FOLDERS)}
        self._owners = owners(universe)
        self._brought: dict[TreePath, Entry] = {}
        self._alike: dict[bytes, TreePath] = {}  # what is no folder, by what it shares with its twins
        self._folders_alike: dict[bytes, tuple[TreePath, StarName]] = {}  # the folders that these lie in
        for path, owner in self._owners.items():
            self._note(path, owner)

    def add(self, star: LockedStar, entries: Mapping[TreePath, Entry]) -> PlannedStar:
        """Return where the entries of `star` go; raises `NoSolution` or `Refused` and then plans nothing more."""
        folders: dict[TreePath, Entry] = {}
        others: list[Entry] = []
        named = [entry for entry in entries.values() if entry.kind == "dir"]
        for entry in sorted(named, key=lambda entry: entry.path):
            self._add_folder(star.name, self._placed_folder(entry), folders)
        for entry in entries.values():
            if entry.kind != "dir":
                placed = self._placed(entry)
                self._demand_free(star.name, placed)
                for parent in placed.path.parents:
                    self._add_folder(star.name, implied(parent, placed.mtime), folders)
                self._take(star.name, placed)
                others.append(placed)
        made = [folders[path] for path in sorted(folders)]
        return PlannedStar(batch=Batch.placing(star.name, made, others), record=_record(star, made, others))

    def _placed(self, entry: Entry) -> Entry:
        target = entry.target
        if entry.kind == "hardlink":
            target = bytes(self._root.mapped(self._below(TreePath(entry.target))))
        return replace(entry, path=self._root.mapped(self._below(entry.path)), target=target)

    def _placed_folder(self, entry: Entry) -> Entry:
        return replace(entry, path=self._root.mapped_folder(self._below(entry.path)))

    def _below(self, path: TreePath) -> TreePath:
        return self._install_dir.joined(path)

    def _add_folder(self, star: StarName, entry: Entry, folders: dict[TreePath, Entry]) -> None:
        """Note that the folder is to be made, unless it is there or planned; refuse what lies in its way."""
        path = entry.path
        if not path or path in folders:
            return
        if path in self._brought:
            if self._brought[path].kind != "dir":
                raise NoSolution(
                    shown(path), f"{star} needs a folder there, but {self._owners[path]} brings a file or link"
                )
            return
        found = self._root.stat(path)
        if found is None:
            self._demand_no_twin(star, path, self._alike.get(caseless(path)))
            for parent in path.parents:
                self._add_folder(star, implied(parent, entry.mtime), folders)
            folders[path] = self._brought[path] = entry
        elif not stat.S_ISDIR(found.st_mode):
            owner = self._owners.get(path)
            raise NoSolution(
                shown(path),
                f"{star} needs a folder there, but {owner or 'something that no star owns'} is in its place",
            )

    def _demand_free(self, star: StarName, entry: Entry) -> None:
        path = entry.path
        for own in self._own_folders:
            if path == own or own in path.parents:
                raise Refused(star, f"brings {shown(path)}, and {shown(own)} is cosmos's own")
        owner = self._owners.get(path)
        if owner == star:
            raise NoSolution(star, f"brings {shown(path)} twice on this system, whose folders are links")
        if owner is not None:
            raise NoSolution(
                shown(path), f"both {owner} and {star} bring it", hint=f"leave one of the two out: {owner}, {star}"
            )
        self._demand_no_twin(star, path, self._alike.get(caseless(path)))
        folder, other = self._folders_alike.get(caseless(path), (path, star))
        if other != star and folder != path:
            raise _twins(star, path, other, folder)
        if path in self._brought or self._root.stat(path) is not None:
            raise NoSolution(
                shown(path),
                f"{star} brings it, but it is there already and belongs to no star",
                hint="look at it, and move it away if it is not needed",
            )

    def _demand_no_twin(self, star: StarName, path: TreePath, twin: TreePath | None) -> None:
        if twin not in (None, path) and self._owners[twin] != star:
            raise _twins(star, path, self._owners[twin], twin)

    def _take(self, star: StarName, entry: Entry) -> None:
        self._owners[entry.path] = star
        self._brought[entry.path] = entry
        self._note(entry.path, star)

    def _note(self, path: TreePath, owner: StarName) -> None:
        """Take note of what is no folder, and of the folders that it lies in, under what each shares with its twins."""
        self._alike.setdefault(caseless(path), path)
        folder = path.parent
        while folder and (key := caseless(folder)) not in self._folders_alike:
            self._folders_alike[key] = (folder, owner)
            folder = folder.parent


def owners(universe: Universe) -> dict[TreePath, StarName]:
    """Return who owns each path that is no folder; upstream's stars too, by their lists."""
    found: dict[TreePath, StarName] = {}
    for name, star in sorted(universe.installed.items()):
        folders = {entry.path for entry in star.entries if entry.kind == "dir"}
        found |= dict.fromkeys((path for path in star.files if path not in folders), name)
    return found


def _twins(star: StarName, path: TreePath, other: StarName, twin: TreePath) -> NoSolution:
    return NoSolution(
        shown(path),
        f"{star} brings it, and {other} brings {shown(twin)}: the two differ by case or Unicode form alone",
        hint=f"leave one of the two out: {other}, {star}",
    )


def implied(path: TreePath, mtime: int) -> Entry:
    """Return a folder that nobody names, as everywhere: 0755, root's."""
    return Entry(path=path, kind="dir", mode=0o755, mtime=mtime)


def _record(star: LockedStar, folders: list[Entry], others: list[Entry]) -> Installed:
    entries = sorted((recorded(entry) for entry in (*folders, *others)), key=lambda entry: entry.path)
    return Installed(
        version=star.version,
        files=tuple(entry.path for entry in entries),
        galaxy=str(star.galaxy),
        archive=star.archive,
        arch=star.arch,
        type=star.type,
        dependencies=star.dependencies,
        wanted_by=star.wanted_by,
        entries=tuple(entries),
    )
