"""A system with very many small stars writes a universe that it reads again."""

from __future__ import annotations

from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import Arch, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Version
from cosmos.treepath import TreePath


def test_a_universe_of_ten_thousand_stars_of_one_folder_is_read_again() -> None:
    installed = {}
    for number in range(10_000):
        path = TreePath(b"usr/share/%d" % number)
        entry = InstalledEntry(path=path, kind="dir", mode=0o755, uid=0, gid=0, digest=None)
        installed[StarName(f"s{number}")] = Installed(version=Version.parse("1.0.0"), files=(), entries=(entry,))
    universe = Universe(arch=Arch("x86_64"), version="1", installed=installed)
    assert Universe.parse(universe.rendered(), "universe.toml") == universe
