"""A system with two installed stars, and what an attacker with root's rights does to it."""

from __future__ import annotations

from pathlib import Path

from cosmos.digest import Digest
from fakes.forgeries import Forgeable
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos, Outcome

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z", "etc/zlib.conf": b"level=6"}),
    StarSpec("tool", "1.0.0", {"usr/bin/tool": b"tool", "usr/share/tool/data": b"data"}, {"zlib": "*"}),
)


class System(Forgeable):
    """A system on which `tool`, which needs `zlib`, is installed from a galaxy in a folder."""

    def __init__(self, where: Path, cosmos: Cosmos, stars: tuple[StarSpec, ...] = STARS) -> None:
        self.where, self.cosmos, self.root = where, cosmos, where / "root"
        self.signers = make_signers()
        self.galaxy: GalaxyFixture = make_galaxy(where / "galaxy", "core", stars, self.signers)
        self.root.mkdir()
        trust = self.signers.write_trust(where / "trust.toml")
        self.run("init", "--arch", "x86_64").ok()
        self.run("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes())).ok()
        self.run("add-galaxy", "core", self.galaxy.path).ok()
        self.run("install", *(star.name for star in stars)).ok()

    def run(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.root)
