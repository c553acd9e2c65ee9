"""Plan the place of each entry of the new stars on this system, and refuse conflicts.

Each path is placed under the operator's `install_dir`. Then this system's own links are followed (`/bin` to `usr/bin`).

The plan refuses, each by name: a path that an installed star owns; a path that two new stars bring; a path that exists
and belongs to no star, unless it is configuration, which stays (`device.replacing`); a path that differs only by case
or Unicode form from a path of another star; a path below something that is not a folder; a folder that another star
made with another mode or owner; and cosmos's own state.
Folders are shared: an existing folder stays as it is. In an update a folder may take the place of an old file or link,
and a new file or link that of a folder which goes with everything in it (`device.shared_folders`). The record of a star
has each folder that it makes, each that it names, and each in which it has an entry and that another star made
(`InstalledEntry.is_shared`).
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from cosmos.device.owned_paths import OwnedPaths
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER
from cosmos.errors import NoSolution, Refused
from cosmos.model.installed_entry import InstalledEntry, is_configuration
from cosmos.model.names import StarName
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.staging.acquire import Acquired
from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed, installed_entry, published
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

OWN_FOLDERS: Final = (STATE_FOLDER, SETTINGS_FOLDER)
_COSMOS: Final = StarName("cosmos")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStar:
    """The changes that install one star, and its record in the universe."""

    star: StarName
    folders: Sequence[Entry]
    others: Sequence[Entry]
    named: Mapping[TreePath, Entry]  # folders that the star names itself
    record: Installed
    found: Collection[TreePath] = ()  # configuration that is on the system already, and belongs to no star
    turned: Collection[TreePath] = ()  # paths at which a folder and another entry change places


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaced:
    """What an update replaces: the stars, and the paths of their old versions, each with its star.

    `held` are paths of the image's own layers. They stay the image's: a new version of a star that brings one leaves it
    out, as the build of the image did.
    """

    stars: Collection[StarName] = ()
    paths: Mapping[TreePath, StarName] = field(default_factory=dict)
    held: Collection[TreePath] = ()


class Plan:
    """The plan of one installation, star by star. Each star is checked against the stars before it.

    `followed` are links of old versions that a new path leads through, each with the new star. The paths of cosmos
    itself may lead through one, too.
    """

    def __init__(
        self, root: LiveRoot, universe: Universe, install_dir: TreePath, replaced: Replaced | None = None
    ) -> None:
        self._root = root
        self._install_dir = install_dir
        self._own_folders = {*OWN_FOLDERS, *(root.mapped_folder(folder) for folder in OWN_FOLDERS)}
        self._universe = universe
        self._owned = OwnedPaths(universe)
        self._found: set[TreePath] = set()
        self._brought: dict[TreePath, Entry] = {}
        self._makers: dict[TreePath, StarName] = {}  # of the new folders
        self._replaced = replaced or Replaced()
        self._past: set[TreePath] = set()  # links of old versions that become folders
        self._turned: set[TreePath] = set()
        self._done: set[StarName] = set()
        ways = {link for folder in OWN_FOLDERS for link in root.links_to(folder)}
        self.followed: dict[TreePath, StarName] = dict.fromkeys(ways & self._replaced.paths.keys(), _COSMOS)

    def add(self, item: Acquired, url: str, entries: Mapping[TreePath, Entry]) -> PlannedStar:
        """Return the planned changes for a star of the galaxy at `url`, staged as `entries`.

        After `NoSolution` or `Refused`, the plan cannot be used any more.
        """
        star = item.star
        self._turn_links(star.name, entries.values())
        folders: dict[TreePath, Entry] = {}
        shared: dict[TreePath, Entry] = {}
        others: list[Entry] = []
        named = [entry for entry in entries.values() if entry.kind == "dir"]
        own: dict[TreePath, Entry] = {}
        for entry in sorted(named, key=lambda entry: entry.path):
            placed = self._placed_folder(entry)
            own[placed.path] = placed
            self._follow(star.name, entry.path, placed.path)
            self._demand_alike(star.name, placed)
            self._add_folder(star.name, placed, folders)
            shared[placed.path] = placed
        for placed in self._not_held(star.name, entries):
            self._demand_free(star.name, placed)
            for parent in placed.path.parents:
                above = implied(parent, placed.mtime)
                self._add_folder(star.name, above, folders)
                if parent in self._makers or self._owned.maker(parent) is not None:
                    shared.setdefault(parent, above)
            self._take(star.name, placed)
            others.append(placed)
        made = [folders[path] for path in sorted(folders)]
        self._makers |= dict.fromkeys(folders, star.name)
        self._done.add(star.name)
        found = [shared[path] for path in shared.keys() - folders.keys() if path]
        recorded = [*_recorded([*made, *others]), *_recorded(found, are_shared=True)]
        record = installed(
            star,
            item.statement.statement.star,
            sorted(recorded, key=lambda entry: entry.path),
            published(star, url),
        )
        brought = {placed.path for placed in (*made, *others)}
        here = {"found": brought & self._found, "turned": brought & self._turned}
        return PlannedStar(star=star.name, folders=made, others=others, named=own, record=record, **here)

    def makes_again(self, star: StarName, path: TreePath) -> bool:
        """Return whether the old version of `star` made the folder at `path`, so that the new one may change it."""
        made = self._owned.maker(path)
        return star in self._replaced.stars and made is not None and made[0] == star

    def _not_held(self, star: StarName, entries: Mapping[TreePath, Entry]) -> Iterator[Entry]:
        """Yield the entries that are no folders, at their places, without those that the image's own layers hold."""
        held = self._replaced.held if star in self._replaced.stars else ()
        for entry in entries.values():
            placed = entry if entry.kind == "dir" else self._placed(entry)
            if entry.kind == "dir" or placed.path in held:
                continue
            if placed.kind == "hardlink" and TreePath(placed.target) in held:
                raise _link_to_held(star, placed)
            self._follow(star, entry.path, placed.path)
            yield placed

    def _turn_links(self, star: StarName, entries: Collection[Entry]) -> None:
        """Note the links of old versions in whose place `star` has a folder: from now on they are not followed.

        That needs to know that no new version has the link. The new versions of the stars before this one are known.
        """
        if not self._replaced.paths:
            return
        below = {self._below(entry.path): entry.kind for entry in entries}
        links = {self._mapped(path) for path, kind in below.items() if kind != "dir"}
        folders = {above for path in below for above in path.parents} | {
            p for p, kind in below.items() if kind == "dir"
        }
        for folder in sorted(folders):
            link = self._mapped(folder)
            owner = self._replaced.paths.get(link)
            is_known = owner is not None and (owner == star or owner in self._done)
            is_kept = link in links or link in self._brought or link in self._replaced.held
            if is_known and not is_kept and self._root.link_or_none(link) is not None:
                self._past.add(link)

    def _mapped(self, path: TreePath) -> TreePath:
        return self._root.mapped(path, self._past)

    def _follow(self, star: StarName, path: TreePath, placed: TreePath) -> None:
        """Note the links of old versions through which `path` leads to `placed`."""
        below = self._below(path)
        if below == placed or not self._replaced.paths:
            return
        for step in (*below.parents, below):
            link = self._mapped(step)
            is_old = link in self._replaced.paths and link not in self._past
            if is_old and link != placed and self._root.link_or_none(link) is not None:
                self.followed.setdefault(link, star)

    def _placed(self, entry: Entry) -> Entry:
        target = entry.target
        if entry.kind == "hardlink":
            target = bytes(self._mapped(self._below(TreePath(entry.target))))
        return replace(entry, path=self._mapped(self._below(entry.path)), target=target)

    def _placed_folder(self, entry: Entry) -> Entry:
        return replace(entry, path=self._root.mapped_folder(self._below(entry.path), self._past))

    def _below(self, path: TreePath) -> TreePath:
        return self._install_dir.joined(path)

    def _add_folder(self, star: StarName, entry: Entry, folders: dict[TreePath, Entry]) -> None:
        """Plan to make the folder, unless it exists or is planned. Refuse if something else is in its place."""
        path = entry.path
        if not path or path in folders:
            return
        if path in self._brought:
            if self._brought[path].kind != "dir":
                raise self._no_file(star, path, "brings a file or link")
            return
        found = self._root.stat(path)
        if found is None:
            self._demand_no_twin(star, path, self._owned.twin(path))
            for parent in path.parents:
                self._add_folder(star, implied(parent, entry.mtime), folders)
            folders[path] = self._brought[path] = entry
        elif not stat.S_ISDIR(found.st_mode):
            if path in self._replaced.paths and path not in self._replaced.held:
                self._turned.add(path)
                folders[path] = self._brought[path] = entry
                return
            raise self._no_file(star, path, "is in its place")

    def _no_file(self, star: StarName, path: TreePath, does: str) -> NoSolution:
        owner = self._owned.owner(path)
        hint = f"leave one of the two out: {owner}, {star}" if owner else self._moved_away(path)
        found = owner or "something that no star owns"
        return NoSolution(shown(path), f"{star} needs a folder there, but {found} {does}", hint=hint)

    def _moved_away(self, path: TreePath) -> str:
        return f"if you do not need it: mv {self._root.pasted(path)} {self._root.pasted(path, b'.old')}"

    def _demand_alike(self, star: StarName, entry: Entry) -> None:
        """Refuse a folder that another star made, if `star` wants another mode or owner than the folder has."""
        wanted = _facts(entry)
        made = self._owned.maker(entry.path)
        if entry.path in self._makers:
            maker, facts = self._makers[entry.path], _facts(self._brought[entry.path])
        elif made is not None:
            maker, facts = made[0], _facts(made[1])
        else:
            return
        if maker == star or facts == wanted:
            return
        found = self._root.stat(entry.path)
        if found is not None and (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == wanted:
            return  # the operator made it so
        raise NoSolution(
            shown(entry.path),
            f"both {maker} ({_said(facts)}) and {star} ({_said(wanted)}) bring it",
            hint=f"leave one of the two out: {maker}, {star}; or make the folder yourself as {star} wants it",
        )

    def _demand_free(self, star: StarName, entry: Entry) -> None:
        path = entry.path
        for own in self._own_folders:
            if path == own or own in path.parents:
                raise Refused(star, f"brings {shown(path)}, but only cosmos itself writes into {shown(own)}")
        owner = self._owned.owner(path)
        if owner == star:
            said = f"brings {shown(path)} twice: links on this system merge two of its folders"
            raise NoSolution(star, said, hint=f"leave {star} out, or ask its maker to bring one path alone")
        if owner is not None:
            raise NoSolution(
                shown(path), f"both {owner} and {star} bring it", hint=f"leave one of the two out: {owner}, {star}"
            )
        self._demand_no_twin(star, path, self._owned.twin(path))
        twin = self._owned.folder_twin(path)
        if twin is not None and twin[0] == path:
            raise _no_folder(star, path, twin[1])
        if twin is not None and twin[1] != star:
            raise _twins(star, path, twin[1], twin[0])
        if path in self._brought:
            raise _no_folder(star, path, self._makers.get(path, star))
        if self._is_leaving_folder(path):
            self._turned.add(path)
        elif self._is_configuration_of_nobody(entry):
            self._found.add(path)
        elif path not in self._replaced.paths and self._root.stat(path) is not None:
            raise NoSolution(
                shown(path),
                f"{star} brings it, but it is there already and belongs to no star",
                hint=self._moved_away(path),
            )

    def _is_leaving_folder(self, path: TreePath) -> bool:
        """Return whether an old version of a star made the folder that is at `path`."""
        made = self._owned.maker(path) if self._replaced.stars else None
        found = None if made is None or made[0] not in self._replaced.stars else self._root.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _is_configuration_of_nobody(self, entry: Entry) -> bool:
        """Return whether a file lies where the new configuration `entry` goes, and neither a star nor the image has it.

        An uninstalled star leaves such a file if somebody changed it.
        """
        path = entry.path
        if entry.kind != "file" or not is_configuration(path) or path in self._replaced.paths:
            return False
        found = self._root.stat(path)
        return found is not None and stat.S_ISREG(found.st_mode) and not self._is_of_image(path)

    def _is_of_image(self, path: TreePath) -> bool:
        return any(entry.path == path for layer in self._universe.layers.values() for entry in layer)

    def _demand_no_twin(self, star: StarName, path: TreePath, twin: TreePath | None) -> None:
        other = None if twin is None else self._owned.owner(twin)
        if twin is not None and other is not None and twin != path and other != star:
            raise _twins(star, path, other, twin)

    def _take(self, star: StarName, entry: Entry) -> None:
        self._owned.take(entry.path, star)
        self._brought[entry.path] = entry


def _no_folder(star: StarName, path: TreePath, other: StarName) -> NoSolution:
    return NoSolution(
        shown(path),
        f"{star} brings a file or link there, but {other} needs a folder",
        hint=f"leave one of the two out: {other}, {star}",
    )


def _link_to_held(star: StarName, entry: Entry) -> NoSolution:
    target = shown(TreePath(entry.target))
    return NoSolution(shown(entry.path), f"{star} brings it as a hard link to {target}, which is the image's own")


def _said(facts: tuple[int, int, int]) -> str:
    mode, uid, gid = facts
    return f"folder {mode:04o} {uid}:{gid}"


def _facts(folder: Entry | InstalledEntry) -> tuple[int, int, int]:
    return folder.mode, folder.uid, folder.gid


def _twins(star: StarName, path: TreePath, other: StarName, twin: TreePath) -> NoSolution:
    return NoSolution(
        shown(path),
        f"{star} brings it, and {other} brings {shown(twin)}: the two differ by case or Unicode form alone",
        hint=f"leave one of the two out: {other}, {star}",
    )


def implied(path: TreePath, mtime: int) -> Entry:
    """Return the entry of a folder that no star names: mode 0755, owned by root."""
    return Entry(path=path, kind="dir", mode=0o755, mtime=mtime)


def _recorded(entries: Iterable[Entry], *, are_shared: bool = False) -> Iterator[InstalledEntry]:
    for entry in entries:
        yield installed_entry(ManifestLine.of(entry), mtime=entry.mtime, is_shared=are_shared)
