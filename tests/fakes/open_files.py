"""Which files this process has open.

A test asks for its own folder only. Of the files of other tests the collector of garbage may close any number at any
time, so their sum says nothing.
"""

from __future__ import annotations

from pathlib import Path


def open_below(folder: Path) -> list[str]:
    """The open files and folders in `folder` and `folder` itself, as the kernel names them, sorted.

    A file without a name is there too, as `FOLDER/#NUMBER (deleted)`.
    """
    named = []
    for number in Path("/proc/self/fd").iterdir():
        try:
            named.append(str(number.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return sorted(name for name in named if name == str(folder) or name.startswith(f"{folder}/"))
