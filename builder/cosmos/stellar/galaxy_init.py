"""Make an empty galaxy: a folder with an index."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed, quoted
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex
from cosmos.model.names import GalaxyName
from cosmos.stellar.galaxy_folder import GalaxyFolder


def init_galaxy(root: Path, name: GalaxyName, description: str, today: str) -> GalaxyFolder:
    """Make an empty galaxy in `root`. `today` is YYYY.MM.DD. Raises `Malformed` if there is a galaxy already."""
    galaxy = GalaxyFolder(root=root)
    if galaxy.index_file.exists():
        raise Malformed(
            str(galaxy.index_file),
            "is there already",
            hint=f"stellar index-galaxy {quoted(galaxy.root)} --key GALAXY.key",
        )
    for folder in (root / "stars", galaxy.packages, root / "snapshots"):
        make_folder(folder)
    index = GalaxyIndex(format=INDEX_FORMAT, name=name, description=description, version=today)
    write_durably(galaxy.index_file, tomli_w.dumps(index.to_toml()).encode())
    return galaxy
