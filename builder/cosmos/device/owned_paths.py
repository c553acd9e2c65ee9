"""`OwnedPaths`: which star owns which path of a system, also by the form of its name that ignores case.

A plan asks for the few paths of the new stars, and a system has 50,000. So the paths are kept as the texts of
universe.toml, and only an answer is read.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        self._alike: dict[str, str] = {}
        self._folders: dict[str, tuple[str, StarName]] = {}
        self._seen: set[str] = set()  # folders
        for name, star in sorted(universe.installed.items()):
            self._note(texts_of(star.files, with_slash), name)
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
        text = self._alike.get(_key_of(path))
        return None if text is None else self._path(text)

    def folder_twin(self, path: TreePath) -> tuple[TreePath, StarName] | None:
        """Return the folder above an owned path that is `path`, or so differs from it, with the owner."""
        found = self._folders.get(_key_of(path))
        return None if found is None else (self._path(found[0]), found[1])

    def take(self, path: TreePath, star: StarName) -> None:
        """Let `star` own `path`."""
        self._note([with_slash(path)], star)

    def _note(self, texts: Sequence[str], owner: StarName) -> None:
        """Note paths of `owner`, and the folders above them, each under its caseless form."""
        self._owners.update(dict.fromkeys(texts, owner))
        for key, text in zip(self._keys(texts), texts, strict=True):
            self._alike.setdefault(key, text)
        new = {text.rpartition("/")[0] for text in texts} - self._seen
        while new:
            self._seen |= new
            folders = sorted(new - {""})
            for key, folder in zip(self._keys(folders), folders, strict=True):
                self._folders.setdefault(key, (folder, owner))
            new = {folder.rpartition("/")[0] for folder in folders} - self._seen

    def _keys(self, texts: Sequence[str]) -> list[str]:
        """Return the caseless form of each path."""
        together = "".join(texts)
        if together.isascii() and "\\" not in together:
            return [text[1:].lower() for text in texts]
        return [_key_of(self._path(text)) for text in texts]

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


def _key_of(path: TreePath) -> str:
    return caseless(path).decode("utf-8", "surrogateescape")
