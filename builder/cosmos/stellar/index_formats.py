"""The formats of an index, as its writer chooses them: a published galaxy keeps its format until it is moved.

A cosmos refuses an index of a format that it does not know. Devices get a newer cosmos from a galaxy, so a galaxy that
moved by itself would lock them out of the update that they need (docs/decisions/0027).
"""

from __future__ import annotations

from dataclasses import replace

from cosmos.errors import Malformed
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex


def kept_format(old: GalaxyIndex) -> int:
    """Return the format that a galaxy keeps: its own, or the newest if it has published nothing."""
    return old.format if old.seq else INDEX_FORMAT


def as_format(index: GalaxyIndex, number: int) -> GalaxyIndex:
    """Return the index in the form of format `number`; raises `Malformed` for a star that the format cannot list."""
    if number >= INDEX_FORMAT:
        return index
    for row in index.snapshot:
        if row.stem != file_stem(row.name, str(row.version)):
            raise Malformed(
                f"{row.name} {row.version} for {row.arch}",
                f"an index of format {number} cannot list a star whose files are called {row.stem}",
                hint=f"update cosmos on the devices, then move the galaxy: "
                f"stellar index-galaxy FOLDER --format {INDEX_FORMAT} --key GALAXY.key",
            )
    rows = tuple(replace(row, arch=None, provides=(), files=None) for row in index.snapshot)
    return replace(index, format=number, snapshot=rows)
