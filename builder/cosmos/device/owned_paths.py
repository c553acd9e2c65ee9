"""`OwnedPaths`: which star owns which path of a system, also by the form of its name that ignores case.

A plan asks for the few paths of the new stars, and a system has 50,000. So the paths are kept as the texts of
universe.toml, and only an answer is read.
"""

from __future__ import annotations

from cosmos.model.installed_entry import InstalledEntry, folder_lines, slashed, with_slash
from cosmos.model.line_fields import field
from cosmos.model.names import StarName
from cosmos.model.read_later import texts_of
from cosmos.model.universe import Universe
from cosmos.treepath import TreePath, caseless


class OwnedPaths:
    """The paths of installed stars, and of new stars as they are taken. Folders are shared, and are not owned."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._owners: dict[str, StarName] = {}
        self._made: dict[str, tuple[StarName, str]] = {}  # folders, by their field: the maker, and its line
        self._alike: dict[bytes, str] = {}
        self._folders: dict[bytes, tuple[str, StarName]] = {}
        self._seen: set[str] = set()  # folders
        for name, star in sorted(universe.installed.items()):
            for text in texts_of(star.files, with_slash):
                self._owners[text] = name
                self._note(text, name)
            for path, line in folder_lines(star.entries):
                self._made[path] = (name, line)

    def owner(self, path: TreePath) -> StarName | None:
        """Return the star that owns `path`. For stars that upstream recorded, their file lists count."""
        return self._owners.get(with_slash(path))

    def maker(self, path: TreePath) -> tuple[StarName, InstalledEntry] | None:
        """Return the installed star that made the folder at `path`, with its entry."""
        held = self._made.get(field(path))
        if held is None:
            return None
        try:
            return held[0], InstalledEntry.parse(held[1])
        except ValueError:
            self._refuse()
            raise

    def twin(self, path: TreePath) -> TreePath | None:
        """Return the owned path that is `path`, or differs from it by case or Unicode form alone."""
        text = self._alike.get(caseless(path))
        return None if text is None else self._path(text)

    def folder_twin(self, path: TreePath) -> tuple[TreePath, StarName] | None:
        """Return the folder above an owned path that is `path`, or so differs from it, with the owner."""
        found = self._folders.get(caseless(path))
        return None if found is None else (self._path(found[0]), found[1])

    def take(self, path: TreePath, star: StarName) -> None:
        """Let `star` own `path`."""
        self._owners[with_slash(path)] = star
        self._note(with_slash(path), star)

    def _note(self, text: str, owner: StarName) -> None:
        """Note a path, and the folders above it, each under its caseless form."""
        self._alike.setdefault(self._key(text), text)
        folder = text.rpartition("/")[0]
        while folder and folder not in self._seen:
            self._seen.add(folder)
            self._folders.setdefault(self._key(folder), (folder, owner))
            folder = folder.rpartition("/")[0]

    def _key(self, text: str) -> bytes:
        if text.isascii() and "\\" not in text:
            return text[1:].lower().encode()
        return caseless(self._path(text))

    def _path(self, text: str) -> TreePath:
        try:
            return slashed(text)
        except ValueError:
            self._refuse()
            raise

    def _refuse(self) -> None:
        """Raise `Malformed` that names the first text of the universe that cannot be read."""
        for star in self._universe.installed.values():
            tuple(star.files)
            tuple(star.entries)
