"""Write a finished tree out as files, for a person to look at (`--keep-root`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cosmos.content import pieces
from cosmos.errors import Malformed, WorldFailed
from cosmos.model.reporter import Reporter
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


def write_root(entries: Iterable[Entry], folder: Path, reporter: Reporter) -> None:
    """Write `entries` into `folder`, which must be empty or absent; raises `Malformed`.

    Raises `WorldFailed` if the file system takes two of the names for one.

    No entry has a path through a link of the tree (tree.overlay, rule 3), so no link can redirect a write. If an
    ordinary user runs it, all files belong to that user, and devices are left out. A note says both.
    """
    demand_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    is_root = os.geteuid() == 0
    skipped = 0
    folders: list[Entry] = []
    for entry in entries:
        path = folder / os.fsdecode(bytes(entry.path))
        if entry.kind in ("char", "block") and not is_root:
            skipped += 1
            continue
        try:
            _make(entry, path, folder)
        except FileExistsError as error:
            raise WorldFailed(
                str(path),
                "is there already: this file system does not distinguish names that differ by case alone",
                hint="choose a folder for --keep-root on a file system that does, such as ext4",
            ) from error
        if is_root and entry.kind != "hardlink":  # of a hard link, it would take the set-user-ID bit from the file
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind == "dir":
            folders.append(entry)
        elif entry.kind not in ("symlink", "hardlink"):
            path.chmod(entry.mode)
        if entry.kind != "hardlink":
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
    for entry in reversed(folders):
        path = folder / os.fsdecode(bytes(entry.path))
        path.chmod(entry.mode)
        os.utime(path, (entry.mtime, entry.mtime))  # once more: what was written below it changed the time
    if not is_root:
        reporter.note(f"{folder}: written as you; owners are not kept, {skipped} devices left out")


def demand_empty(folder: Path) -> None:
    """Raise `Malformed` unless `folder` is absent or empty: cosmos must not replace files of others."""
    if folder.exists() and any(folder.iterdir()):
        raise Malformed(str(folder), "is not empty", hint="choose a new folder for --keep-root")


def _for_me(path: str, flags: int) -> int:
    """Open a new file that nobody else may read: it gets its own mode when it is written."""
    return os.open(path, flags, 0o600)


def _make(entry: Entry, path: Path, folder: Path) -> None:
    match entry.kind:
        case "dir":
            path.mkdir()
        case "file":
            with open(path, "xb", opener=_for_me) as stream:
                stream.writelines(pieces(entry.content))
        case "symlink":
            path.symlink_to(os.fsdecode(entry.target))
        case "hardlink":
            path.hardlink_to(folder / os.fsdecode(bytes(TreePath(entry.target))))
        case "fifo":
            os.mkfifo(path)
        case "char" | "block":
            kind = 0o020000 if entry.kind == "char" else 0o060000  # stat(2): S_IFCHR, S_IFBLK
            os.mknod(path, kind | entry.mode, os.makedev(*(entry.rdev or (0, 0))))
