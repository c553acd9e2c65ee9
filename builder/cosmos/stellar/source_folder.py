"""A star's source folder, `stars/NAME/`, read as data.

    star.toml      the recipe (model.star)
    install.lua    the Nova script, under the name that `install_script` gives it
    files/…        what the star ships besides its packages
    …              other files: `build()` sees them, and they are not shipped

Modes and owners that git does not keep are ignored. A file has mode 0644, or 0755 if its owner may run it. Folders have
mode 0755. Root owns everything. No file has its own time. Hard links become files of their own.

What a star cannot keep below files/ is refused, because nobody would see that it is missing: files that are set-user-ID
or set-group-ID, folders with a sticky bit, extended attributes such as capabilities, devices, pipes and sockets. The
script of a star sets those (`chmod`, `setcap`, `mknod`). Attributes that a system gives to every file are ignored:
access lists, and the labels of SELinux and other security modules.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cosmos.errors import Faults, Malformed, WorldFailed, quoted
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_FRAME_BYTES, MAX_SCRIPT_BYTES
from cosmos.model.star import Recipe
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.sandbox.on_disk import folder_entries
from cosmos.stellar.ecosystems import RULES
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

RECIPE_FILE: Final = "star.toml"
_FILES: Final = b"files"
_KINDS: Final = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
_CAPABILITY: Final = "security.capability"
_GIVEN_ATTRIBUTES: Final = (
    *("system.", "security.selinux", "security.SMACK64", "security.apparmor", "security.ima", "security.evm"),
    *("btrfs.", "trusted.overlay.", "user.overlay.", "com.apple."),
)  # what a file system or a security module gives to files without anybody asking


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
    return source_folder(path, read_recipe(path))


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in the source folder at `path`; raises `Malformed`."""
    file = path / RECIPE_FILE
    if not is_there(file):
        raise Malformed(
            str(file), "is not there", hint=f"to make a source folder: stellar new-star {quoted(path.name)}"
        )
    return Recipe.parse(read_bounded(file, MAX_DOCUMENT_BYTES), str(file), RULES)


def source_folder(path: Path, recipe: Recipe) -> SourceFolder:
    """Return the source folder at `path` with its `recipe`; raises `Malformed`."""
    _demand_plain(path / os.fsdecode(_FILES))
    tree = {entry.path: entry for entry in folder_entries(path)}
    files = {
        TreePath(entry.path.removeprefix(_FILES + b"/")): moved_up(entry)
        for entry in tree.values()
        if entry.path.startswith(_FILES + b"/")
    }
    beside = {name: entry for name, entry in tree.items() if name.split(b"/")[0] != _FILES}
    return SourceFolder(path=path, recipe=recipe, script=read_script(path, recipe), files=files, beside=beside)


def _demand_plain(files: Path) -> None:
    """Raise `Malformed` for what the folder `files` holds and a star does not keep, before anything of it is read.

    It carries every other path of that kind.
    """
    if not os.path.lexists(files):
        return
    if files.is_symlink() or not files.is_dir():
        raise Malformed(str(files), "want a folder", hint="put the star's files into a folder of that name")
    faults = Faults()
    left, waiting = int(MAX_FRAME_BYTES), [files]
    while waiting:
        for place in _listed(waiting.pop()):
            status = place.lstat()
            lost = _lost(place, status)
            if lost is not None:
                said = f"{lost[0]}, and a star's files keep none"
                faults.found.append(Malformed(str(place), said, hint=lost[1]))
            if stat.S_IFMT(status.st_mode) not in _KINDS:
                said = "is not a file, folder or symlink; a Nova script makes other kinds"
                faults.found.append(Malformed(str(place), said))
            waiting += [place] if stat.S_ISDIR(status.st_mode) else []
            left -= status.st_size if stat.S_ISREG(status.st_mode) else 0
            if left < 0:
                problem = f"with it, the star's files have more than {MAX_FRAME_BYTES} bytes, which no image can hold"
                faults.found.append(Malformed(str(place), problem, hint="split the star"))
            if left < 0 or faults.are_many:
                faults.demand_none()
    faults.demand_none()


def _lost(place: Path, status: os.stat_result) -> tuple[str, str] | None:
    """Return the fault of a path that would lose something in a star, and what to do; or None."""
    if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        hint = f'chmod ug-s {quoted(place)}; the install script sets the bit: chmod("/PATH", "{mode}")'
        return f"is set-user-ID or set-group-ID (mode {mode})", hint
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        hint = f'chmod -t {quoted(place)}; the install script sets the bit: chmod("/PATH", "1777")'
        return "is a folder with a sticky bit", hint
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError:  # a file system without attributes
        return None
    kept = [name for name in names if not name.startswith(_GIVEN_ATTRIBUTES)]
    if not kept:
        return None
    sets = '; the install script sets it: setcap("/PATH", "CAPABILITIES")' if kept[0] == _CAPABILITY else ""
    return f"has the extended attribute {kept[0]}", f"setfattr -x {kept[0]} {place}{sets}"


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise WorldFailed(str(folder), f"cannot be read: {error.strerror}") from error


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


def read_script(path: Path, recipe: Recipe) -> bytes | None:
    """Return the script that the recipe of the folder `path` names, or None; raises `Malformed`."""
    if not recipe.install_script:
        return None
    try:
        name = TreePath.parse(recipe.install_script)
    except ValueError as error:
        raise Malformed(str(path / RECIPE_FILE), f"install_script: {error}") from error
    file = path / os.fsdecode(name)
    if not is_there(file):
        raise Malformed(
            str(file),
            "is not there, but star.toml names it as install_script",
            hint=f"write the script, or take install_script out of {path / RECIPE_FILE}",
        )
    return read_bounded(file, MAX_SCRIPT_BYTES)
