"""A star's source folder, `stars/NAME/`, read as data.

    star.toml      the recipe (model.star)
    install.lua    the Nova script, under the name that `install_script` gives it
    files/…        what the star ships besides its packages
    …              other files: `build()` sees them, and they are not shipped

Modes and owners that git does not keep are ignored. A file has mode 0644, or 0755 if its owner may run it. Folders have
mode 0755. Root owns everything. No file has its own time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.errors import Malformed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_SCRIPT_BYTES
from cosmos.model.star import Recipe
from cosmos.reading import read_bounded
from cosmos.sandbox.on_disk import folder_entries
from cosmos.stellar.ecosystems import RULES
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

RECIPE_FILE: Final = "star.toml"
_FILES: Final = b"files"


class NoScript(Malformed):
    """The script that a recipe names is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFolder:
    """A source folder. `files` are the entries below files/, without this prefix; `beside` are all other entries."""

    path: Path
    recipe: Recipe
    script: bytes | None
    files: Mapping[TreePath, Entry]
    beside: Mapping[TreePath, Entry]


def read_source_folder(path: Path) -> SourceFolder:
    """Return the source folder at `path`; raises `Malformed`."""
    file = path / RECIPE_FILE
    if not file.is_file():
        raise Malformed(str(file), "is not there", hint=f"to make a source folder: stellar new-star {path.name}")
    return source_folder(path, Recipe.parse(read_bounded(file, MAX_DOCUMENT_BYTES), str(file), RULES))


def source_folder(path: Path, recipe: Recipe) -> SourceFolder:
    """Return the source folder at `path` with its `recipe`; raises `Malformed`, `NoScript` for a missing script."""
    tree = {entry.path: entry for entry in folder_entries(path)}
    files = {
        TreePath(entry.path.removeprefix(_FILES + b"/")): moved_up(entry)
        for entry in tree.values()
        if entry.path.startswith(_FILES + b"/")
    }
    beside = {name: entry for name, entry in tree.items() if name.split(b"/")[0] != _FILES}
    return SourceFolder(path=path, recipe=recipe, script=_script(path, recipe), files=files, beside=beside)


def moved_up(entry: Entry) -> Entry:
    """Return an entry below files/ with its path in the system's root."""
    prefix = _FILES + b"/"
    return Entry(
        path=TreePath(entry.path.removeprefix(prefix)),
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.mtime,
        content=entry.content,
        target=entry.target.removeprefix(prefix) if entry.kind == "hardlink" else entry.target,
        rdev=entry.rdev,
        xattrs=entry.xattrs,
    )


def _script(path: Path, recipe: Recipe) -> bytes | None:
    if not recipe.install_script:
        return None
    try:
        name = TreePath.parse(recipe.install_script)
    except ValueError as error:
        raise Malformed(str(path / RECIPE_FILE), f"install_script: {error}") from error
    file = path / os.fsdecode(name)
    if not file.is_file():
        raise NoScript(
            str(file),
            "is not there, but star.toml names it as install_script",
            hint=f"write the script, or take install_script out of {path / RECIPE_FILE}",
        )
    return read_bounded(file, MAX_SCRIPT_BYTES)
