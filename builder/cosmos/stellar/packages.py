"""The archives in packages/ of a galaxy: which there are, and whether each is the one that its statement names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cosmos.digest import Digest
from cosmos.durable import blaming, demand_folder_or_nothing
from cosmos.errors import Malformed, Refused, quoted
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.reporter import Reporter, counted
from cosmos.model.statement import Statement
from cosmos.stellar.archive_file import SUFFIXES
from cosmos.stellar.galaxy_folder import GalaxyFolder


def archives(galaxy: GalaxyFolder, old: GalaxyIndex, reporter: Reporter) -> list[Path]:
    """Return the archives in packages/, sorted by name; warns of a link, which readers of a folder refuse.

    A folder that is not there holds no archives of a new galaxy. But if the index lists some, then a disk is not
    mounted, or somebody moved the folder: `Malformed`. Raises `WorldFailed` if something else has its place.
    """
    folder = galaxy.packages
    with blaming(folder):
        demand_folder_or_nothing(folder)
    if not folder.is_dir():
        if old.snapshot:
            listed = counted(len(old.snapshot), "version")
            hint = f"bring it back; or, to withdraw all of them: mkdir {quoted(folder)}"
            raise Malformed(str(folder), f"is not there, but the index lists {listed}", hint=hint)
        return []
    found = sorted((file for file in folder.iterdir() if file.name.endswith(SUFFIXES)), key=os.fspath)
    for file in found:
        if file.is_symlink():
            reporter.warn(f"{file}: is a link; whoever reads this galaxy as a folder refuses it: put the file there")
    return found


def demand_same(file: Path, digest: Callable[[Path], Digest], statement: Statement) -> None:
    """Raise `Refused` unless the archive is the one that its statement names. One that is too large is not read."""
    hint = f"build {statement.star.id} again with stellar build-star, or give it a new version"
    size_bytes = file.stat().st_size
    if size_bytes > statement.size_bytes:
        problem = f"its statement names {statement.size_bytes} bytes, but the file has {size_bytes}"
        raise Refused(str(file), problem, hint=hint)
    got = digest(file)
    if got != statement.archive:
        raise Refused(str(file), f"its statement names {statement.archive}, but the file is {got}", hint=hint)
