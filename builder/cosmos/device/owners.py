"""Find who owns a path of a system: a star, a layer of the image itself, or cosmos with its own documents.

The universe alone answers, so a path that is gone from the disk still has its owner. The links of this system among the
folders above the path are followed inside the root: where `/bin` is a link to `usr/bin`, `/bin/ls` is `/usr/bin/ls`. If
nobody owns the path and a link is there, the link is followed too.

A file has one owner. A folder belongs to each star and layer that names it or made it. A folder without such an owner
has those that own something in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from cosmos.device.root import LiveRoot
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER, read_universe
from cosmos.model.installed_entry import InstalledEntry, entry_at, has_entry_below, with_slash
from cosmos.model.read_later import texts_of
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.treepath import TreePath

_OWN_FOLDERS = (STATE_FOLDER, SETTINGS_FOLDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A star with its version, or a layer of the image itself, which has no version.

    `entry` is the recorded entry. It is None in a universe that upstream wrote, and for a folder that the owner does
    not name, but has something in.
    """

    name: str
    version: Version | None
    entry: InstalledEntry | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """A path as it was asked for, its real path on this system, and its owners.

    `is_there`: something is on the disk at the real path. `is_own`: only cosmos and the operator write it.
    """

    asked: str
    path: TreePath
    is_there: bool
    is_own: bool
    owners: tuple[Owner, ...]

    @property
    def is_known(self) -> bool:
        """Whether somebody owns it."""
        return bool(self.owners) or self.is_own


def owners_of(root: LiveRoot, paths: Iterable[str]) -> tuple[Owned, ...]:
    """Return who owns each of `paths`. Raises `ValueError` for a text that cannot be a path below the root."""
    asked = [(text, TreePath.rooted(os.fsencode(text))) for text in paths]
    universe = read_universe(root)
    return tuple(_owned(root, universe, text, path) for text, path in asked)


def _owned(root: LiveRoot, universe: Universe, text: str, path: TreePath) -> Owned:
    real = root.mapped(path)
    found = root.stat(real)
    owners = _owners(universe, real)
    if not owners and found is not None and stat.S_ISLNK(found.st_mode):
        real = root.mapped_folder(path)
        found = root.stat(real)
        owners = _owners(universe, real)
    if not owners and (found is None or stat.S_ISDIR(found.st_mode)):
        owners = tuple(_having_something_in(universe, real))
    own = {*_OWN_FOLDERS, *(root.mapped_folder(folder) for folder in _OWN_FOLDERS)}
    is_own = not own.isdisjoint((real, *real.parents))
    return Owned(asked=text, path=real, is_there=found is not None, is_own=is_own, owners=owners)


def _owners(universe: Universe, path: TreePath) -> tuple[Owner, ...]:
    """Return the star that owns the file at `path`, or all that name the folder there. The image's layers come last."""
    found = [
        Owner(name=str(name), version=star.version, entry=entry_at(star.entries, path))
        for name, star in sorted(universe.installed.items())
        if _names(star, path)
    ]
    for layer, entries in universe.layers.items():
        entry = entry_at(entries, path)
        if entry is not None:
            found.append(Owner(name=layer, version=None, entry=entry))
    return tuple(found)


def _names(star: Installed, path: TreePath) -> bool:
    text = with_slash(path)
    return any(text == one for one in texts_of(star.files, with_slash)) or entry_at(star.entries, path) is not None


def _having_something_in(universe: Universe, folder: TreePath) -> Iterator[Owner]:
    above = with_slash(folder) + ("/" if folder else "")
    for name, star in sorted(universe.installed.items()):
        if any(text.startswith(above) for text in texts_of(star.files, with_slash)) or has_entry_below(
            star.entries, folder
        ):
            yield Owner(name=str(name), version=star.version, entry=None)
    for layer, entries in universe.layers.items():
        if has_entry_below(entries, folder):
            yield Owner(name=layer, version=None, entry=None)
