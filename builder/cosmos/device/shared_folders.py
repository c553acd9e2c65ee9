"""The folders of stars that go: each vanishes with the last star that uses it, and only if it is empty.

A star uses a folder that it names, and a folder in which it has something. If another star uses the folder, that star
has it from now on, with the mode and owner that the folder was made with. A folder of the image's own layers stays, and
so does one that the operator made: no star has it.

A folder in whose place a new version has a file or link must vanish. An update is refused if another star uses the
folder, or if something is left in it: a file of the operator's own, or one that they changed.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from cosmos.device.live_entries import found_identity
from cosmos.device.root import LiveRoot, shown
from cosmos.errors import NoSolution
from cosmos.model.changes import Change, Remove
from cosmos.model.installed_entry import InstalledEntry, folder_lines, named_folders, with_folder, with_slash
from cosmos.model.line_fields import unfield
from cosmos.model.names import StarName
from cosmos.model.read_later import texts_of
from cosmos.model.universe import Installed, Universe
from cosmos.records import dataclass
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class SettledFolders:
    """The folders that go, and the stars that stay, with the folders that they have from now on.

    `full` are folders that stay although no star uses them, because something is in them that belongs to no star.
    """

    changes: tuple[Change, ...]
    full: tuple[tuple[TreePath, StarName], ...]
    installed: Mapping[StarName, Installed]


def settled_folders(
    root: LiveRoot,
    before: Universe,
    after: Mapping[StarName, Installed],
    removed: Collection[TreePath],
    named: Mapping[StarName, Collection[TreePath]],
    ending: Mapping[TreePath, StarName],
) -> SettledFolders:
    """Return what becomes of the folders that a star of `before` made and that no star of `after` has.

    `removed` are the other paths that go. `named` are the folders that new versions name themselves, by star. `ending`
    are folders in whose place a star has another entry. Raises `NoSolution` for such a folder that cannot go.
    """
    orphans = _orphans(before, after)
    heirs = _heirs(after, orphans) if orphans else {}
    installed = dict(after)
    for path, stars in heirs.items():
        maker, folder = orphans[path]
        heir = maker if maker in stars else min(stars)
        if path in named.get(heir, ()):
            own = next(one for one in installed[heir].entries if one.path == path)
            folder = replace(own, is_shared=False)
        installed[heir] = replace(installed[heir], entries=with_folder(installed[heir].entries, folder))
    changes, full = _removals(root, orphans.keys() - heirs.keys() - ending.keys(), removed)
    going = {*removed, *(change.path for change in changes)}
    emptied = orphans.keys() - heirs.keys()
    for path, star in sorted(ending.items()):
        if path in heirs or path not in orphans:
            user = min(heirs[path]) if path in heirs else "the image or another star"
            raise NoSolution(shown(path), f"{star} brings a file or link there, but {user} needs a folder")
        _demand_empty(root, path, star, going, emptied)
    return SettledFolders(
        changes=tuple(changes), full=tuple((path, orphans[path][0]) for path in full), installed=installed
    )


def _orphans(before: Universe, after: Mapping[StarName, Installed]) -> dict[TreePath, tuple[StarName, InstalledEntry]]:
    """Return each folder whose maker of `before` does not have it in `after`, with the maker; none of the image's."""
    changed = [name for name, star in before.installed.items() if after.get(name) is not star]
    kept = {path for name in changed if name in after for path, _ in folder_lines(after[name].entries)}
    kept.update(path for entries in before.layers.values() for path in named_folders(entries))
    lines = [
        (name, line)
        for name in sorted(changed)
        for path, line in folder_lines(before.installed[name].entries)
        if path not in kept
    ]
    folders = [(name, InstalledEntry.parse(line)) for name, line in lines]
    return {folder.path: (name, folder) for name, folder in folders}


def _heirs(after: Mapping[StarName, Installed], orphans: Collection[TreePath]) -> dict[TreePath, list[StarName]]:
    """Return the stars that use each of `orphans`: best those that name it, else those with something in it."""
    naming: dict[TreePath, list[StarName]] = {}
    having: dict[TreePath, list[StarName]] = {}
    texts = {with_slash(path): path for path in orphans}
    for name in sorted(after):
        named = {TreePath(unfield(path)) for path in named_folders(after[name].entries)}
        for path in named & set(orphans):
            naming.setdefault(path, []).append(name)
        inside = _above(with_slash(path) for path in named) | _above(texts_of(after[name].files, with_slash))
        for text in inside & texts.keys():
            having.setdefault(texts[text], []).append(name)
    return having | naming


def _removals(
    root: LiveRoot, folders: Iterable[TreePath], removed: Collection[TreePath]
) -> tuple[list[Change], list[TreePath]]:
    """Return the removals of those folders that will be empty, the inner ones first, and the folders that will not."""
    changes, full, gone = list[Change](), list[TreePath](), set(removed)
    for path in sorted(folders, reverse=True):
        found = root.stat(path)
        if found is None:
            continue
        is_here = stat.S_ISDIR(found.st_mode) and root.mapped_folder(path) == path and not root.is_mount(path)
        if is_here and all(TreePath(path + b"/" + name) in gone for name in root.names(path)):
            identity = found_identity(root, path)
            assert identity is not None, "it was there a moment ago"
            changes.append(Remove(path=path, old=identity))
            gone.add(path)
        else:
            full.append(path)
    return changes, full


def _demand_empty(
    root: LiveRoot, folder: TreePath, star: StarName, going: Collection[TreePath], folders: Collection[TreePath]
) -> None:
    """Raise `NoSolution` that names the first thing that would be left in `folder`. `folders` are folders of stars."""
    if root.is_mount(folder):
        said = f"{star} brings a file or link there, but something is mounted at it"
        raise NoSolution(shown(folder), said, hint=f"if nothing uses it: umount {root.pasted(folder)}")
    todo = [folder]
    while todo:
        here = todo.pop()
        for path in (TreePath(here + b"/" + name) for name in root.names(here)):
            found = root.stat(path)
            is_folder = found is not None and stat.S_ISDIR(found.st_mode)
            if path not in going and not (is_folder and path in folders and not root.is_mount(path)):
                raise _left_inside(root, path, folder, star)
            if is_folder:
                todo.append(path)


def _left_inside(root: LiveRoot, path: TreePath, folder: TreePath, star: StarName) -> NoSolution:
    away = root.pasted(folder, b".%b.old" % path.name)
    return NoSolution(
        shown(path),
        f"{star} brings a file or link in place of the folder {shown(folder)}, in which this is: no star has it, or "
        "somebody changed it",
        hint=f"move it out of the folder, then run this again: mv {root.pasted(path)} {away}",
    )


def _above(texts: Iterable[str]) -> set[str]:
    """Return every folder above the paths `texts`, each of which begins with a slash."""
    found = set[str]()
    for text in texts:
        while (text := text.rpartition("/")[0]) and text not in found:
            found.add(text)
    return found
